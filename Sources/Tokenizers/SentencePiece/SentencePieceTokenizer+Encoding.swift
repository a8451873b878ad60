extension SentencePieceTokenizer {
    /// Token ids of a text. Time grows as n log n in the text's length, whatever it contains.
    public func encode(bytes: some Collection<UInt8>) -> [Int32] {
        encode(Array(bytes), findsSpecial: false, without: [])
    }

    /// Every stretch between control tokens is encoded as a text of its own.
    public func encode(markup text: String, without mark: [UInt8]) -> [Int32] {
        encode(Array(text.utf8), findsSpecial: !splitsSpecial, without: mark)
    }

    public var controlTokens: [(piece: String, id: Int32)] {
        added.tokens.filter(\.isSpecial).map { (String(decoding: $0.content, as: UTF8.self), $0.id) }
    }

    private func encode(_ text: [UInt8], findsSpecial: Bool, without mark: [UInt8]) -> [Int32] {
        var ids: [Int32] = []
        for (index, part) in added.split(text, isNormalized: false, findsSpecial: findsSpecial).enumerated() {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let stretch):
                let prefix: SentencePieceNormalizer.Prefix =
                    switch spacing {
                    case .everywhere: .ofModel
                    case .always: .unlessThere
                    case .first: index == 0 ? .unlessThere : .none
                    }
                encode(
                    stretch: removing(mark, from: stretch), prefix, findsSpecial: findsSpecial, into: &ids)
            }
        }
        return ids
    }

    private func encode(
        stretch: [UInt8], _ prefix: SentencePieceNormalizer.Prefix, findsSpecial: Bool, into ids: inout [Int32]
    ) {
        let normalized = stretch.withUnsafeBufferPointer { normalizer.normalize($0, prefix: prefix) }
        for part in added.split(normalized, isNormalized: true, findsSpecial: findsSpecial) {
            switch part {
            case .token(let id): ids.append(id)
            case .text(let text): merge(text, into: &ids)
            }
        }
    }

    private func merge(_ text: [UInt8], into ids: inout [Int32]) {
        text.withUnsafeBufferPointer { text in
            guard let start = text.baseAddress, !text.isEmpty else { return }
            var merging = BytePairMerging(vocabulary: vocabulary, text: start, count: text.count)
            merging.mergeAll()
            merging.emit(into: &ids)
        }
    }
}

/// One run of byte-pair merging: symbols in a linked list, each a stretch of the text; the best candidate is merged until
/// none is left.
private struct BytePairMerging {
    private struct Symbol {
        var start: Int32
        /// 0 once merged into its left neighbour.
        var length: Int32
        var previous: Int32
        var next: Int32
        /// A user-defined piece: never merged.
        var isFrozen: Bool
    }

    private let vocabulary: SentencePieceVocabulary
    private let text: UnsafePointer<UInt8>
    private var symbols: [Symbol] = []
    private var queue: MergeQueue
    /// What unused pieces were last made of: the length of the left part, by id. Empty in nearly all vocabularies.
    private var unusedSplits: [Int32: Int32] = [:]

    init(vocabulary: SentencePieceVocabulary, text: UnsafePointer<UInt8>, count: Int) {
        precondition(count <= Int(Int32.max), "a text of more than 2 GiB")
        self.vocabulary = vocabulary
        self.text = text
        queue = MergeQueue(capacity: count / 2)
        symbols.reserveCapacity(count / 2)
        var position = 0
        while position < count {
            let frozen = vocabulary.userDefined.match(text + position, count - position)
            let length = frozen ?? lengthOfCharacter(text + position, count - position) ?? 1
            let index = Int32(symbols.count)
            symbols.append(
                Symbol(
                    start: Int32(position), length: Int32(length), previous: index - 1, next: index + 1,
                    isFrozen: frozen != nil))
            position += length
        }
        symbols[symbols.count - 1].next = -1
        for index in 1..<max(1, symbols.count) { offer(Int32(index - 1), Int32(index)) }
    }

    /// Puts the merge of two neighbours into the queue if the vocabulary has it.
    private mutating func offer(_ left: Int32, _ right: Int32) {
        guard left >= 0, right >= 0 else { return }
        let (first, second) = (symbols[Int(left)], symbols[Int(right)])
        guard !first.isFrozen, !second.isFrozen else { return }
        let length = first.length + second.length
        let id = vocabulary.pieces.find(text + Int(first.start), Int(length))
        guard id >= 0 else { return }
        queue.push(.init(rank: vocabulary.ranks[Int(id)], left: left, right: right, size: length))
        if vocabulary.hasUnused, vocabulary.kinds[Int(id)] == .unused {
            unusedSplits[id] = first.length
        }
    }

    mutating func mergeAll() {
        while let best = queue.pop() {
            let (left, right) = (Int(best.left), Int(best.right))
            let (leftLength, rightLength) = (symbols[left].length, symbols[right].length)
            // Stale: one of the two has been merged with another meanwhile.
            guard leftLength > 0, rightLength > 0, leftLength + rightLength == best.size else { continue }
            symbols[left].length = best.size
            symbols[right].length = 0
            let next = symbols[right].next
            symbols[left].next = next
            if next >= 0 { symbols[Int(next)].previous = Int32(left) }
            offer(symbols[left].previous, Int32(left))
            offer(Int32(left), next)
        }
    }

    func emit(into ids: inout [Int32]) {
        var index: Int32 = 0
        var afterUnknown = false
        while index >= 0 {
            let symbol = symbols[Int(index)]
            emit(symbol.start, symbol.length, into: &ids, afterUnknown: &afterUnknown)
            index = symbol.next
        }
    }

    private func emit(_ start: Int32, _ length: Int32, into ids: inout [Int32], afterUnknown: inout Bool) {
        let id = vocabulary.pieces.find(text + Int(start), Int(length))
        if id >= 0, vocabulary.hasUnused, vocabulary.kinds[Int(id)] == .unused,
            let split = unusedSplits[id]
        {
            emit(start, split, into: &ids, afterUnknown: &afterUnknown)
            emit(start + split, length - split, into: &ids, afterUnknown: &afterUnknown)
            return
        }
        if id >= 0 {
            ids.append(id)
            afterUnknown = false
        } else if !vocabulary.byteIDs.isEmpty {
            for offset in 0..<Int(length) { ids.append(vocabulary.byteIDs[Int(text[Int(start) + offset])]) }
            afterUnknown = true
        } else {
            // A run of unknown characters is one unknown token.
            if !afterUnknown { ids.append(vocabulary.unknown) }
            afterUnknown = true
        }
    }
}
