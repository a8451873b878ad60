extension ModelConfig {
    /// Refuses sizes far beyond any model, so that sums and products of what it takes in memory fit `Int`.
    ///
    /// - Parameter file: named in the error.
    public func checkMagnitude(file: String) throws(CheckpointError) {
        let (queries, keys) = (Double(headCount) * Double(headSize), Double(keyValueHeadCount) * Double(headSize))
        let widest = max(Double(hiddenSize), Double(expertSize), queries, Double(sharedExpertSize ?? 0))
        let experts = Double(expertCount) * Double(expertSize) + Double(sharedExpertSize ?? 0)
        let parameters =
            Double(layerCount) * Double(hiddenSize) * (3 * experts + 4 * queries)
            + 2 * Double(vocabularySize) * Double(hiddenSize)
        for (what, amount, limit) in [
            ("parameters", parameters, 1e15), ("values in a row", widest, 0x1p20),
            ("experts", Double(expertCount), 0x1p16),
            ("values in the cache", Double(layerCount) * keys * Double(contextLength), 1e13),
        ] where amount >= limit {
            throw CheckpointError(
                .unsupported, file: file, problem: "no model is as large", expected: "fewer than \(limit) \(what)",
                found: "\(amount)")
        }
    }
}
