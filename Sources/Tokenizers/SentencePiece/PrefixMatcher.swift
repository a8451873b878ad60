/// Finds user-defined pieces, which are never split nor merged, at the start of a text: the longest wins.
struct PrefixMatcher: Sendable {
    /// By first byte, longest first.
    private var byFirstByte = [[[UInt8]]](repeating: [], count: 256)
    private let isEmpty: Bool

    init(_ pieces: [[UInt8]]) {
        isEmpty = pieces.isEmpty
        for piece in pieces {
            if let first = piece.first { byFirstByte[Int(first)].append(piece) }
        }
        for index in byFirstByte.indices { byFirstByte[index].sort { $0.count > $1.count } }
    }

    /// Bytes of the longest piece that the text starts with, or nil.
    @inline(__always)
    func match(_ bytes: UnsafePointer<UInt8>, _ available: Int) -> Int? {
        isEmpty ? nil : search(bytes, available)
    }

    private func search(_ bytes: UnsafePointer<UInt8>, _ available: Int) -> Int? {
        for piece in byFirstByte[Int(bytes[0])] where piece.count <= available {
            var index = 0
            while index < piece.count, piece[index] == bytes[index] { index += 1 }
            if index == piece.count { return index }
        }
        return nil
    }
}
