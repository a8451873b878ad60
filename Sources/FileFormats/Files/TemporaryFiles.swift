import Foundation

/// The names under which files are written before they are whole: NAME.PROCESS.tmp, or NAME.PROCESS-N.tmp where the first is taken.
///
/// Whoever writes one holds the kernel's lock on it, so that a file which nobody holds is what a killed writer left.
package enum TemporaryFiles {
    /// Makes and holds a temporary file.
    /// - Returns: its path, and its descriptor; -1 with `errno` where the system refuses.
    static func create(for url: URL) -> (path: String, descriptor: Int32) {
        let base = "\(url.path).\(getpid())"
        var path = "\(base).tmp"
        for number in 1... {
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o644)
            if descriptor < 0 {
                guard errno == EEXIST, number < 10_000 else { return (path, -1) }
            } else {
                // Where the file system has no locks, nothing is taken for a leftover either.
                let isHeld = flock(descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK
                // Another process may have taken it for a leftover before it was held.
                if isHeld, names(descriptor, path) { return (path, descriptor) }
                close(descriptor)
            }
            path = "\(base)-\(number).tmp"
        }
        return (path, -1)
    }

    /// The file that a temporary one of this name was to become; nil for any other name.
    package static func target(of name: String) -> String? {
        guard name.hasSuffix(".tmp") else { return nil }
        let stem = name.dropLast(4)
        guard let dot = stem.lastIndex(of: "."), dot > stem.startIndex else { return nil }
        let numbers = stem[stem.index(after: dot)...].split(separator: "-", omittingEmptySubsequences: false)
        guard 1...2 ~= numbers.count, numbers.allSatisfy({ !$0.isEmpty && $0.allSatisfy { "0"..."9" ~= $0 } }) else {
            return nil
        }
        return String(stem[..<dot])
    }

    /// Removes what killed writers of this file left beside it, and nothing else: regular files that have such a name and that
    /// nobody holds.
    static func removeLeftovers(of url: URL) {
        let folder = url.deletingLastPathComponent().path
        for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        where target(of: name) == url.lastPathComponent {
            remove("\(folder)/\(name)")
        }
    }

    private static func remove(_ path: String) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            flock(descriptor, LOCK_EX | LOCK_NB) == 0, names(descriptor, path)
        else { return }
        unlink(path)
    }

    /// Whether the path still leads to the opened file.
    package static func names(_ descriptor: Int32, _ path: String) -> Bool {
        var (opened, named) = (stat(), stat())
        return fstat(descriptor, &opened) == 0 && lstat(path, &named) == 0 && opened.st_ino == named.st_ino
            && opened.st_dev == named.st_dev
    }
}
