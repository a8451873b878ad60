import CZlib
import Foundation

/// Reads whatever holds a corpus to its end: a file, a pipe, standard input; compressed with gzip or not.
enum InputFile {
    /// Bytes asked for at a time.
    private static let pieceBytes = 1 << 18

    /// All bytes; uncompressed, where they begin as gzip's do.
    ///
    /// - Parameter path: of a file, a FIFO or a device; "-" is standard input.
    /// - Throws: an error with the system's or zlib's reason; also where compressed data end too early.
    static func contents(_ path: String) throws(CorpusError) -> Data {
        var data = Data()
        try read(path) { piece in data.append(contentsOf: piece) }
        return data
    }

    /// The bytes of `contents`, piece by piece: no more than one is held.
    static func read(
        _ path: String, _ take: (UnsafeRawBufferPointer) throws(CorpusError) -> Void
    ) throws(CorpusError) {
        let name = path == "-" ? "standard input" : path
        func refused(_ reason: String) -> CorpusError {
            CorpusError(file: name, reason: "cannot be read: \(reason)")
        }
        let descriptor = path == "-" ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw refused(String(cString: strerror(errno))) }
        // Takes the descriptor over, and gives what is not compressed as it is.
        guard let file = gzdopen(descriptor, "rb") else {
            close(descriptor)
            throw refused("there is not enough memory")
        }
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceBytes, alignment: 16)
        defer { piece.deallocate() }
        gzbuffer(file, UInt32(pieceBytes))
        while true {
            let count = gzread(file, piece.baseAddress, UInt32(pieceBytes))
            guard count >= 0 else {
                let reason = reason(file)
                gzclose(file)
                throw refused(reason)
            }
            if count == 0 { break }
            do throws(CorpusError) {
                try take(UnsafeRawBufferPointer(rebasing: piece[..<Int(count)]))
            } catch {
                gzclose(file)
                throw error
            }
        }
        // Only now does zlib say that the last block is cut short.
        guard gzclose(file) == Z_OK else { throw refused("the compressed data end too early") }
    }

    private static func reason(_ file: gzFile) -> String {
        let system = errno
        var code: Int32 = 0
        let message = gzerror(file, &code).map { String(cString: $0) } ?? ""
        return code == Z_ERRNO ? String(cString: strerror(system)) : "no valid gzip data: \(message)"
    }
}
