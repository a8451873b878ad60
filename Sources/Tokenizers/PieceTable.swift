/// Maps the bytes of a vocabulary piece to its id: a hash table over one block of memory, without a `String` in sight.
///
/// Pieces are compared byte by byte: Swift's `String` would take canonically equivalent pieces for one.
final class PieceTable: @unchecked Sendable {
    /// Bytes of all pieces, one after the other; piece i is `starts[i]..<starts[i + 1]`. Never changed after `init`.
    private let bytes: UnsafeMutablePointer<UInt8>
    private let starts: UnsafeMutablePointer<Int32>
    /// Ids by hash, -1 where empty.
    private let slots: UnsafeMutablePointer<Int32>
    private let slotMask: Int
    let count: Int
    /// Bytes of the longest piece that can be found.
    let longest: Int
    /// The first id whose bytes an earlier one has too.
    let duplicate: Int?

    /// - Parameter findable: whether `find` may return the piece (control pieces must not be found in text).
    init(_ pieces: [[UInt8]], findable: (Int) -> Bool = { _ in true }) {
        count = pieces.count
        bytes = .allocate(capacity: max(1, pieces.reduce(0) { $0 + $1.count }))
        starts = .allocate(capacity: pieces.count + 1)
        var capacity = 16
        while capacity < 2 * pieces.count { capacity *= 2 }
        slotMask = capacity - 1
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: -1, count: capacity)
        var longest = 0
        var duplicate: Int?
        var position = 0
        for (id, piece) in pieces.enumerated() {
            starts[id] = Int32(position)
            for byte in piece {
                (bytes + position).initialize(to: byte)
                position += 1
            }
            starts[id + 1] = Int32(position)
            guard findable(id) else { continue }
            let key = UnsafePointer(bytes) + Int(starts[id])
            if Self.find(key, piece.count, bytes, starts, slots, slotMask) >= 0 {
                duplicate = duplicate ?? id
                continue
            }
            longest = max(longest, piece.count)
            var slot = Self.hash(key, piece.count) & slotMask
            while slots[slot] >= 0 { slot = (slot + 1) & slotMask }
            slots[slot] = Int32(id)
        }
        if pieces.isEmpty { starts[0] = 0 }
        self.longest = longest
        self.duplicate = duplicate
    }

    deinit {
        bytes.deallocate()
        starts.deallocate()
        slots.deallocate()
    }

    /// The id of these bytes, or -1.
    @inline(__always)
    func find(_ key: UnsafePointer<UInt8>, _ length: Int) -> Int32 {
        length > longest ? -1 : Self.find(key, length, bytes, starts, slots, slotMask)
    }

    func find(_ key: [UInt8]) -> Int32? {
        let id = key.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { find($0, buffer.count) } ?? -1
        }
        return id < 0 ? nil : id
    }

    /// The bytes of a piece; empty for an id out of range.
    subscript(id: Int32) -> UnsafeBufferPointer<UInt8> {
        guard id >= 0, id < count else { return UnsafeBufferPointer(start: nil, count: 0) }
        let start = Int(starts[Int(id)])
        return UnsafeBufferPointer(start: bytes + start, count: Int(starts[Int(id) + 1]) - start)
    }

    private static func find(
        _ key: UnsafePointer<UInt8>, _ length: Int, _ bytes: UnsafePointer<UInt8>, _ starts: UnsafePointer<Int32>,
        _ slots: UnsafePointer<Int32>, _ mask: Int
    ) -> Int32 {
        var slot = hash(key, length) & mask
        while true {
            let id = slots[slot]
            if id < 0 { return -1 }
            let start = Int(starts[Int(id)])
            if Int(starts[Int(id) + 1]) - start == length {
                var index = 0
                while index < length, bytes[start &+ index] == key[index] { index &+= 1 }
                if index == length { return id }
            }
            slot = (slot &+ 1) & mask
        }
    }

    /// FNV-1a; pieces are short.
    private static func hash(_ key: UnsafePointer<UInt8>, _ length: Int) -> Int {
        var value: UInt64 = 0xcbf2_9ce4_8422_2325
        var index = 0
        while index < length {
            value = (value ^ UInt64(key[index])) &* 0x100_0000_01b3
            index &+= 1
        }
        return Int(truncatingIfNeeded: value ^ value >> 29)
    }
}
