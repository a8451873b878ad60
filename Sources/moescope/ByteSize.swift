import ArgumentParser

/// A number of bytes as people write it: 12G, 512M, 1.5g; powers of 1,024.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int

    init?(argument: String) {
        let units: [Character: Double] = ["k": 10, "m": 20, "g": 30, "t": 40]
        var text = argument.lowercased()
        for ending in ["ib", "b"] where text.hasSuffix(ending) { text.removeLast(ending.count) }
        var shift = 0.0
        if let last = text.last, let unit = units[last] {
            shift = unit
            text.removeLast()
        }
        guard let number = Double(text), number > 0, number.isFinite else { return nil }
        let value = number * Double(1 << Int(shift))
        guard value >= 1, value < 0x1p62 else { return nil }
        bytes = Int(value)
    }

    var defaultValueDescription: String { "\(bytes)" }
}
