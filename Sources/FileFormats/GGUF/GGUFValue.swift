/// A metadata value of a GGUF file. Numbers of every width become one of three kinds; arrays keep their elements flat.
public enum GGUFValue: Sendable, Equatable {
    case unsigned(UInt64)
    case signed(Int64)
    /// 32- or 64-bit; a 32-bit number is exact.
    case float(Double)
    case bool(Bool)
    /// As bytes: vocabularies hold pieces that are no UTF-8.
    case string([UInt8])
    case integers([Int64])
    case floats([Float])
    case bools([Bool])
    case strings([[UInt8]])
    /// An array of arrays.
    case arrays([GGUFValue])

    /// An integer, of whatever width, if `Int` holds it.
    public var int: Int? {
        switch self {
        case .unsigned(let value): Int(exactly: value)
        case .signed(let value): Int(value)
        default: nil
        }
    }
    /// Any number.
    public var double: Double? {
        switch self {
        case .unsigned(let value): Double(value)
        case .signed(let value): Double(value)
        case .float(let value): value
        default: nil
        }
    }
    public var bool: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }
    public var string: String? {
        if case .string(let bytes) = self { String(decoding: bytes, as: UTF8.self) } else { nil }
    }
    public var integers: [Int64]? {
        if case .integers(let values) = self { values } else { nil }
    }
    public var floats: [Float]? {
        if case .floats(let values) = self { values } else { nil }
    }
    public var strings: [[UInt8]]? {
        if case .strings(let values) = self { values } else { nil }
    }

    /// What the value is, in the words of an error message.
    public var kindDescription: String {
        switch self {
        case .unsigned(let value): "\(value)"
        case .signed(let value): "\(value)"
        case .float(let value): "\(value)"
        case .bool(let value): "\(value)"
        case .string(let bytes): bytes.count <= 60 ? "\"\(String(decoding: bytes, as: UTF8.self))\"" : "a long string"
        case .integers(let values): "an array of \(values.count) integers"
        case .floats(let values): "an array of \(values.count) numbers"
        case .bools(let values): "an array of \(values.count) truth values"
        case .strings(let values): "an array of \(values.count) strings"
        case .arrays(let values): "an array of \(values.count) arrays"
        }
    }
}
