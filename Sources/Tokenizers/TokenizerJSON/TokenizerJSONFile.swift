import Foundation
import FileFormats

/// What `tokenizer.json` says, before it is known which of its steps count.
struct TokenizerJSONFile {
    let file: String
    let vocabulary: [(piece: [UInt8], id: Int32)]
    let merges: [([UInt8], [UInt8])]
    let added: [AddedTokens.Token]
    let isByteLevel: Bool
    private let root: TokenizerNode
    private let modelNode: TokenizerNode

    init(_ data: Data, file: String) throws(TokenizerError) {
        self.file = file
        let json: JSON
        do throws(JSONSyntaxError) { json = try JSON.parse(Array(data)) } catch {
            throw TokenizerError(file: file, problem: error.description)
        }
        root = TokenizerNode(json, file: file, path: "")
        modelNode = try root.object("model")
        guard try modelNode.optionalString("type") ?? "BPE" == "BPE" else {
            throw modelNode.wrong("type", expected: "\"BPE\"")
        }
        for field in ["continuing_subword_prefix", "end_of_word_suffix"] {
            guard try modelNode.optionalString(field) ?? "" == "" else {
                throw modelNode.wrong(field, expected: "null")
            }
        }
        added = try Self.addedTokens(root)
        vocabulary = try Self.vocabulary(modelNode)
        merges = try Self.merges(modelNode)
        let top = root
        isByteLevel = ["pre_tokenizer", "decoder"].contains { top.optionalObject($0)?.mentions("ByteLevel") ?? false }
    }

    /// The steps as they are written.
    func steps() throws(TokenizerError) -> TokenizationSteps {
        let normalization = try root.normalization("normalizer")
        guard normalization.count <= TokenizationSteps.mostSteps else {
            throw TokenizerError(
                file: file, subject: "normalizer",
                problem: "expected at most \(TokenizationSteps.mostSteps) steps, found \(normalization.count)")
        }
        let growth = normalization.reduce(1.0) { $0 * $1.growth }
        guard growth <= Double(TokenizationSteps.largestGrowth) else {
            throw TokenizerError(
                file: file, subject: "normalizer",
                problem:
                    "its steps can make a text \(growth < 1e15 ? String(Int(growth)) : "more than 10¹⁵") times longer",
                hint: "expected at most \(TokenizationSteps.largestGrowth) times")
        }
        let (preTokenization, isByteLevel) = try root.preTokenization()
        return TokenizationSteps(
            normalization: normalization, preTokenization: preTokenization, isByteLevel: isByteLevel,
            decoding: try root.decoding())
    }

    func framing() throws(TokenizerError) -> (prefix: [Int32], suffix: [Int32])? { try root.framing() }

    /// What byte-pair merging needs beside the vocabulary.
    func options() throws(TokenizerError) -> BytePairModel.Options {
        BytePairModel.Options(
            byteFallback: try modelNode.flag("byte_fallback"),
            unknownPiece: try modelNode.optionalString("unk_token").map { Array($0.utf8) },
            fusesUnknown: try modelNode.flag("fuse_unk"), ignoresMerges: try modelNode.flag("ignore_merges"))
    }

    /// `dropout`, which makes the reference merge at random.
    var dropout: Double? { modelNode["dropout"]?.double.flatMap { $0 == 0 ? nil : $0 } }

    private static func addedTokens(_ root: TokenizerNode) throws(TokenizerError) -> [AddedTokens.Token] {
        var tokens: [AddedTokens.Token] = []
        for (index, value) in (root["added_tokens"]?.array ?? []).enumerated() {
            let node = TokenizerNode(value, file: root.file, path: "added_tokens[\(index)]")
            guard let id = node["id"]?.int, 0..<AddedTokens.largestID ~= id, let content = node["content"]?.string
            else {
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

    private static func vocabulary(_ model: TokenizerNode) throws(TokenizerError) -> [(piece: [UInt8], id: Int32)] {
        guard let object = model["vocab"]?.object else { throw model.wrong("vocab", expected: "an object") }
        return try pieces(object, file: model.file, field: "\(model.path).vocab")
    }

    /// Pieces and their ids, as an object writes them.
    static func pieces(
        _ object: JSONObject, file: String, field: String?
    ) throws(TokenizerError) -> [(piece: [UInt8], id: Int32)] {
        // Ids may have gaps, but a table of them must not be much larger than the vocabulary.
        let limit = (1 << 20) + 4 * object.count
        var result: [(piece: [UInt8], id: Int32)] = []
        result.reserveCapacity(object.count)
        for (piece, value) in zip(object.keys, object.values) {
            guard let id = value.int, 0..<limit ~= id else {
                throw TokenizerError(
                    file: file, subject: field,
                    problem:
                        "the id of \"\(piece)\" is no id: expected 0 to \(limit - 1), found \(value.kindDescription)")
            }
            result.append((Array(piece.utf8), Int32(id)))
        }
        return result
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
