import CZlib
import Foundation

/// Reads whatever holds a corpus to its end: a file, a pipe, standard input; compressed with gzip or not.
enum InputFile {
    /// Bytes asked for at a time.
    private static let pieceBytes = 1 << 18

    /// - Parameter path: of a file, a FIFO or a device; "-" is standard input.
    /// - Returns: the bytes; uncompressed, where they begin as gzip's do.
    /// - Throws: an error with the system's or zlib's reason; also where compressed data end too early.
    static func contents(_ path: String) throws(CorpusError) -> Data {
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
        var data = Data()
        var piece = [UInt8](repeating: 0, count: pieceBytes)
        gzbuffer(file, UInt32(pieceBytes))
        while true {
            let count = gzread(file, &piece, UInt32(pieceBytes))
            guard count >= 0 else {
                let reason = reason(file)
                gzclose(file)
                throw refused(reason)
            }
            if count == 0 { break }
            data.append(contentsOf: piece[..<Int(count)])
        }
        // Only now does zlib say that the last block is cut short.
        guard gzclose(file) == Z_OK else { throw refused("the compressed data end too early") }
        return data
    }

    private static func reason(_ file: gzFile) -> String {
        let system = errno
        var code: Int32 = 0
        let message = gzerror(file, &code).map { String(cString: $0) } ?? ""
        return code == Z_ERRNO ? String(cString: strerror(system)) : "no valid gzip data: \(message)"
    }
}
