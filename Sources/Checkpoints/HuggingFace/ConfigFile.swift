import Foundation
import FileFormats

/// `config.json`, with getters that say which file and field is wrong.
struct ConfigFile: CheckedSettings {
    let path: String
    let object: JSONObject
    /// Where `object` sits in the file: "" or "rope_parameters.".
    var prefix = ""
    /// Every field that was asked for, with its section.
    private let asked: AskedFields

    init(_ url: URL) throws(FileError) {
        path = url.path
        asked = AskedFields()
        let file = try MappedFile(url)
        do throws(JSONSyntaxError) {
            guard let object = try JSON.parse(file.bytes).object else {
                throw JSONSyntaxError.notAnObject
            }
            self.object = object
        } catch {
            throw FileError(.malformed, file: url.path, problem: error.description)
        }
    }

    private init(path: String, object: JSONObject, prefix: String, asked: AskedFields) {
        self.path = path
        self.asked = asked
        self.object = object
        self.prefix = prefix
    }

    /// The value of a field; a JSON null counts as absent.
    subscript(field: String) -> JSON? {
        asked.names.insert(prefix + field)
        guard let value = object[field], !value.isNull else { return nil }
        return value
    }

    /// Whether the field is there and null: the reference then takes no default.
    func isNull(_ field: String) -> Bool { object[field]?.isNull ?? false }

    /// Fields of this section that hold a value and that nobody has asked for, in the file's order.
    var unread: [(field: String, value: JSON)] {
        zip(object.keys, object.values).filter { !$1.isNull && !asked.names.contains(prefix + $0) }.map { ($0, $1) }
    }

    func missing(_ field: String) -> FileError {
        FileError(
            .missing, file: path, field: "field \(prefix)\(field)", expected: "a value", found: "nothing",
            hint: "the model cannot be built without it")
    }

    func wrong(_ field: String, expected: String) -> FileError { wrong(field, expected: expected, hint: nil) }

    func wrong(_ field: String, expected: String, hint: String?) -> FileError {
        FileError(
            .mismatch, file: path, field: "field \(prefix)\(field)", expected: expected,
            found: object[field]?.kindDescription ?? "nothing", hint: hint)
    }

    func optionalSize(_ field: String) throws(FileError) -> Int? { try optionalSize(field, from: 1) }

    func optionalSize(_ field: String, from lowest: Int) throws(FileError) -> Int? {
        guard let value = self[field] else { return nil }
        // 2³¹ keeps every product of two sizes far from overflow.
        guard let size = value.int, size >= lowest, size <= 1 << 31 else {
            throw wrong(field, expected: "an integer from \(lowest) to 2³¹")
        }
        return size
    }

    func optionalString(_ field: String) throws(FileError) -> String? {
        guard let value = self[field] else { return nil }
        guard let text = value.string else { throw wrong(field, expected: "a string") }
        return text
    }

    func numbers(_ field: String) throws(FileError) -> [Float] {
        guard let list = self[field]?.array else { throw wrong(field, expected: "an array of numbers") }
        var result: [Float] = []
        for value in list {
            guard let number = value.double else { throw wrong(field, expected: "an array of numbers") }
            result.append(Float(number))
        }
        return result
    }

    /// A field that holds an object of its own.
    func section(_ field: String) throws(FileError) -> ConfigFile? {
        guard let value = self[field] else { return nil }
        guard let object = value.object else { throw wrong(field, expected: "an object") }
        return ConfigFile(path: path, object: object, prefix: "\(prefix)\(field).", asked: asked)
    }

    /// A token id, or the first of a list of them.
    func token(_ field: String, vocabularySize: Int) throws(FileError) -> Int32? {
        guard let value = self[field] else { return nil }
        let first = value.array.map { $0.first } ?? value
        guard let id = first?.int, 0..<vocabularySize ~= id else {
            throw wrong(field, expected: "a token id below \(vocabularySize)")
        }
        return Int32(id)
    }
}

/// What readers of one file have asked for so far.
private final class AskedFields {
    var names: Set<String> = []
}
