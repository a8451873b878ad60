import FileFormats
import Foundation

/// JSON as traces write it: sorted keys, no escaped slashes, so that equal values are equal bytes.
package enum TraceCoding {
    static func manifest(_ manifest: TraceManifest, file: String) throws(FileError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        var manifest = manifest
        manifest.manifestSHA256 = ManifestHash.blank
        return ManifestHash.filled(try encode(manifest, with: encoder, file: file))
    }

    /// On one line.
    static func compact(_ value: some Encodable, file: String) throws(FileError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return try encode(value, with: encoder, file: file)
    }

    /// One line, newline included, per document.
    static func lines(_ documents: [TraceDocument], file: String) throws(FileError) -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        var data = Data()
        for document in documents { data.append(try encode(document, with: encoder, file: file)) }
        return data
    }

    private static func encode(_ value: some Encodable, with encoder: JSONEncoder, file: String) throws(FileError)
        -> Data
    {
        do {
            return try encoder.encode(value) + [UInt8(ascii: "\n")]
        } catch {
            throw FileError.trace(.unwritable, file: file, problem: "cannot be written as JSON: \(error)")
        }
    }

    /// - Parameter allowsLongMarks: for texts that are not looked up; see `JSON.parse`.
    package static func decode<Value: Decodable>(
        _ type: Value.Type, from data: Data, file: String, place: String? = nil, allowsLongMarks: Bool = false
    ) throws(FileError) -> Value {
        // Foundation's parser takes one of two members with the same key, and any text for a name.
        do throws(JSONSyntaxError) { try JSON.check(data, allowsLongMarks: allowsLongMarks) } catch {
            throw FileError.trace(.malformed, file: file, field: place, problem: "not valid JSON: \(error)")
        }
        do {
            return try JSONDecoder().decode(type, from: data)
        } catch let error as DecodingError {
            throw Self.error(error, file: file, place: place)
        } catch {
            throw FileError.trace(.malformed, file: file, field: place, problem: "\(error)")
        }
    }

    private static func error(_ error: DecodingError, file: String, place: String?) -> FileError {
        func field(_ path: [any CodingKey]) -> String? {
            let name = path.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
            let parts = [place, name.isEmpty ? nil : "field \(name)"].compactMap { $0 }
            return parts.isEmpty ? nil : parts.joined(separator: ", ")
        }
        switch error {
        case .keyNotFound(let key, let context):
            return FileError.trace(
                .malformed, file: file, field: field(context.codingPath + [key]), expected: "a value", found: "nothing")
        case .typeMismatch(let type, let context):
            return FileError.trace(
                .malformed, file: file, field: field(context.codingPath), expected: "\(type)", found: "another type")
        case .valueNotFound(let type, let context):
            return FileError.trace(
                .malformed, file: file, field: field(context.codingPath), expected: "\(type)", found: "null")
        case .dataCorrupted(let context):
            return FileError.trace(
                .malformed, file: file, field: field(context.codingPath),
                problem: context.codingPath.isEmpty ? "not valid JSON" : context.debugDescription)
        @unknown default:
            return FileError.trace(.malformed, file: file, field: place, problem: "\(error)")
        }
    }
}
