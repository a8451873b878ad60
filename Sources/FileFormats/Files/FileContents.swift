import Foundation

/// Small files, read whole.
package enum FileContents {
    /// Reads a file to its end. A pipe or a device, which may have no end, is refused.
    /// - Throws: `missing`, or `unreadable` with the system's reason.
    package static func read(_ url: URL) throws(FileError) -> Data {
        let path = url.path
        func refused(_ reason: FileError.Reason, _ problem: String) -> FileError {
            FileError(reason, file: path, problem: problem)
        }
        // Without waiting: a pipe would wait for a writer before it could be refused.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw errno == ENOENT
                ? refused(.missing, "no such file") : refused(.unreadable, String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw refused(.unreadable, "not a regular file")
        }
        var data = Data(count: Int(status.st_size))
        var position = 0
        while position < data.count {
            let count = data.withUnsafeMutableBytes {
                Foundation.read(descriptor, $0.baseAddress?.advanced(by: position), min($0.count - position, 1 << 30))
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw refused(.unreadable, String(cString: strerror(errno)))
            }
            // The file has become shorter.
            if count == 0 { break }
            position += count
        }
        return data.prefix(position)
    }

    /// As `read`, or nil where there is no such file.
    package static func readIfThere(_ url: URL) throws(FileError) -> Data? {
        do throws(FileError) {
            return try read(url)
        } catch {
            guard error.reason == .missing else { throw error }
            return nil
        }
    }
}
