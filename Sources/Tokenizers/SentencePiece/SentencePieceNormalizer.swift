/// What SentencePiece does to a text before it looks for pieces: character rules, white space, the leading space, and
/// U+FFFD for every byte that is no UTF-8.
struct SentencePieceNormalizer: Sendable {
    let characterMap: CharacterMap?
    let userDefined: PrefixMatcher
    let addsDummyPrefix: Bool
    let removesExtraWhitespace: Bool
    let escapesWhitespace: Bool
    let treatsWhitespaceAsSuffix: Bool

    /// The space before a text.
    enum Prefix {
        /// As the model says.
        case ofModel
        case none
        /// One, unless the text has one.
        case unlessThere
    }

    private var space: [UInt8] { escapesWhitespace ? spaceSymbol : [0x20] }

    func normalize(_ text: UnsafeBufferPointer<UInt8>, prefix: Prefix) -> [UInt8] {
        switch prefix {
        case .ofModel: return normalize(text, withPrefix: addsDummyPrefix)
        case .none: return normalize(text, withPrefix: false)
        case .unlessThere:
            let plain = normalize(text, withPrefix: false)
            return plain.isEmpty || !addsDummyPrefix || plain.starts(with: space) ? plain : space + plain
        }
    }

    private func normalize(_ text: UnsafeBufferPointer<UInt8>, withPrefix addsDummyPrefix: Bool) -> [UInt8] {
        guard let start = text.baseAddress, !text.isEmpty else { return [] }
        var position = 0
        var output: [UInt8] = []
        output.reserveCapacity(text.count + text.count / 4 + 8)
        var step: [UInt8] = []

        if removesExtraWhitespace {
            while position < text.count {
                let length = nextStep(start + position, text.count - position, into: &step)
                if step != [0x20] { break }
                position += length
            }
            if position == text.count { return [] }
        }
        if addsDummyPrefix && !treatsWhitespaceAsSuffix { output += space }

        var afterSpace = removesExtraWhitespace
        while position < text.count {
            position += nextStep(start + position, text.count - position, into: &step)
            var rest = step[...]
            while afterSpace, rest.first == 0x20 { rest.removeFirst() }
            if let last = rest.last {
                for byte in rest {
                    if byte == 0x20 && escapesWhitespace { output += spaceSymbol } else { output.append(byte) }
                }
                afterSpace = last == 0x20
            }
            if !removesExtraWhitespace { afterSpace = false }
        }
        if removesExtraWhitespace {
            let space = space
            while output.count >= space.count, output.suffix(space.count).elementsEqual(space) {
                output.removeLast(space.count)
            }
        }
        if addsDummyPrefix && treatsWhitespaceAsSuffix { output += space }
        return output
    }

    /// Normalizes what stands at the start of `bytes` into `step` and says how many bytes that took.
    private func nextStep(_ bytes: UnsafePointer<UInt8>, _ available: Int, into step: inout [UInt8]) -> Int {
        step.removeAll(keepingCapacity: true)
        if let length = userDefined.match(bytes, available) {
            step.append(contentsOf: UnsafeBufferPointer(start: bytes, count: length))
            return length
        }
        if let characterMap, let match = characterMap.longestMatch(bytes, available) {
            step.append(contentsOf: characterMap[match.replacement])
            return match.length
        }
        guard let length = lengthOfCharacter(bytes, available) else {
            step.append(contentsOf: replacementCharacter)
            return 1
        }
        step.append(contentsOf: UnsafeBufferPointer(start: bytes, count: length))
        return length
    }
}
