extension AddedTokenRegistry {
    /// Adds what lies beside a vocabulary, in the order of transformers: tokens with an id, those that have a name, the rest.
    /// - Parameters:
    ///   - extra: special tokens without a name.
    ///   - isNormalized: false: tokens are looked for in the original text, whatever their flags say.
    ///   - readdsSpecial: whether special tokens lose what flags they had.
    ///   - isOptional: tokens that are left out where the vocabulary lacks them.
    mutating func add(
        _ settings: TokenizerSettings, named: [AddedTokens.Token], extra: [AddedTokens.Token],
        keepsNormalized: Bool = true, readdsSpecial: Bool = false,
        isOptional: (AddedTokens.Token) -> Bool = { _ in false }
    ) {
        let names = Set(named.map(\.content))
        for var token in settings.declared where self[token.content].map({ !$0.says(the: token) }) ?? true {
            token.isSpecial = token.isSpecial || names.contains(token.content)
            token.isNormalized = token.isNormalized && keepsNormalized
            add(token)
        }
        var special = named + extra
        for index in special.indices { special[index].isSpecial = true }
        for token in special where !contains(token.content) {
            if isOptional(token), id(of: token.content) == nil { continue }
            add(token, declared: false)
        }
        guard readdsSpecial else { return }
        for token in special where contains(token.content) {
            add(.init(id: -1, content: token.content, isSpecial: true), declared: false)
        }
    }

    /// A sentence for each token that did not get the id that a file gives it.
    var notices: [String] {
        displaced.map { token in
            "the added token \"\(String(decoding: token.content, as: UTF8.self))\" is \(token.id), not \(token.declared) as its "
                + "file says: the reference numbers added tokens without gaps"
        }
    }
}
