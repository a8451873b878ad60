/// A JSON value as it stands in a file: integers exact, object members in their order, keys compared byte by byte.
///
/// Foundation's parser is not used where this one is because Swift's `String` equality is canonical equivalence (two
/// different vocabulary pieces can be "equal"), because a repeated key must be an error in a checkpoint, and because
/// an offset of 2⁶³ must not turn into a rounded `Double`. Foundation's writer is not used because it does not keep the
/// order of members.
public enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number without fraction or exponent that fits `Int`.
    case int(Int)
    /// Written in its shortest form that reads back to the same value; NaN and infinities are written as null.
    case double(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

/// The members of a JSON object, in the order of the file.
public struct JSONObject: Sendable, Equatable {
    public private(set) var keys: [String] = []
    public private(set) var values: [JSON] = []
    private var indexOfKey: [[UInt8]: Int] = [:]

    public init() {}

    public var count: Int { keys.count }

    /// Setting a member that is there keeps its place; a new one comes last. Setting nil does nothing: members are never taken out.
    public subscript(key: String) -> JSON? {
        get { indexOfKey[Array(key.utf8)].map { values[$0] } }
        set {
            guard let newValue else { return }
            if let index = indexOfKey[Array(key.utf8)] {
                values[index] = newValue
            } else {
                _ = append(key: key, value: newValue)
            }
        }
    }

    /// The same keys with the same values, in any order.
    public static func == (left: JSONObject, right: JSONObject) -> Bool {
        left.count == right.count && zip(left.keys, left.values).allSatisfy { right[$0] == $1 }
    }

    /// Appends a member; false (and no change) where the key is there already.
    mutating func append(key: String, value: JSON) -> Bool {
        let index = keys.count
        guard indexOfKey[Array(key.utf8)] == nil else { return false }
        indexOfKey[Array(key.utf8)] = index
        keys.append(key)
        values.append(value)
        return true
    }

    /// The members of both; where both have a key, the place of this object's and the value of the other's.
    public func merging(_ other: JSONObject) -> JSONObject {
        var result = self
        for (key, value) in zip(other.keys, other.values) { result[key] = value }
        return result
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

extension JSON {
    /// The members of two objects, as `JSONObject.merging` joins them; the other value where either is no object.
    public func merging(_ other: JSON) -> JSON {
        guard case .object(let members) = self, case .object(let others) = other else { return other }
        return .object(members.merging(others))
    }

    /// Every string replaced by what `transform` makes of it; keys stay.
    public func mappingStrings(_ transform: (String) -> JSON) -> JSON {
        switch self {
        case .string(let text): return transform(text)
        case .array(let values): return .array(values.map { $0.mappingStrings(transform) })
        case .object(let members):
            var result = JSONObject()
            for (key, value) in zip(members.keys, members.values) { result[key] = value.mappingStrings(transform) }
            return .object(result)
        case .null, .bool, .int, .double: return self
        }
    }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
    public init(_ members: some Sequence<(String, JSON)>) {
        for (key, value) in members { self[key] = value }
    }

    public init(dictionaryLiteral elements: (String, JSON)...) { self.init(elements) }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
    public init(stringLiteral value: String) { self = .string(value) }
    public init(integerLiteral value: Int) { self = .int(value) }
    public init(floatLiteral value: Double) { self = .double(value) }
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    public init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }
}
