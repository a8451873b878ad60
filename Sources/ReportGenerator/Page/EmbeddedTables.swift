import CZlib
import FileFormats
import Foundation
import RoutingMetrics

/// CSV files in a page, each gzipped, so that a page that is sent on has its tables with it.
struct EmbeddedTables: Sendable {
    private let tables: [String: MetricTable]

    init(_ tables: [String: MetricTable]) { self.tables = tables }

    /// {"load": base64 of gzip of load.csv, …}: the bytes of `MetricTable.csvFile`.
    func json(named names: Set<String>) -> JSON {
        .object(
            JSONObject(
                names.sorted().compactMap { name in
                    tables[name].map { (name, .string(Gzip.compressed($0.csvFile()).base64EncodedString())) }
                }))
    }
}

/// RFC 1952, by zlib. The same bytes give the same bytes: no time and no name is in them.
enum Gzip {
    static func compressed(_ data: Data) -> Data {
        var stream = z_stream()
        // 15 bits of window, and 16 for the header of gzip.
        let status = deflateInit2_(
            &stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        precondition(status == Z_OK, "zlib: deflateInit2 gave \(status)")
        defer { deflateEnd(&stream) }
        var result = [UInt8](repeating: 0, count: Int(deflateBound(&stream, UInt(data.count))))
        var source = [UInt8](data)
        let written = source.withUnsafeMutableBufferPointer { source in
            result.withUnsafeMutableBufferPointer { result in
                stream.next_in = source.baseAddress
                stream.avail_in = UInt32(source.count)
                stream.next_out = result.baseAddress
                stream.avail_out = UInt32(result.count)
                let ended = deflate(&stream, Z_FINISH)
                precondition(ended == Z_STREAM_END, "zlib: deflate gave \(ended)")
                return result.count - Int(stream.avail_out)
            }
        }
        return Data(result.prefix(written))
    }
}
