import Traces

/// The token ids that a trace holds, numbered from 0 in ascending order. Tables over these numbers are as large as what was
/// counted, whatever vocabulary a manifest claims.
struct TokenNumbering {
    /// Ascending.
    let ids: [Int32]
    /// The number of each id, -1 for ids that are not held; empty where ids are too large for a table.
    private let table: [Int32]
    private let numbers: [Int32: Int32]

    /// Larger than any vocabulary in use: 16 MiB.
    private static let largestTable = 1 << 22

    /// - Parameters:
    ///   - predicted: whether the tokens that the model held most probable count too.
    ///   - isTaken: whether a document takes part.
    init(
        _ input: MetricInput, _ metric: String, predicted: Bool = false,
        where isTaken: (TraceDocument) -> Bool = { _ in true }
    ) throws(MetricError) {
        try input.need(.tokens, for: metric)
        let vocabulary = 0..<input.trace.manifest.model.vocabSize
        var found: Set<Int32> = []
        var guesses: [Int32] = []
        try input.forEachShard(metric) { shard in
            if predicted { shard.readPredicted(into: &guesses) }
            for document in shard.documents where isTaken(document) {
                for row in document.rows {
                    found.insert(shard.token[row])
                    if predicted { found.insert(guesses[row]) }
                }
            }
        }
        ids = found.filter { vocabulary.contains(Int($0)) }.sorted()
        let largest = Int(ids.last ?? 0)
        if largest < Self.largestTable {
            var table = [Int32](repeating: -1, count: largest + 1)
            for (number, id) in ids.enumerated() { table[Int(id)] = Int32(number) }
            (self.table, numbers) = (table, [:])
        } else {
            (table, numbers) = ([], Dictionary(uniqueKeysWithValues: zip(ids, 0...)))
        }
    }

    /// The number of an id; nil where the trace does not hold it.
    func callAsFunction(_ id: Int32) -> Int? {
        if table.isEmpty { return numbers[id].map(Int.init) }
        guard table.indices.contains(Int(id)), table[Int(id)] >= 0 else { return nil }
        return Int(table[Int(id)])
    }
}
