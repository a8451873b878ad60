/// The pieces of a SentencePiece model in the form that encoding needs.
struct SentencePieceVocabulary: Sendable {
    struct Entry {
        var piece: [UInt8]
        var score: Float
        var kind: SentencePieceTokenizer.PieceKind
    }

    /// Pieces that text can become: normal, user-defined, unused.
    let pieces: PieceTable
    /// Control, unknown and byte pieces, which text cannot spell.
    let reserved: PieceTable
    let kinds: [SentencePieceTokenizer.PieceKind]
    let scores: [Float]
    /// Place of each piece's score among all scores, the highest first; equal scores share a rank.
    let ranks: [UInt32]
    let userDefined: PrefixMatcher
    let unknown: Int32
    /// Id of each byte's piece; empty without byte fallback.
    let byteIDs: [Int32]
    /// The byte that a byte piece stands for, by id, -1 for other pieces.
    let byteOfID: [Int16]
    let hasUnused: Bool

    init(_ entries: [Entry], unknownPiece: String, byteFallback: Bool, file: String) throws(TokenizerError) {
        guard !entries.isEmpty else { throw TokenizerError(file: file, problem: "the vocabulary is empty") }
        guard entries.count < Int32.max, entries.reduce(0, { $0 + $1.piece.count }) < Int32.max else {
            throw TokenizerError(file: file, problem: "the vocabulary is too large")
        }
        if let empty = entries.firstIndex(where: { $0.piece.isEmpty }) {
            throw TokenizerError(file: file, subject: "piece \(empty)", problem: "the piece is empty")
        }
        let kinds = entries.map(\.kind)
        self.kinds = kinds
        func isText(_ id: Int) -> Bool {
            switch kinds[id] {
            case .normal, .userDefined, .unused: true
            case .unknown, .control, .byte: false
            }
        }
        pieces = PieceTable(entries.map(\.piece), findable: isText)
        reserved = PieceTable(entries.map(\.piece), findable: { !isText($0) })
        for duplicate in [pieces.duplicate, reserved.duplicate].compactMap({ $0 }) {
            throw TokenizerError(
                file: file, subject: "piece \(duplicate)",
                problem: "\"\(String(decoding: entries[duplicate].piece, as: UTF8.self))\" is there twice")
        }
        guard let unknown = kinds.firstIndex(of: .unknown) else {
            throw TokenizerError(file: file, problem: "there is no unknown piece", hint: "usually \"\(unknownPiece)\"")
        }
        self.unknown = Int32(unknown)
        hasUnused = kinds.contains(.unused)
        userDefined = PrefixMatcher(entries.filter { $0.kind == .userDefined }.map(\.piece))

        scores = entries.map(\.score)
        let rankOfScore = Dictionary(
            uniqueKeysWithValues: Set(scores).sorted(by: >).enumerated().map { ($1, UInt32($0)) })
        ranks = entries.map { rankOfScore[$0.score] ?? 0 }

        var byteOfID = [Int16](repeating: -1, count: entries.count)
        var byteIDs: [Int32] = []
        for byte in 0..<256 {
            let name = "<0x" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true) + ">"
            let id = reserved.find(Array(name.utf8))
            if let id, kinds[Int(id)] == .byte {
                byteOfID[Int(id)] = Int16(byte)
                if byteFallback { byteIDs.append(id) }
            } else if byteFallback {
                throw TokenizerError(file: file, subject: "piece \(name)", problem: "byte fallback needs it")
            }
        }
        self.byteIDs = byteIDs
        self.byteOfID = byteOfID
    }
}
