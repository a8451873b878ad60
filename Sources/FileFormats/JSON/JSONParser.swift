import Foundation

/// Why a text is not JSON, and where.
public struct JSONSyntaxError: Error, Sendable, CustomStringConvertible {
    public let message: String
    /// Byte offset from the start of the text.
    public let offset: Int
    public var description: String { "\(message) at byte \(offset)" }

    public init(message: String, offset: Int) {
        self.message = message
        self.offset = offset
    }
}

extension JSON {
    /// Parses a whole text (UTF-8, RFC 8259). Nothing may follow the value but white space.
    ///
    /// Arrays and objects may be nested up to 200 deep: deeper ones are refused, so that no file can exhaust the stack.
    /// - Parameter allowsLongMarks: whether strings that are no keys may have `StreamSafety.mostMarks` combining marks in a row:
    ///   for texts, which are not compared or looked up.
    public static func parse(
        _ bytes: UnsafeRawBufferPointer, allowsLongMarks: Bool = false
    ) throws(JSONSyntaxError) -> JSON {
        var parser = JSONParser(bytes: bytes, allowsLongMarks: allowsLongMarks)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error("something follows the JSON value") }
        return value
    }

    public static func parse(_ text: [UInt8]) throws(JSONSyntaxError) -> JSON { try parse(contiguous: text) }

    /// Whether a text is JSON that this program reads, for those who read it with another parser after that.
    package static func check(_ text: Data, allowsLongMarks: Bool = false) throws(JSONSyntaxError) {
        _ = try parse(contiguous: text, allowsLongMarks: allowsLongMarks)
    }

    private static func parse(
        contiguous text: some ContiguousBytes, allowsLongMarks: Bool = false
    ) throws(JSONSyntaxError) -> JSON {
        // withUnsafeBytes has no typed throws for all closures; a Result carries the error through.
        let result = text.withUnsafeBytes { bytes in
            Result { () throws(JSONSyntaxError) -> JSON in try parse(bytes, allowsLongMarks: allowsLongMarks) }
        }
        return try result.get()
    }
}

private struct JSONParser {
    let bytes: UnsafeRawBufferPointer
    let allowsLongMarks: Bool
    var position = 0

    func error(_ message: String) -> JSONSyntaxError { JSONSyntaxError(message: message, offset: position) }

    var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0A, 0x0D: position += 1
            default: return
            }
        }
    }

    mutating func value(depth: Int) throws(JSONSyntaxError) -> JSON {
        guard depth < 200 else { throw error("nested too deep") }
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return .object(try object(depth: depth))
        case UInt8(ascii: "["): return .array(try array(depth: depth))
        case UInt8(ascii: "\""): return .string(try string(isKey: false))
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        // Python's json writes these three, and transformers' configs hold them.
        case UInt8(ascii: "N"): return try literal("NaN", .double(.nan))
        case UInt8(ascii: "I"): return try literal("Infinity", .double(.infinity))
        case UInt8(ascii: "-"), (UInt8(ascii: "0")...UInt8(ascii: "9"))?: return try number()
        case nil: throw error("the text ends where a value is expected")
        default: throw error("no JSON value starts like this")
        }
    }

    private mutating func literal(_ text: StaticString, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        let count = text.utf8CodeUnitCount
        guard position + count <= bytes.count else { throw error("the text ends inside \(text)") }
        for index in 0..<count where bytes[position + index] != text.utf8Start[index] {
            throw error("expected \(text)")
        }
        position += count
        return value
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSONObject {
        position += 1
        var result = JSONObject()
        skipSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return result
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw error("expected a key in quotes") }
            let key = try string(isKey: true)
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw error("expected ':' after key \"\(key)\"") }
            position += 1
            let member = try value(depth: depth + 1)
            guard result.append(key: key, value: member) else { throw error("key \"\(key)\" appears twice") }
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return result
            default: throw error("expected ',' or '}'")
            }
        }
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> [JSON] {
        position += 1
        var result: [JSON] = []
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return result
        }
        while true {
            result.append(try value(depth: depth + 1))
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return result
            default: throw error("expected ',' or ']'")
            }
        }
    }

    private mutating func number() throws(JSONSyntaxError) -> JSON {
        let start = position
        var isInteger = true
        if current == UInt8(ascii: "-") {
            position += 1
            if current == UInt8(ascii: "I") { return try literal("Infinity", .double(-.infinity)) }
        }
        scan: while let byte = current {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): break
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
                isInteger = false
            default: break scan
            }
            position += 1
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int(text) { return .int(value) }
        guard let value = Double(text) else {
            position = start
            throw error("'\(text)' is not a number")
        }
        return .double(value)
    }

    private mutating func string(isKey: Bool) throws(JSONSyntaxError) -> String {
        let text = try string()
        guard StreamSafety.isSafe(text) || (allowsLongMarks && !isKey) else { throw error(StreamSafety.problem) }
        return text
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        position += 1
        let start = position
        // Most strings have no escape: they are copied in one piece.
        while let byte = current {
            if byte == UInt8(ascii: "\"") {
                let slice = UnsafeRawBufferPointer(rebasing: bytes[start..<position])
                guard let text = String(validating: slice, as: UTF8.self) else { throw error("invalid UTF-8") }
                position += 1
                return text
            }
            if byte == UInt8(ascii: "\\") { break }
            guard byte >= 0x20 else { throw error("unescaped control character in a string") }
            position += 1
        }
        var collected = Array(bytes[start..<position])
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: collected, as: UTF8.self) else { throw error("invalid UTF-8") }
                position += 1
                return text
            case UInt8(ascii: "\\"):
                position += 1
                try escape(into: &collected)
            default:
                guard byte >= 0x20 else { throw error("unescaped control character in a string") }
                collected.append(byte)
                position += 1
            }
        }
        throw error("the text ends inside a string")
    }

    private mutating func escape(into collected: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = current else { throw error("the text ends inside a string") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): collected.append(byte)
        case UInt8(ascii: "b"): collected.append(0x08)
        case UInt8(ascii: "f"): collected.append(0x0C)
        case UInt8(ascii: "n"): collected.append(0x0A)
        case UInt8(ascii: "r"): collected.append(0x0D)
        case UInt8(ascii: "t"): collected.append(0x09)
        case UInt8(ascii: "u"):
            var code = try hexDigits()
            if (0xD800..<0xDC00).contains(code), current == UInt8(ascii: "\\"), position + 1 < bytes.count,
                bytes[position + 1] == UInt8(ascii: "u")
            {
                let back = position
                position += 2
                let low = try hexDigits()
                if (0xDC00..<0xE000).contains(low) {
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                } else {
                    position = back
                }
            }
            // A lone surrogate has no UTF-8; U+FFFD stands for it.
            let scalar = Unicode.Scalar(code) ?? "\u{FFFD}"
            collected.append(contentsOf: String(Character(scalar)).utf8)
        default: throw error("unknown escape in a string")
        }
    }

    private mutating func hexDigits() throws(JSONSyntaxError) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw error("\\u needs four hexadecimal digits")
            }
            code = code << 4 | UInt32(digit)
            position += 1
        }
        return code
    }
}

extension JSONSyntaxError {
    package static var notAnObject: JSONSyntaxError { JSONSyntaxError(message: "expected a JSON object", offset: 0) }
}
