/// Gives added tokens their ids, one call after the other, by the rules of the `tokenizers` library: a token that the
/// vocabulary has keeps its id, another gets the next free one, whatever id a file gives it; one that is added again takes the
/// new flags; once special, always special.
struct AddedTokenRegistry {
    /// In the order they were first added.
    private(set) var tokens: [AddedTokens.Token] = []
    /// Tokens that did not get the id that their file gives them.
    private(set) var displaced: [(content: [UInt8], declared: Int32, id: Int32)] = []
    private var placeOfContent: [[UInt8]: Int] = [:]
    private var largest: Int32?
    private let vocabularyCount: Int
    private let idInVocabulary: ([UInt8]) -> Int32?

    /// - Parameters:
    ///   - vocabularyCount: pieces of the vocabulary.
    ///   - idInVocabulary: the id of a piece of the vocabulary.
    init(vocabularyCount: Int, idInVocabulary: @escaping ([UInt8]) -> Int32?) {
        self.vocabularyCount = vocabularyCount
        self.idInVocabulary = idInVocabulary
    }

    /// The added token of this content.
    subscript(content: [UInt8]) -> AddedTokens.Token? { placeOfContent[content].map { tokens[$0] } }

    func contains(_ content: [UInt8]) -> Bool { placeOfContent[content] != nil }

    /// The id of a token or piece.
    func id(of content: [UInt8]) -> Int32? { placeOfContent[content].map { tokens[$0].id } ?? idInVocabulary(content) }

    /// - Parameter declared: whether the token's `id` is one that a file gives.
    mutating func add(_ token: AddedTokens.Token, declared: Bool = true) {
        guard !token.content.isEmpty else { return }
        var token = token
        let wanted = token.id
        token.id = id(of: token.content) ?? nextID
        if declared, token.id != wanted { displaced.append((token.content, wanted, token.id)) }
        largest = max(largest ?? token.id, token.id)
        if let place = placeOfContent[token.content] {
            token.isSpecial = token.isSpecial || tokens[place].isSpecial
            tokens[place] = token
        } else {
            placeOfContent[token.content] = tokens.count
            tokens.append(token)
        }
    }

    private var nextID: Int32 {
        guard let largest, Int(largest) >= vocabularyCount else { return Int32(vocabularyCount) }
        return largest + 1
    }
}
