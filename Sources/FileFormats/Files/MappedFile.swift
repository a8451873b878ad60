import Foundation

/// A file mapped read-only into memory. Pages are read when touched; the mapping ends with the last reference.
public final class MappedFile: @unchecked Sendable {
    public let url: URL
    /// The whole file.
    public let bytes: UnsafeRawBufferPointer

    /// - Throws: `unreadable` where the file cannot be opened or mapped or is not a regular file; `malformed` for a pointer
    ///   that Git LFS left in its place.
    public init(_ url: URL) throws(FileError) {
        let path = url.path
        // Without waiting: a pipe would wait for a writer before it could be refused.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw FileError(
                errno == ENOENT ? .missing : .unreadable, file: path, problem: String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(.unreadable, file: path, problem: "not a regular file")
        }
        let size = Int(status.st_size)
        self.url = url
        guard size > 0 else {
            // mmap refuses length 0.
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
            throw FileError(.unreadable, file: path, problem: "mmap: \(String(cString: strerror(errno)))")
        }
        bytes = UnsafeRawBufferPointer(start: start, count: size)
        guard !isGitLFSPointer else {
            throw FileError(
                .malformed, file: path, problem: "a Git LFS pointer, not the file itself",
                hint: "run `git lfs pull` in its folder, or download the file")
        }
    }

    /// Whether the file is the few lines that Git LFS keeps in a repository in place of a large file.
    private var isGitLFSPointer: Bool {
        let mark = "version https://git-lfs.github.com/spec/".utf8
        return bytes.count < 1024 && bytes.starts(with: mark)
    }

    deinit {
        if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
    }
}
