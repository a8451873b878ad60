/// Numbers of bytes as people write them.
public enum ByteCount {
    /// "12G", "512M", "1.5g", "1048576": powers of 1,024; nil for anything else, and for less than one byte.
    public static func parse(_ text: String) -> Int? {
        let units: [Character: Double] = ["k": 10, "m": 20, "g": 30, "t": 40]
        var text = text.lowercased()
        for ending in ["ib", "b"] where text.hasSuffix(ending) { text.removeLast(ending.count) }
        var shift = 0.0
        if let last = text.last, let unit = units[last] {
            shift = unit
            text.removeLast()
        }
        guard let number = Double(text), number > 0, number.isFinite else { return nil }
        let value = number * Double(1 << Int(shift))
        guard value >= 1, value < 0x1p62 else { return nil }
        return Int(value)
    }
}
