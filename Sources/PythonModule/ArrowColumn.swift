import CPython

/// One column in Arrow's memory layout: validity bits, then values (int64, float64, bits) or offsets and UTF-8 text.
final class ArrowColumn {
    let length: Int
    let nullCount: Int
    /// Validity (nil where nothing is missing), then one or two buffers of values.
    let buffers: [UnsafeMutableRawPointer?]

    init(_ values: TableStorage.Values) {
        length = values.count
        switch values {
        case .ints(let values):
            nullCount = values.count { $0 == nil }
            buffers = [
                Self.bits(values.map { $0 != nil }, needed: nullCount > 0), Self.copy(values.map { Int64($0 ?? 0) }),
            ]
        case .floats(let values):
            nullCount = values.count { $0 == nil }
            buffers = [
                Self.bits(values.map { $0 != nil }, needed: nullCount > 0), Self.copy(values.map { $0 ?? .nan }),
            ]
        case .bools(let values):
            nullCount = values.count { $0 == nil }
            buffers = [
                Self.bits(values.map { $0 != nil }, needed: nullCount > 0),
                Self.bits(values.map { $0 ?? false }, needed: true),
            ]
        case .strings(let values):
            nullCount = values.count { $0 == nil }
            var offsets: [Int64] = [0]
            var text: [UInt8] = []
            offsets.reserveCapacity(values.count + 1)
            for value in values {
                text.append(contentsOf: (value ?? "").utf8)
                offsets.append(Int64(text.count))
            }
            buffers = [
                Self.bits(values.map { $0 != nil }, needed: nullCount > 0), Self.copy(offsets), Self.copy(text),
            ]
        }
    }

    deinit { for buffer in buffers { buffer?.deallocate() } }

    /// At least 64 bytes and a multiple of them, as Arrow recommends.
    private static func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(64, (byteCount + 63) & ~63), alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: max(64, (byteCount + 63) & ~63))
        return memory
    }

    private static func copy<Element: BitwiseCopyable>(_ values: [Element]) -> UnsafeMutableRawPointer {
        values.withUnsafeBytes { source in
            let memory = allocate(source.count)
            if let base = source.baseAddress { memory.copyMemory(from: base, byteCount: source.count) }
            return memory
        }
    }

    private static func bits(_ values: [Bool], needed: Bool) -> UnsafeMutableRawPointer? {
        guard needed else { return nil }
        let memory = allocate((values.count + 7) / 8)
        let bytes = memory.assumingMemoryBound(to: UInt8.self)
        for (index, value) in values.enumerated() where value { bytes[index / 8] |= 1 << UInt8(index % 8) }
        return memory
    }
}

extension ArrowColumn {
    /// Arrow's letter for the type of a column.
    static func format(of values: TableStorage.Values) -> String {
        switch values {
        case .ints: "l"
        case .floats: "g"
        case .bools: "b"
        // Text with 64-bit offsets: no limit on the text of a column.
        case .strings: "U"
        }
    }
}
