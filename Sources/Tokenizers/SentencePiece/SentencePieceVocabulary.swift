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
    /// Id of each byte's piece, or of the unknown piece; empty without byte fallback.
    let byteIDs: [Int32]
    /// The byte that a byte piece stands for, by id, -1 for other pieces.
    let byteOfID: [Int16]
    let hasUnused: Bool

    /// What a file may lack or repeat.
    struct Leniency: Sendable {
        /// Stands for unknown characters where no piece is of that kind; nil: there has to be one.
        var unknown: Int32?
        /// Where a piece is there twice, the first counts.
        var allowsDuplicates = false
        /// Ids of user-defined pieces that are found before the text gets here.
        var foundBefore: Set<Int32> = []
    }

    init(
        _ entries: [Entry], unknownPiece: String, byteFallback: Bool, leniency: Leniency = Leniency(), file: String
    ) throws(TokenizerError) {
        guard !entries.isEmpty else { throw TokenizerError(file: file, problem: "the vocabulary is empty") }
        guard entries.count < Int32.max, entries.reduce(0, { $0 + $1.piece.count }) < Int32.max else {
            throw TokenizerError(file: file, problem: "the vocabulary is too large")
        }
        if let empty = entries.firstIndex(where: { $0.piece.isEmpty }) {
            throw TokenizerError(file: file, subject: "piece \(empty)", problem: "the piece is empty")
        }
        if let wrong = entries.firstIndex(where: { $0.score.isNaN }) {
            throw TokenizerError(
                file: file, subject: "score of piece \(wrong)", problem: "expected a number, found NaN",
                hint: "the file is damaged")
        }
        let kinds = entries.map(\.kind)
        self.kinds = kinds
        func isText(_ id: Int) -> Bool {
            switch kinds[id] {
            case .normal, .unused: true
            case .userDefined: !leniency.foundBefore.contains(Int32(id))
            case .unknown, .control, .byte: false
            }
        }
        pieces = PieceTable(entries.map(\.piece), findable: isText)
        reserved = PieceTable(entries.map(\.piece), findable: { !isText($0) })
        if !leniency.allowsDuplicates, let duplicate = pieces.duplicate ?? reserved.duplicate {
            throw TokenizerError(
                file: file, subject: "piece \(duplicate)",
                problem: "\"\(String(decoding: entries[duplicate].piece, as: UTF8.self))\" is there twice")
        }
        guard let unknown = kinds.firstIndex(of: .unknown).map(Int32.init) ?? leniency.unknown else {
            throw TokenizerError(file: file, problem: "there is no unknown piece", hint: "usually \"\(unknownPiece)\"")
        }
        self.unknown = unknown
        hasUnused = kinds.contains(.unused)
        let found = entries.indices.filter { kinds[$0] == .userDefined && isText($0) }.map { entries[$0].piece }
        try PrefixMatcher.check(found, file: file)
        userDefined = PrefixMatcher(found)

        scores = entries.map(\.score)
        let rankOfScore = Dictionary(
            uniqueKeysWithValues: Set(scores).sorted(by: >).enumerated().map { ($1, UInt32($0)) })
        ranks = entries.map { rankOfScore[$0.score] ?? 0 }

        var byteOfID = [Int16](repeating: -1, count: entries.count)
        var byteIDs = [Int32](repeating: unknown, count: byteFallback ? 256 : 0)
        for byte in 0..<256 {
            let name = BytePairModel.bytePiece(UInt8(byte))
            let id = reserved.find(name)
            if let id, kinds[Int(id)] == .byte {
                byteOfID[Int(id)] = Int16(byte)
                if byteFallback { byteIDs[byte] = id }
            } else if byteFallback, leniency.unknown == nil {
                throw TokenizerError(
                    file: file, subject: "piece \(String(decoding: name, as: UTF8.self))",
                    problem: "byte fallback needs it")
            }
        }
        self.byteIDs = byteIDs
        self.byteOfID = byteOfID
    }
}
