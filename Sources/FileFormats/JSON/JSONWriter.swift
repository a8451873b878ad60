extension JSON {
    public enum Style: Sendable {
        /// No spaces; `<`, `>` and `&` are written as escapes, so that the text can stand inside a `<script>` element and never end it.
        case embedded
        /// Two spaces of indentation, for people; a list without lists or objects in it stays on one line.
        case pretty
    }

    /// The value as text. The same value is the same bytes every time.
    public func serialized(_ style: Style) -> String {
        var bytes: [UInt8] = []
        write(into: &bytes, style: style, depth: 0)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text as a JSON string literal, quotes included. Control characters, and the line separators that scripts
    /// treat as ends of line, are escapes.
    public static func quoted(_ text: String) -> String {
        var bytes: [UInt8] = []
        write(text, into: &bytes, style: .pretty)
        return String(decoding: bytes, as: UTF8.self)
    }

    private func write(into bytes: inout [UInt8], style: Style, depth: Int) {
        switch self {
        case .null: bytes.append(contentsOf: "null".utf8)
        case .bool(let value): bytes.append(contentsOf: (value ? "true" : "false").utf8)
        case .int(let value): bytes.append(contentsOf: String(value).utf8)
        case .double(let value): bytes.append(contentsOf: Self.text(of: value).utf8)
        case .string(let value): Self.write(value, into: &bytes, style: style)
        case .array(let values):
            let inline = style == .embedded || values.allSatisfy(\.isScalar)
            Self.writeList(count: values.count, brackets: ("[", "]"), inline: inline, depth: depth, into: &bytes) {
                values[$0].write(into: &$1, style: style, depth: depth + 1)
            }
        case .object(let members):
            let inline = style == .embedded
            Self.writeList(count: members.count, brackets: ("{", "}"), inline: inline, depth: depth, into: &bytes) {
                Self.write(members.keys[$0], into: &$1, style: style)
                $1.append(contentsOf: (style == .embedded ? ":" : ": ").utf8)
                members.values[$0].write(into: &$1, style: style, depth: depth + 1)
            }
        }
    }

    private var isScalar: Bool {
        switch self {
        case .array, .object: false
        default: true
        }
    }

    private static func writeList(
        count: Int, brackets: (String, String), inline: Bool, depth: Int, into bytes: inout [UInt8],
        element: (Int, inout [UInt8]) -> Void
    ) {
        bytes.append(contentsOf: brackets.0.utf8)
        for index in 0..<count {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            if !inline {
                bytes.append(UInt8(ascii: "\n"))
                bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * (depth + 1)))
            }
            element(index, &bytes)
        }
        if !inline && count > 0 {
            bytes.append(UInt8(ascii: "\n"))
            bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: 2 * depth))
        }
        bytes.append(contentsOf: brackets.1.utf8)
    }

    private static func text(of value: Double) -> String {
        guard value.isFinite else { return "null" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int(value)) }
        return "\(value)"
    }

    private static func write(_ text: String, into bytes: inout [UInt8], style: Style) {
        bytes.append(UInt8(ascii: "\""))
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": bytes.append(contentsOf: #"\""#.utf8)
            case "\\": bytes.append(contentsOf: #"\\"#.utf8)
            case "\n": bytes.append(contentsOf: #"\n"#.utf8)
            case "\r": bytes.append(contentsOf: #"\r"#.utf8)
            case "\t": bytes.append(contentsOf: #"\t"#.utf8)
            case "<" where style == .embedded, ">" where style == .embedded, "&" where style == .embedded,
                "\u{2028}", "\u{2029}", "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}":
                let digits = String(scalar.value, radix: 16)
                bytes.append(contentsOf: #"\u"#.utf8)
                bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: 4 - digits.count))
                bytes.append(contentsOf: digits.utf8)
            default: bytes.append(contentsOf: String(scalar).utf8)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
