import CMappedFiles
import Foundation
import Synchronization

/// A file mapped read-only into memory. Pages are read when touched; the mapping ends with the last reference.
///
/// A file that is cut short while it is mapped, or whose disk fails, does not end the process: what cannot be read any more reads
/// as zeros, and `check` throws. Whoever uses bytes for a result asks it before the result is given out.
public final class MappedFile: @unchecked Sendable {
    public let url: URL
    /// The whole file.
    public let bytes: UnsafeRawBufferPointer
    private let watched: OpaquePointer?
    private let opened: FileIdentity

    /// - Throws: `unreadable` where the file cannot be opened or mapped or is not a regular file; `malformed` for a pointer
    ///   that Git LFS left in its place.
    public init(_ url: URL) throws(FileError) {
        let path = url.path
        let (descriptor, status) = try RegularFile.open(url)
        defer { close(descriptor) }
        let size = Int(status.st_size)
        self.url = url
        opened = FileIdentity(status)
        guard size > 0 else {
            // mmap refuses length 0.
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            watched = nil
            return
        }
        guard let start = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), start != MAP_FAILED else {
            throw FileError(.unreadable, file: path, problem: "mmap: \(String(cString: strerror(errno)))")
        }
        bytes = UnsafeRawBufferPointer(start: start, count: size)
        watched = moescope_map_watch(start, size)
        Self.register(self)
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
        if moescope_map_is_damaged(watched) { Self.maps.withLock { $0.damaged.append(url) } }
        moescope_map_forget(watched)
        if let start = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: start), bytes.count) }
    }

    // MARK: Files that change while they are mapped

    private struct Live {
        weak var file: MappedFile?
    }

    private struct Maps {
        var live: [ObjectIdentifier: Live] = [:]
        /// Files of damaged maps that are gone, of which nobody has been told yet.
        var damaged: [URL] = []

        mutating func add(_ file: MappedFile) {
            // Those that are gone make way from time to time.
            if live.count > 64, live.count & (live.count - 1) == 0 { live = live.filter { $0.value.file != nil } }
            live[ObjectIdentifier(file)] = Live(file: file)
        }
    }

    private static let maps = Mutex(Maps())

    private static func register(_ file: MappedFile) { maps.withLock { $0.add(file) } }

    private static var live: [MappedFile] { maps.withLock { $0.live.values.compactMap(\.file) } }

    /// Faults in any of our maps since the process began.
    package static var faultCount: Int { Int(moescope_map_faults()) }

    /// Throws if a part of any map could not be read. Costs one load from memory while nothing has gone wrong.
    /// - Parameter files: of these only; nil: of any that is mapped, or was until its damage was told.
    /// - Throws: `truncated`, naming the file.
    public static func check(_ files: [URL]? = nil) throws(FileError) {
        guard moescope_map_faults() > 0 else { return }
        let wanted = files.map { Set($0.map(\.path)) }
        func isWanted(_ url: URL) -> Bool { wanted?.contains(url.path) ?? true }
        let damaged = live.first { moescope_map_is_damaged($0.watched) && isWanted($0.url) }?.url
        let before = maps.withLock { maps in
            maps.damaged.firstIndex(where: isWanted).map { maps.damaged.remove(at: $0) }
        }
        guard let file = damaged ?? before else { return }
        throw FileError(
            .truncated, file: file.path,
            problem: "the file was cut short, or its disk failed, while it was being read",
            hint: "put the file back and run the command again")
    }

    /// The first of these files that was changed in place since it was mapped: another size, or another time.
    ///
    /// A file that another one has replaced under its name is not: the map still holds the old one.
    public static func changed(_ files: [URL]) -> URL? {
        let wanted = Set(files.map(\.path))
        return live.first { wanted.contains($0.url.path) && $0.opened.isRewritten(as: FileIdentity($0.url)) }?.url
    }
}
