import Foundation

extension GGUFHeader {
    /// Whether a file is to be read as GGUF: its name ends in `.gguf`, or it is a regular file that starts with "GGUF"
    /// (Ollama's blobs and a Hugging Face cache's have no extension).
    package static func isExpected(in file: URL) -> Bool {
        if file.pathExtension.lowercased() == "gguf" { return true }
        guard let opened = try? RegularFile.open(file) else { return false }
        defer { close(opened.descriptor) }
        var start = [UInt8](repeating: 0, count: 4)
        let count = start.withUnsafeMutableBytes { bytes in
            (try? RegularFile.read(opened.descriptor, into: bytes, file: file)) ?? 0
        }
        return count == 4 && start.elementsEqual("GGUF".utf8)
    }
}
