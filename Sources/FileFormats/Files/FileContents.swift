import Foundation

/// Small files, read whole.
package enum FileContents {
    /// Reads a file to its end. A pipe or a device, which may have no end, is refused.
    /// - Throws: `missing`, or `unreadable` with the system's reason.
    package static func read(_ url: URL) throws(FileError) -> Data {
        let opened: (descriptor: Int32, status: stat)
        do throws(FileError) { opened = try RegularFile.open(url) } catch {
            guard error.reason == .missing else { throw error }
            throw FileError(.missing, file: url.path, problem: "no such file")
        }
        defer { close(opened.descriptor) }
        var data = Data(count: Int(opened.status.st_size))
        var position = 0
        while position < data.count {
            let read = data.withUnsafeMutableBytes { bytes in
                Result { () throws(FileError) in
                    try RegularFile.read(
                        opened.descriptor, into: UnsafeMutableRawBufferPointer(rebasing: bytes[position...]), file: url)
                }
            }
            let count = try read.get()
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
