extension SentencePieceTokenizer {
    /// The text of a token sequence, as `sentencepiece` decodes it: control pieces are invisible, one leading space
    /// (all of them, where the model removes extra white space) goes, bytes that form no UTF-8 become U+FFFD. Ids out of range are skipped.
    public func decodeBytes(_ ids: some Collection<Int32>) -> [UInt8] {
        var text: [UInt8] = []
        var bytes: [UInt8] = []
        var atStart = true
        var sawLeadingSpace = false
        for id in ids where 0..<vocabularySize ~= Int(id) {
            let byte = Int(id) < vocabulary.kinds.count ? vocabulary.byteOfID[Int(id)] : -1
            if byte >= 0 {
                bytes.append(UInt8(byte))
                continue
            }
            flush(&bytes, into: &text)
            if sawLeadingSpace || !text.isEmpty { atStart = false }
            sawLeadingSpace = append(id, atStart: atStart, to: &text)
        }
        flush(&bytes, into: &text)
        return text
    }

    /// Appends a piece; true where its leading space was dropped and no further one should be.
    private func append(_ id: Int32, atStart: Bool, to text: inout [UInt8]) -> Bool {
        guard Int(id) < vocabulary.kinds.count else {
            if !specialIDs.contains(id) { text += contentOfAdded[id] ?? [] }
            return false
        }
        switch vocabulary.kinds[Int(id)] {
        case .control: return false
        case .unused where hidesUnused: return false
        case .unknown:
            text += unknownSurface
            return false
        case .normal, .userDefined, .unused, .byte: break
        }
        var piece = vocabulary.pieces[id][...]
        var droppedSpace = false
        if atStart, normalizer.addsDummyPrefix || normalizer.removesExtraWhitespace, piece.starts(with: spaceSymbol) {
            piece = piece.dropFirst(spaceSymbol.count)
            droppedSpace = !normalizer.removesExtraWhitespace
        }
        while let first = piece.first {
            if first == spaceSymbol[0], piece.starts(with: spaceSymbol) {
                text.append(0x20)
                piece = piece.dropFirst(spaceSymbol.count)
            } else {
                text.append(first)
                piece = piece.dropFirst()
            }
        }
        return droppedSpace
    }

    /// Turns a run of byte pieces into characters.
    private func flush(_ bytes: inout [UInt8], into text: inout [UInt8]) {
        guard !bytes.isEmpty else { return }
        if joinsByteTokens {
            text += joined(bytes)
            bytes.removeAll(keepingCapacity: true)
            return
        }
        bytes.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { return }
            var position = 0
            while position < buffer.count {
                if let length = lengthOfCharacter(start + position, buffer.count - position) {
                    text.append(contentsOf: buffer[position..<position + length])
                    position += length
                } else {
                    text += replacementCharacter
                    position += 1
                }
            }
        }
        bytes.removeAll(keepingCapacity: true)
    }
}
