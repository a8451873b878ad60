import Crypto
import FileFormats
import Foundation

/// The hash that a manifest carries of itself: of its bytes, with zeros where the hash stands.
enum ManifestHash {
    static let blank = String(repeating: "0", count: 64)
    private static let key = Data("\"manifest_sha256\"".utf8)

    /// The manifest with its hash where `blank` stood.
    static func filled(_ data: Data) -> Data {
        guard let place = place(in: data) else { return data }
        var data = data
        data.replaceSubrange(place, with: Data(SHA256.hash(data: data).hex.utf8))
        return data
    }

    /// What is wrong with a manifest's bytes; nil where they are as they were written, or older than the hash.
    static func problem(_ data: Data, _ manifest: TraceManifest, file: String) -> FileError? {
        func damaged(expected: String, found: String) -> FileError {
            FileError.trace(
                .mismatch, file: file, field: "field manifest_sha256",
                problem: "the manifest is damaged or was changed",
                expected: expected, found: found,
                hint: "restore it; `moescope verify` says more. To read what was changed on purpose, take the fields "
                    + "manifest_sha256 and files out")
        }
        guard manifest.manifestSHA256 != nil || manifest.files != nil else { return nil }
        guard let hash = manifest.manifestSHA256, manifest.files != nil else {
            return damaged(
                expected: "both manifest_sha256 and files",
                found: manifest.files == nil ? "no files" : "no manifest_sha256")
        }
        guard let place = place(in: data), String(decoding: data[place], as: UTF8.self) == hash else {
            return damaged(expected: "64 hexadecimal digits", found: hash)
        }
        var blanked = data
        blanked.replaceSubrange(place, with: Data(blank.utf8))
        let found = SHA256.hash(data: blanked).hex
        return found == hash ? nil : damaged(expected: hash, found: found)
    }

    /// Where the 64 digits stand. In JSON text this key cannot stand inside of a string, where its quotes would be escaped.
    private static func place(in data: Data) -> Range<Data.Index>? {
        var start = data.startIndex
        while let found = data.range(of: key, in: start..<data.endIndex) {
            start = found.upperBound
            var rest = data[found.upperBound...].drop { isSpace($0) }
            guard rest.first == UInt8(ascii: ":") else { continue }
            rest = rest.dropFirst().drop { isSpace($0) }
            guard rest.first == UInt8(ascii: "\""), rest.count > 65 else { continue }
            let digits = rest.startIndex + 1..<rest.startIndex + 65
            if rest[digits.upperBound] == UInt8(ascii: "\"") { return digits }
        }
        return nil
    }

    private static func isSpace(_ byte: UInt8) -> Bool { [0x20, 0x09, 0x0A, 0x0D].contains(byte) }
}

extension TraceManifest {
    /// A field for every key in the file that this version does not know: misspelled, damaged, or of a later version.
    func unknownKeys(in data: Data, file: String) throws(FileError) -> [FileError] {
        func parse(_ data: Data) throws(FileError) -> JSON {
            do throws(JSONSyntaxError) { return try JSON.parse(Array(data)) } catch {
                throw FileError.trace(.malformed, file: file, problem: "not valid JSON: \(error)")
            }
        }
        var found: [FileError] = []
        func compare(_ present: JSON, _ known: JSON?, _ path: String) {
            switch present {
            case .object(let members):
                for (key, value) in zip(members.keys, members.values) where !value.isNull {
                    let name = path.isEmpty ? key : "\(path).\(key)"
                    guard let next = known?.object?[key] else {
                        found.append(
                            FileError.trace(
                                .mismatch, file: file, field: "field \(name)", problem: "no such field is known",
                                hint: "a name is misspelled or damaged, or a newer MoEScope wrote it"))
                        continue
                    }
                    compare(value, next, name)
                }
            case .array(let values):
                for (index, value) in values.enumerated() {
                    let next = known?.array.flatMap { $0.indices.contains(index) ? $0[index] : nil }
                    compare(value, next, "\(path)[\(index)]")
                }
            default: break
            }
        }
        compare(try parse(data), try parse(try TraceCoding.compact(self, file: file)), "")
        return found
    }
}
