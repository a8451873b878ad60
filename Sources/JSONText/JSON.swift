/// A JSON value as it stands in a file: integers exact, object members in their order, keys compared byte by byte.
///
/// Foundation's parser is not used where this one is because Swift's `String` equality is canonical equivalence (two
/// different vocabulary pieces can be "equal"), because a repeated key must be an error in a checkpoint, and because
/// an offset of 2⁶³ must not turn into a rounded `Double`.
public enum JSON: Sendable {
    case null
    case bool(Bool)
    /// A number without fraction or exponent that fits `Int`.
    case int(Int)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

/// The members of a JSON object, in the order of the file.
public struct JSONObject: Sendable {
    public private(set) var keys: [String] = []
    public private(set) var values: [JSON] = []
    private var indexOfKey: [[UInt8]: Int] = [:]

    public init() {}

    public var count: Int { keys.count }

    public subscript(key: String) -> JSON? { indexOfKey[Array(key.utf8)].map { values[$0] } }

    /// Appends a member; false (and no change) where the key is there already.
    mutating func append(key: String, value: JSON) -> Bool {
        let index = keys.count
        guard indexOfKey.updateValue(index, forKey: Array(key.utf8)) == nil else { return false }
        keys.append(key)
        values.append(value)
        return true
    }
}

extension JSON {
    public var isNull: Bool {
        if case .null = self { true } else { false }
    }
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }
    public var int: Int? {
        if case .int(let value) = self { value } else { nil }
    }
    /// Any number.
    public var double: Double? {
        switch self {
        case .int(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }
    public var string: String? {
        if case .string(let value) = self { value } else { nil }
    }
    public var array: [JSON]? {
        if case .array(let value) = self { value } else { nil }
    }
    public var object: JSONObject? {
        if case .object(let value) = self { value } else { nil }
    }

    /// What the value is, in the words of an error message: "a string", "null", "12".
    public var kindDescription: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .int(let value): "\(value)"
        case .double(let value): "\(value)"
        case .string(let value): value.utf8.count <= 60 ? "\"\(value)\"" : "a string of \(value.utf8.count) bytes"
        case .array(let value): "an array of \(value.count)"
        case .object: "an object"
        }
    }
}
