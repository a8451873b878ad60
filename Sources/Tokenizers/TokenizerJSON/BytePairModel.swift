import FileFormats

/// Byte-pair merging by rank, as `tokenizer.json` (model type BPE) and GGUF's "gpt2" vocabularies describe it.
struct BytePairModel: Sendable {
    /// What a word is first taken apart into.
    enum Alphabet: Sendable {
        /// Bytes, each a piece of the vocabulary.
        case bytes
        /// Characters; unknown ones fall back to `<0x..>` pieces, where there are.
        case characters(byteFallback: Bool)
    }

    struct Options: Sendable, Equatable {
        /// Whether characters that are no piece become `<0x..>` pieces.
        var byteFallback = false
        /// What unknown characters become; nil: nothing.
        var unknownPiece: [UInt8]?
        /// Whether a run of unknown characters is one token.
        var fusesUnknown = false
        /// Whether a word that is a piece is taken whole, whatever the merges say.
        var ignoresMerges = false
    }

    let pieces: PieceTable
    let alphabet: Alphabet
    let options: Options
    /// What unknown characters become; nil: nothing.
    private let unknown: Int32?
    /// Id of the piece of each byte, -1 where there is none.
    private let byteIDs: [Int32]
    /// (left id, right id) to (rank, id of both).
    private let merges: [UInt64: Merge]

    struct Merge: Sendable {
        let rank: UInt32
        let id: Int32
    }

    /// - Parameter pairs: left and right piece of every merge, the first merged first.
    init(
        pieces: PieceTable, alphabet: Alphabet, options: Options = Options(),
        pairs: [([UInt8], [UInt8])], file: String
    ) throws(TokenizerError) {
        self.pieces = pieces
        self.alphabet = alphabet
        self.options = options
        unknown = options.unknownPiece.flatMap { pieces.find($0) }
        byteIDs = (0..<256).map { byte in
            switch alphabet {
            case .bytes: pieces.find(ByteAlphabet.encode([UInt8(byte)])) ?? -1
            case .characters: pieces.find(Self.bytePiece(UInt8(byte))) ?? -1
            }
        }
        var merges: [UInt64: Merge] = [:]
        merges.reserveCapacity(pairs.count)
        for (rank, pair) in pairs.enumerated() {
            guard let left = pieces.find(pair.0), let right = pieces.find(pair.1),
                let both = pieces.find(pair.0 + pair.1)
            else {
                throw TokenizerError(
                    file: file, subject: "merge \(rank)",
                    problem: "\"\(String(decoding: pair.0, as: UTF8.self))\" and "
                        + "\"\(String(decoding: pair.1, as: UTF8.self))\" or both together are not in the vocabulary")
            }
            // The last of two equal merges counts, as in the reference.
            merges[Self.key(left, right)] = Merge(rank: UInt32(rank), id: both)
        }
        self.merges = merges
    }

    /// "left right" of every merge, the first merged first.
    var mergesByRank: [[UInt8]] {
        merges.sorted { $0.value.rank < $1.value.rank }.map { key, _ in
            let (left, right) = (Int32(truncatingIfNeeded: key >> 32), Int32(truncatingIfNeeded: key))
            return Array(pieces[left]) + [0x20] + Array(pieces[right])
        }
    }

    /// Place of the first merge that makes a piece, by the piece's id.
    var rankOfPiece: [Int32: UInt32] {
        Dictionary(merges.values.map { ($0.id, $0.rank) }, uniquingKeysWith: min)
    }

    static func bytePiece(_ byte: UInt8) -> [UInt8] {
        Array(("<0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) + ">").utf8)
    }

    private static func key(_ left: Int32, _ right: Int32) -> UInt64 {
        UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
    }

    private struct Symbol {
        var id: Int32
        /// Characters merged into it; 0 once merged into its left neighbour.
        var size: Int32
        var previous: Int32
        var next: Int32
    }

    /// Appends the ids of one word (what the pre-tokenizer leaves together).
    func encode(_ word: UnsafeBufferPointer<UInt8>, into ids: inout [Int32]) {
        guard let start = word.baseAddress, !word.isEmpty else { return }
        if options.ignoresMerges, let whole = wholePiece(word) {
            ids.append(whole)
            return
        }
        var symbols = initialSymbols(start, word.count)
        guard symbols.count > 1 else {
            for symbol in symbols { ids.append(symbol.id) }
            return
        }
        symbols[symbols.count - 1].next = -1
        var queue = MergeQueue(capacity: symbols.count)
        func offer(_ left: Int32, _ right: Int32, _ symbols: [Symbol], _ queue: inout MergeQueue) {
            guard left >= 0, right >= 0 else { return }
            let (first, second) = (symbols[Int(left)], symbols[Int(right)])
            guard let merge = merges[Self.key(first.id, second.id)] else { return }
            queue.push(.init(rank: merge.rank, left: left, right: right, size: first.size + second.size))
        }
        for index in 1..<symbols.count { offer(Int32(index - 1), Int32(index), symbols, &queue) }
        while let best = queue.pop() {
            let (left, right) = (Int(best.left), Int(best.right))
            guard symbols[left].size > 0, symbols[right].size > 0,
                symbols[left].size + symbols[right].size == best.size,
                let merge = merges[Self.key(symbols[left].id, symbols[right].id)]
            else { continue }
            symbols[left].id = merge.id
            symbols[left].size = best.size
            symbols[right].size = 0
            let next = symbols[right].next
            symbols[left].next = next
            if next >= 0 { symbols[Int(next)].previous = Int32(left) }
            offer(symbols[left].previous, Int32(left), symbols, &queue)
            offer(Int32(left), next, symbols, &queue)
        }
        var index: Int32 = 0
        while index >= 0 {
            ids.append(symbols[Int(index)].id)
            index = symbols[Int(index)].next
        }
    }

    private func wholePiece(_ word: UnsafeBufferPointer<UInt8>) -> Int32? {
        switch alphabet {
        case .bytes: pieces.find(ByteAlphabet.encode(word))
        case .characters: pieces.find(Array(word))
        }
    }

    private func initialSymbols(_ start: UnsafePointer<UInt8>, _ count: Int) -> [Symbol] {
        var symbols: [Symbol] = []
        symbols.reserveCapacity(count)
        func append(_ id: Int32) {
            let index = Int32(symbols.count)
            symbols.append(Symbol(id: id, size: 1, previous: index - 1, next: index + 1))
        }
        switch alphabet {
        case .bytes:
            for position in 0..<count {
                let id = byteIDs[Int(start[position])]
                if id >= 0 { append(id) } else if let unknown { append(unknown) }
            }
        case .characters(let byteFallback):
            var position = 0
            var afterUnknown = false
            while position < count {
                let length = lengthOfCharacter(start + position, count - position) ?? 1
                let id = pieces.find(start + position, length)
                let bytes = (position..<position + length).map { byteIDs[Int(start[$0])] }
                if id >= 0 {
                    append(id)
                    afterUnknown = false
                } else if byteFallback, bytes.allSatisfy({ $0 >= 0 }) {
                    for id in bytes { append(id) }
                    afterUnknown = false
                } else if let unknown {
                    if !(options.fusesUnknown && afterUnknown) { append(unknown) }
                    afterUnknown = true
                }
                position += length
            }
        }
        return symbols
    }
}
