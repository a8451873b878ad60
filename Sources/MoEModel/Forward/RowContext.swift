import Hooks

/// Where every row of a batch lies: what interventions ask when they name positions, tokens or groups.
struct RowContext {
    private(set) var batch: TokenBatch
    /// Position of each row in its document.
    private(set) var positions: [Int32]
    /// Document of each row.
    let documents: [Int32]

    init(_ batch: TokenBatch, startPosition: Int) {
        var positions = [Int32](repeating: 0, count: batch.rowCount)
        var documents = positions
        for (index, rows) in batch.documents.enumerated() {
            for row in rows {
                positions[row] = Int32(startPosition + row - rows.lowerBound)
                documents[row] = Int32(index)
            }
        }
        self.batch = batch
        self.positions = positions
        self.documents = documents
    }

    /// Makes a context of one row that of another token, in the memory it has.
    mutating func replace(with token: Int32, at position: Int) {
        batch.replaceOnly(with: token)
        positions[0] = Int32(position)
    }

    private func matches(_ scope: Intervention.Scope, row: Int) -> Bool {
        if let positions = scope.positions, !positions.contains(Int(self.positions[row])) { return false }
        if let tokens = scope.tokens, !tokens.contains(batch.tokens[row]) { return false }
        if let groups = scope.groups {
            let document = Int(documents[row])
            guard document < batch.groups.count, groups.contains(batch.groups[document]) else { return false }
        }
        return true
    }

    /// The rows that a scope names; nil: every row.
    func rows(in scope: Intervention.Scope) -> [Int]? {
        scope.coversEveryRow ? nil : batch.tokens.indices.filter { matches(scope, row: $0) }
    }
}
