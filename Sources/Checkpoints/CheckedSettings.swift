import FileFormats

/// A value of a settings file, whatever the format.
protocol SettingValue {
    var int: Int? { get }
    var double: Double? { get }
    var bool: Bool? { get }
}

extension JSON: SettingValue {}
extension GGUFValue: SettingValue {}

/// `config.json`, or the metadata of a GGUF file: getters that say which file and field is wrong.
protocol CheckedSettings {
    associatedtype Value: SettingValue

    /// The value of a field; nil where it is absent.
    subscript(field: String) -> Value? { get }
    func optionalSize(_ field: String) throws(FileError) -> Int?
    func missing(_ field: String) -> FileError
    func wrong(_ field: String, expected: String) -> FileError
}

extension CheckedSettings {
    func size(_ field: String) throws(FileError) -> Int {
        guard let size = try optionalSize(field) else { throw missing(field) }
        return size
    }

    func optionalNumber(_ field: String) throws(FileError) -> Float? {
        guard let value = self[field] else { return nil }
        guard let number = value.double, number.isFinite else { throw wrong(field, expected: "a number") }
        return Float(number)
    }

    func flag(_ field: String, default fallback: Bool) throws(FileError) -> Bool {
        guard let value = self[field] else { return fallback }
        guard let flag = value.bool else { throw wrong(field, expected: "true or false") }
        return flag
    }
}
