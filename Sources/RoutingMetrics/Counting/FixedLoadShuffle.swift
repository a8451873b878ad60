import Tensors

/// Random tables of tokens × experts in which every token has as many experts as it has, and every expert as many tokens: what the
/// load of a document and the number of choices per token leave to chance. All such tables are equally likely, as they are where tokens
/// draw their sets independently of each other with probabilities Π_{e ∈ S} w_e.
///
/// A table changes by trades: of two tokens, the experts that only one of them has are dealt anew (Strona et al., Nature
/// Communications 5, 2014; uniform by Carstens, Physical Review E 91, 2015). A round pairs all tokens at random (Carstens,
/// Hamann, Meyer, Penschuck, Tran & Wagner, ESA 2018).
///
/// Fitting a symmetric table without diagonal to the load (quasi-independence) would be shorter, and wrong for more than two experts a
/// token: with four of eight at uneven load, every second pair of experts seems to be chosen together too often or too rarely.
package struct FixedLoadShuffle {
    /// Rounds before the first table, and tables, one round apart.
    static let (warmUp, tables) = (10, 10)

    private let words: Int
    private let count: Int
    /// [tokens, words]: bits of the chosen experts.
    private var sets: [UInt64]
    private var order: [Int]
    private var generator: SeededGenerator
    private var pool: [Int] = []

    /// - Parameters:
    ///   - chosen: [rows, slots]
    ///   - rows: those of the document.
    package init(
        _ chosen: [UInt16], rows: Range<Int>, slots: Int, experts: Int, generator: SeededGenerator
    ) {
        words = (experts + 63) / 64
        count = rows.count
        sets = [UInt64](repeating: 0, count: rows.count * words)
        order = Array(0..<rows.count)
        self.generator = generator
        for (place, row) in rows.enumerated() {
            for slot in row * slots..<(row + 1) * slots where Int(chosen[slot]) < experts {
                sets[place * words + Int(chosen[slot]) / 64] |= 1 << UInt64(chosen[slot] % 64)
            }
        }
    }

    /// How often two experts are chosen by the same token, on average over the tables.
    /// - Parameter add: gets pairs i < j, each once per token and table, and what to count it as.
    package mutating func pairs(add: (_ i: Int, _ j: Int, _ weight: Double) -> Void) {
        // A token alone has no one to trade with.
        let tables = count > 1 ? Self.tables : 1
        for _ in 0..<Self.warmUp { round() }
        for _ in 0..<tables {
            round()
            for token in 0..<count {
                experts(of: token)
                for (place, j) in pool.enumerated() {
                    for i in pool[..<place] { add(i, j, 1 / Double(tables)) }
                }
            }
        }
    }

    /// Fills `pool`, rising.
    private mutating func experts(of token: Int) {
        pool.removeAll(keepingCapacity: true)
        for word in 0..<words { append(sets[token * words + word], word) }
    }

    private mutating func append(_ bits: UInt64, _ word: Int) {
        var bits = bits
        while bits != 0 {
            pool.append(word * 64 + bits.trailingZeroBitCount)
            bits &= bits - 1
        }
    }

    private mutating func round() {
        order.withUnsafeMutableBufferPointer { generator.shuffle($0, 0..<$0.count) }
        for place in stride(from: 0, to: count - 1, by: 2) { trade(order[place] * words, order[place + 1] * words) }
    }

    private mutating func trade(_ a: Int, _ b: Int) {
        pool.removeAll(keepingCapacity: true)
        var own = 0
        for word in 0..<words {
            let (left, right) = (sets[a + word], sets[b + word])
            own += (left & ~right).nonzeroBitCount
            append(left ^ right, word)
        }
        guard own > 0, own < pool.count else { return }
        for word in 0..<words {
            let both = sets[a + word] & sets[b + word]
            sets[a + word] = both
            sets[b + word] = both
        }
        for place in pool.indices {
            if place < own { pool.swapAt(place, place + generator.below(pool.count - place)) }
            sets[(place < own ? a : b) + pool[place] / 64] |= 1 << UInt64(pool[place] % 64)
        }
    }
}
