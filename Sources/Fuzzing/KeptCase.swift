import FileFormats
import Foundation

/// An input that once did harm: a folder of `Tests/Fixtures/hostile/FORMAT/` with the changed files, and `seed.txt`, which names
/// the seed that they belong to. Of a large file that has kept its length, `NAME.patch` holds the changed bytes alone.
struct KeptCase {
    let url: URL

    static let seedFile = "seed.txt"
    private static let patchEnding = ".patch"

    init(_ url: URL) { self.url = url }

    func input(_ seeds: [Seed]) throws -> (Seed, [String: [UInt8]]) {
        var files = try Seeds.contents(url)
        let name = String(decoding: files.removeValue(forKey: Self.seedFile) ?? [], as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
        guard let seed = seeds.first(where: { $0.name == name }) else {
            throw FuzzError("\(url.path): there is no seed \"\(name)\"; found \(seeds.map(\.name))")
        }
        for (path, patch) in files where path.hasSuffix(Self.patchEnding) {
            files[path] = nil
            let target = String(path.dropLast(Self.patchEnding.count))
            guard let original = seed.files[target] else {
                throw FuzzError("\(url.path): seed \(name) has no \(target)")
            }
            files[target] = try Self.patched(original, patch)
        }
        return (seed, files)
    }

    /// - Parameter patch: JSON, [[offset, [bytes]], …].
    private static func patched(_ original: [UInt8], _ patch: [UInt8]) throws -> [UInt8] {
        var result = original
        for change in try JSON.parse(patch).array ?? [] {
            guard let offset = change.array?.first?.int, let bytes = change.array?.last?.array else { continue }
            for (place, byte) in bytes.enumerated() where result.indices.contains(offset + place) {
                result[offset + place] = UInt8(truncatingIfNeeded: byte.int ?? 0)
            }
        }
        return result
    }

    private static func patch(_ original: [UInt8]?, _ changed: [UInt8]) -> [UInt8]? {
        guard let original, changed.count == original.count, changed.count > 4096 else { return nil }
        var runs: [(offset: Int, bytes: [JSON])] = []
        for place in changed.indices where changed[place] != original[place] {
            if let last = runs.last, last.offset + last.bytes.count == place {
                runs[runs.count - 1].bytes.append(.int(Int(changed[place])))
            } else {
                runs.append((place, [.int(Int(changed[place]))]))
            }
            if runs.count > 2000 { return nil }
        }
        let json = JSON.array(runs.map { .array([.int($0.offset), .array($0.bytes)]) })
        return Array((json.serialized(.embedded) + "\n").utf8)
    }

    static func write(_ mutation: Mutation, to folder: URL) throws {
        for (path, bytes) in mutation.changed {
            let patch = patch(mutation.seed.files[path], bytes)
            let file = folder.appending(path: path + (patch == nil ? "" : patchEnding))
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(patch ?? bytes).write(to: file)
        }
        try Data("\(mutation.seed.name)\n".utf8).write(to: folder.appending(path: seedFile))
    }
}
