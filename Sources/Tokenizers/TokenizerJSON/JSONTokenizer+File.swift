import Crypto
import Foundation
import FileFormats

extension JSONTokenizer {
    /// Reads `tokenizer.json`; BOS and EOS are those of `tokenizer_config.json` beside it, where there is one.
    public init(_ url: URL) throws(TokenizerError) {
        let data: Data
        do { data = try Data(contentsOf: url) } catch {
            throw TokenizerError(file: url.path, problem: "cannot be read")
        }
        let settings = try? Data(
            contentsOf: url.deletingLastPathComponent().appendingPathComponent("tokenizer_config.json"))
        try self.init(data: data, settings: settings, file: url.path)
    }

    /// - Parameters:
    ///   - settings: contents of `tokenizer_config.json`.
    ///   - file: what errors call it.
    public init(data: Data, settings: Data?, file: String) throws(TokenizerError) {
        let root = TokenizerNode(try Self.parse(data, file: file), file: file, path: "")
        let modelNode = try root.object("model")
        guard try modelNode.optionalString("type") ?? "BPE" == "BPE" else {
            throw modelNode.wrong("type", expected: "\"BPE\"")
        }
        for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
            guard try modelNode.optionalString(field) ?? "" == "" else {
                throw modelNode.wrong(field, expected: "null")
            }
        }
        let added = try Self.addedTokens(root)
        let pieces = try Self.pieces(modelNode, added)
        let (steps, isByteLevel) = try root.preTokenization()
        let unknown = try modelNode.optionalString("unk_token").flatMap { pieces.find(Array($0.utf8)) }
        kind = isByteLevel ? .byteLevelBPE : .bpe
        model = try BytePairModel(
            pieces: pieces,
            alphabet: isByteLevel
                ? .bytes : .characters(byteFallback: try modelNode.flag("byte_fallback")),
            unknown: unknown, fusesUnknown: try modelNode.flag("fuse_unk"),
            ignoresMerges: try modelNode.flag("ignore_merges"), pairs: try Self.merges(modelNode), file: file)
        self.added = AddedTokens(added)
        specialIDs = Set(added.filter(\.isSpecial).map(\.id))
        normalization = try root.normalization("normalizer")
        preTokenization = steps
        decoding = try root.decoding()
        sha256 = SHA256.hash(data: data).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        let settings = try settings.flatMap { data throws(TokenizerError) in try Self.parse(data, file: file) }
        func token(_ name: String) -> Int32? {
            let value = settings?.object?[name]
            guard let content = value?.string ?? value?.object?["content"]?.string else { return nil }
            let bytes = Array(content.utf8)
            return added.first { $0.content == bytes }?.id ?? pieces.find(bytes)
        }
        bos = token("bos_token")
        eos = token("eos_token")
    }

    private static func parse(_ data: Data, file: String) throws(TokenizerError) -> JSON {
        do throws(JSONSyntaxError) { return try JSON.parse(Array(data)) } catch {
            throw TokenizerError(file: file, problem: error.description)
        }
    }

    private static func addedTokens(_ root: TokenizerNode) throws(TokenizerError) -> [AddedTokens.Token] {
        var tokens: [AddedTokens.Token] = []
        for (index, value) in (root["added_tokens"]?.array ?? []).enumerated() {
            let node = TokenizerNode(value, file: root.file, path: "added_tokens[\(index)]")
            guard let id = node["id"]?.int, 0..<1 << 24 ~= id, let content = node["content"]?.string else {
                throw node.wrong("id", expected: "an id, and a content")
            }
            tokens.append(
                .init(
                    id: Int32(id), content: Array(content.utf8), isSpecial: try node.flag("special"),
                    stripsLeft: try node.flag("lstrip"), stripsRight: try node.flag("rstrip"),
                    isSingleWord: try node.flag("single_word"), isNormalized: try node.flag("normalized")))
        }
        return tokens
    }

    /// All pieces by id. What is only an added token cannot come out of merging.
    private static func pieces(
        _ model: TokenizerNode, _ added: [AddedTokens.Token]
    ) throws(TokenizerError) -> PieceTable {
        guard let vocabulary = model["vocab"]?.object else { throw model.wrong("vocab", expected: "an object") }
        var pieces: [[UInt8]] = []
        var isMergeable: [Bool] = []
        func place(_ piece: [UInt8], at id: Int, mergeable: Bool) {
            while pieces.count <= id {
                pieces.append([])
                isMergeable.append(false)
            }
            pieces[id] = piece
            isMergeable[id] = mergeable
        }
        for (piece, value) in zip(vocabulary.keys, vocabulary.values) {
            guard let id = value.int, 0..<1 << 24 ~= id else {
                throw TokenizerError(
                    file: model.file, subject: "\(model.path).vocab", problem: "the id of \"\(piece)\" is no id")
            }
            place(Array(piece.utf8), at: id, mergeable: true)
        }
        for token in added where Int(token.id) >= pieces.count || pieces[Int(token.id)].isEmpty {
            place(token.content, at: Int(token.id), mergeable: false)
        }
        return PieceTable(pieces) { isMergeable[$0] }
    }

    private static func merges(_ model: TokenizerNode) throws(TokenizerError) -> [([UInt8], [UInt8])] {
        guard let list = model["merges"]?.array else { throw model.wrong("merges", expected: "an array") }
        var pairs: [([UInt8], [UInt8])] = []
        pairs.reserveCapacity(list.count)
        for (index, value) in list.enumerated() {
            // "a b", or ["a", "b"] in files written since 2024.
            let parts =
                value.array.map { $0.compactMap(\.string).map { Array($0.utf8) } }
                ?? Array(value.string?.utf8 ?? "".utf8).split(separator: 0x20, omittingEmptySubsequences: false)
                .map(Array.init)
            guard parts.count == 2 else {
                throw TokenizerError(
                    file: model.file, subject: "\(model.path).merges[\(index)]", problem: "expected two pieces")
            }
            pairs.append((parts[0], parts[1]))
        }
        return pairs
    }
}
