import FileFormats

/// Changes made to JSON as JSON: what comes out is mostly well formed, and says what cannot be.
struct JSONMutations {
    var bytes: ByteMutations

    private static let largest = 1 << 19

    private static let strings = [
        "", " ", "\u{0}", "../../x", "/dev/zero", "a\u{301}", "á", "\u{202E}x", "💥", "<0x0A>", "<0xZZ>", "▁", "Ġ",
        "null", "NaN", "F64", "F32", "BF16", "U8", "I64", "(", "[a-", "(a+)+$", "\\p{L}", "{{ 1 }}", "mixtral",
        "{{ x", "{% for i in range(999999999) %}{% endfor %}", "linear", "yarn", "\n", "…",
    ]

    /// - Parameter text: where it is no JSON, bytes are changed.
    mutating func change(_ text: inout [UInt8], donor: [UInt8]) {
        // Changes add up: what is large already does not grow any more.
        guard text.count < Self.largest, !bytes.chance(5), var json = try? JSON.parse(text) else {
            return bytes.change(&text, donor: donor)
        }
        var place = bytes.below(max(1, Self.count(json)))
        json = edit(json, &place)
        text = Array(json.serialized(bytes.chance(2) ? .embedded : .pretty).utf8)
        if bytes.chance(8) { bytes.change(&text, donor: donor) }
        if bytes.chance(40) { repeatKey(&text) }
    }

    /// One line of a file of lines; or lines are repeated, dropped or exchanged.
    mutating func changeLines(_ text: inout [UInt8], donor: [UInt8]) {
        var lines = text.split(separator: 0x0A, omittingEmptySubsequences: false).map(Array.init)
        let place = bytes.below(lines.count)
        switch bytes.below(8) {
        case 0: lines.remove(at: place)
        case 1: lines.insert(lines[bytes.below(lines.count)], at: place)
        case 2: lines.swapAt(place, bytes.below(lines.count))
        case 3: bytes.change(&lines[place], donor: donor)
        default: change(&lines[place], donor: lines[bytes.below(lines.count)])
        }
        text = Array(lines.joined(separator: [0x0A]))
    }

    private static func count(_ json: JSON) -> Int {
        switch json {
        case .array(let values): 1 + values.reduce(0) { $0 + count($1) }
        case .object(let members): 1 + members.values.reduce(0) { $0 + count($1) }
        default: 1
        }
    }

    /// Goes through the values in the order of the file, and changes the one that `place` counts down to.
    private mutating func edit(_ json: JSON, _ place: inout Int) -> JSON {
        defer { place -= 1 }
        if place == 0 { return changed(json) }
        switch json {
        case .array(let values):
            var result: [JSON] = []
            for value in values {
                let size = Self.count(value)
                if place > 0, place <= size {
                    place -= 1
                    if place == 0, bytes.chance(6) {
                        // Left out.
                        place = -1
                        continue
                    }
                    var inner = place
                    result.append(edit(value, &inner))
                    place = -1
                } else {
                    place -= place > 0 ? size : 0
                    result.append(value)
                }
            }
            return .array(result)
        case .object(let members):
            var result: [(String, JSON)] = []
            for (key, value) in zip(members.keys, members.values) {
                let size = Self.count(value)
                if place > 0, place <= size {
                    place -= 1
                    var inner = place
                    switch place == 0 ? bytes.below(12) : 11 {
                    case 0: break
                    case 1: result.append((bytes.pick(Self.strings), value))
                    case 2: result += [(key, value), (bytes.pick(Self.strings) + key, value)]
                    default: result.append((key, edit(value, &inner)))
                    }
                    place = -1
                } else {
                    place -= place > 0 ? size : 0
                    result.append((key, value))
                }
            }
            return .object(JSONObject(result))
        default: return json
        }
    }

    private mutating func changed(_ json: JSON) -> JSON {
        switch bytes.below(10) {
        case 0: return bytes.pick([.null, .bool(true), .bool(false), .array([]), .object([:]), .string("")])
        case 1: return .array([json])
        case 2: return .object(["x": json])
        case 3: return .array(Array(repeating: json, count: bytes.pick([0, 2, 3, 100])))
        case 4 where bytes.chance(8):
            return (0..<bytes.pick([50, 150, 300])).reduce(json) { value, _ in .array([value]) }
        default: break
        }
        switch json {
        case .int(let value):
            return bytes.chance(3) ? .int(value &+ bytes.below(9) &- 4) : .int(Int(bytes.boundary()))
        case .double(let value):
            return .double(
                bytes.pick([0, -value, value * 1e10, .nan, 1e308, -1e308, .leastNonzeroMagnitude, 1, -1, 2, 0.5]))
        case .bool(let value): return .bool(!value)
        case .string(let text):
            switch bytes.below(6) {
            case 0: return .string(text + text)
            case 1: return .string(String(repeating: bytes.pick(Self.strings), count: bytes.pick([1, 10, 3000])))
            case 2: return .int(Int(bytes.boundary()))
            case 3:
                var changed = Array(text.utf8)
                bytes.change(&changed)
                return .string(String(decoding: changed, as: UTF8.self))
            default: return .string(bytes.pick(Self.strings))
            }
        case .array(var values):
            guard !values.isEmpty else { return .array([.int(Int(bytes.boundary()))]) }
            let (one, two) = (bytes.below(values.count), bytes.below(values.count))
            switch bytes.below(4) {
            case 0: values.swapAt(one, two)
            case 1: values[one] = values[two]
            case 2: values.insert(values[one], at: two)
            default: values += Array(repeating: values[one], count: bytes.pick([1, 10, 500]))
            }
            return .array(values)
        case .object(let members):
            guard members.count > 1 else { return .object(["": .null]) }
            var pairs = Array(zip(members.keys, members.values))
            let (one, two) = (bytes.below(pairs.count), bytes.below(pairs.count))
            pairs[one].1 = pairs[two].1
            return .object(JSONObject(pairs))
        case .null: return .int(Int(bytes.boundary()))
        }
    }

    /// Writes the first key a second time.
    private mutating func repeatKey(_ text: inout [UInt8]) {
        guard let open = text.firstIndex(of: UInt8(ascii: "{")),
            let quote = text[open...].firstIndex(of: UInt8(ascii: "\"")),
            let end = text[(quote + 1)...].firstIndex(of: UInt8(ascii: "\""))
        else { return }
        text.insert(contentsOf: Array(text[quote...end]) + Array(":1,".utf8), at: quote)
    }
}
