import Crypto
import Foundation

extension JSONTokenizer {
    /// Reads `tokenizer.json`, and what lies beside it (see `TokenizerSettings`).
    public init(_ url: URL) throws(TokenizerError) {
        let data = try TokenizerFile.contents(url)
        let file = try TokenizerJSONFile(data, file: url.path)
        let settings = try TokenizerSettings(
            folder: url.deletingLastPathComponent(), addedInVocabulary: file.added)
        try self.init(file, settings, sha256: Self.sha256(data))
    }

    /// - Parameters:
    ///   - settings: contents of `tokenizer_config.json`.
    ///   - file: what errors call it.
    public init(data: Data, settings: Data?, file name: String) throws(TokenizerError) {
        let file = try TokenizerJSONFile(data, file: name)
        try self.init(
            file, try TokenizerSettings(config: settings, file: name, addedInVocabulary: file.added),
            sha256: Self.sha256(data))
    }

    static func sha256(_ data: Data) -> String {
        SHA256.hash(data: data).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private init(
        _ file: TokenizerJSONFile, _ settings: TokenizerSettings, sha256: String
    ) throws(TokenizerError) {
        let (recipe, unknownClass) = TokenizerRecipe.choose(
            modelType: settings.modelType, className: settings.className, isByteLevel: file.isByteLevel)
        var assembly = Assembly(file.file, recipe, settings, vocabulary: file.vocabulary, merges: file.merges)
        if recipe == .asWritten {
            assembly.steps = try file.steps()
            assembly.options = try file.options()
            for token in file.added { assembly.registry.add(token) }
        }
        assembly.addTokensOfSettings()
        // transformers takes the flags of tokenizer_config.json only where there is no tokenizer.json.
        let framing = recipe == .gptNeoX ? nil : try file.framing()
        assembly.frame.prefix = framing?.prefix ?? []
        assembly.frame.suffix = framing?.suffix ?? []
        try assembly.noteFlags(of: recipe == .gptNeoX ? "its class" : "the post_processor of tokenizer.json")
        if let unknownClass {
            assembly.frame.notices.append(
                "tokenizer_class \"\(unknownClass)\" is not known here: tokenizer.json is read as it is written, which may not "
                    + "be what that class does")
        }
        if let dropout = file.dropout {
            assembly.frame.notices.append(
                "tokenizer.json asks for dropout \(dropout): the reference then merges at random; here nothing is dropped"
            )
        }
        self = try assembly.tokenizer(sha256: sha256)
    }

    /// Reads `vocab.json` and the `merges.txt` beside it, as the classes of transformers do that need no `tokenizer.json`.
    init(vocabulary url: URL) throws(TokenizerError) {
        let folder = url.deletingLastPathComponent()
        let settings = try TokenizerSettings(folder: folder, addedInVocabulary: [])
        let (recipe, _) = TokenizerRecipe.choose(
            modelType: settings.modelType, className: settings.className, isByteLevel: true)
        let mergesURL = folder.appendingPathComponent("merges.txt")
        guard recipe != .asWritten, FileManager.default.fileExists(atPath: mergesURL.path) else {
            let problem =
                recipe == .asWritten
                ? "a vocabulary alone does not say how text is cut into words"
                : "there is no merges.txt beside it"
            throw TokenizerError(
                file: url.path, problem: problem,
                hint:
                    "write tokenizer.json: AutoTokenizer.from_pretrained(folder).save_pretrained(folder) in transformers"
            )
        }
        let data = try TokenizerFile.contents(url)
        let vocabulary = try TokenizerJSONFile.pieces(
            TokenizerSettings.object(data, file: url.path), file: url.path, field: nil)
        let merges = try Self.merges(mergesURL)
        var assembly = Assembly(url.path, recipe, settings, vocabulary: vocabulary, merges: merges)
        assembly.addTokensOfSettings()
        try assembly.takeFlags()
        self = try assembly.tokenizer(sha256: Self.sha256(data))
    }

    /// "left right" a line, below a line "#version: …".
    private static func merges(_ url: URL) throws(TokenizerError) -> [([UInt8], [UInt8])] {
        var pairs: [([UInt8], [UInt8])] = []
        for (index, line) in Array(try TokenizerFile.contents(url)).split(separator: 0x0A).enumerated() {
            var line = line
            if line.last == 0x0D { line.removeLast() }
            if line.isEmpty || line.starts(with: "#version".utf8) { continue }
            let parts = line.split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init)
            guard parts.count == 2 else {
                throw TokenizerError(file: url.path, subject: "line \(index + 1)", problem: "expected two pieces")
            }
            pairs.append((parts[0], parts[1]))
        }
        return pairs
    }
}

/// A tokenizer of a Hugging Face folder in the making.
private struct Assembly {
    let file: String
    let recipe: TokenizerRecipe
    let settings: TokenizerSettings
    let vocabulary: [(piece: [UInt8], id: Int32)]
    let merges: [([UInt8], [UInt8])]
    var registry: AddedTokenRegistry
    var steps = TokenizationSteps()
    var options = BytePairModel.Options()
    var frame = TokenizerFrame()

    init(
        _ file: String, _ recipe: TokenizerRecipe, _ settings: TokenizerSettings,
        vocabulary: [(piece: [UInt8], id: Int32)], merges: [([UInt8], [UInt8])]
    ) {
        self.file = file
        self.recipe = recipe
        self.settings = settings
        self.vocabulary = vocabulary
        self.merges = merges
        let ids = Dictionary(vocabulary.map { ($0.piece, $0.id) }, uniquingKeysWith: { first, _ in first })
        registry = AddedTokenRegistry(vocabularyCount: vocabulary.count) { ids[$0] }
        let own = TokenizationSteps.of(
            recipe, addPrefixSpace: settings["add_prefix_space"]?.bool, isLegacy: settings["legacy"]?.bool)
        if let own { steps = own }
        if recipe == .llama { options = .init(byteFallback: true, fusesUnknown: true) }
    }

    /// Adds what lies beside the vocabulary, in the order of transformers.
    mutating func addTokensOfSettings() {
        let named = settings.namedTokens(defaults: recipe.defaultTokens)
        registry.add(
            settings, named: named.map(\.token), extra: settings.extraSpecial, readdsSpecial: recipe == .qwen2
        ) { token in
            // Tokens that only the class names, and no file, are left out where the vocabulary lacks them.
            recipe.defaultTokens.values.contains { Array($0.utf8) == token.content }
        }
        frame.named = named.map { .init(name: $0.name, piece: String(decoding: $0.token.content, as: UTF8.self)) }
        func id(_ name: String) -> Int32? {
            named.first { $0.name == name }.flatMap { registry.id(of: $0.token.content) }
        }
        frame.bos = id("bos_token")
        frame.eos = id("eos_token")
        frame.notices += registry.notices
    }

    /// Obeys `add_bos_token` and `add_eos_token`.
    mutating func takeFlags() throws(TokenizerError) {
        if try settings.flag("add_bos_token") ?? false, let bos = frame.bos { frame.prefix = [bos] }
        if try settings.flag("add_eos_token") ?? false, let eos = frame.eos { frame.suffix = [eos] }
    }

    /// Says where flags are not what is done.
    mutating func noteFlags(of decider: String) throws(TokenizerError) {
        for (flag, ids, token, place) in [
            ("add_bos_token", frame.prefix, frame.bos, "before"), ("add_eos_token", frame.suffix, frame.eos, "after"),
        ] {
            guard let wanted = try settings.flag(flag), token != nil, wanted != !ids.isEmpty else { continue }
            frame.notices.append(
                "tokenizer_config.json says \(flag) \(wanted), but \(decider) puts \(ids.isEmpty ? "nothing" : "a token") "
                    + "\(place) a text, and transformers goes by that")
        }
    }

    func tokenizer(sha256: String) throws(TokenizerError) -> JSONTokenizer {
        let pieces = try PieceTable(vocabulary: vocabulary, added: registry.tokens, file: file)
        let model = try BytePairModel(
            pieces: pieces, alphabet: steps.isByteLevel ? .bytes : .characters(byteFallback: options.byteFallback),
            options: options, pairs: merges, file: file)
        let splitsSpecial = try settings.flag("split_special_tokens") ?? false
        try PrefixMatcher.check(registry.tokens.map(\.content), file: file)
        return JSONTokenizer(
            sha256: sha256, model: model, added: AddedTokens(registry.tokens, normalizing: steps.normalize),
            steps: steps,
            frame: frame, splitsSpecial: splitsSpecial)
    }
}

extension PieceTable {
    /// All pieces by id. What is only an added token cannot come out of merging.
    fileprivate convenience init(
        vocabulary: [(piece: [UInt8], id: Int32)], added: [AddedTokens.Token], file: String
    ) throws(TokenizerError) {
        let count = (vocabulary.map(\.id) + added.map(\.id)).max().map { Int($0) + 1 } ?? 0
        var pieces = [[UInt8]](repeating: [], count: count)
        var isMergeable = [Bool](repeating: false, count: count)
        for (piece, id) in vocabulary {
            pieces[Int(id)] = piece
            isMergeable[Int(id)] = true
        }
        for token in added where pieces[Int(token.id)].isEmpty { pieces[Int(token.id)] = token.content }
        self.init(pieces) { isMergeable[$0] }
    }
}
