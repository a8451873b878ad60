import FileFormats

extension ModelConfig {
    /// Refuses sizes far beyond any model, so that sums and products of what it takes in memory fit `Int`.
    ///
    /// - Parameter file: named in the error.
    public func checkMagnitude(file: String) throws(FileError) {
        let queries = Double(attention.headCount) * Double(attention.headSize)
        let keys = Double(attention.keyValueHeadCount) * Double(attention.headSize)
        let others = Double(experts.sharedSize ?? 0) + Double(denseSize ?? 0)
        let widest = max(Double(hiddenSize), Double(experts.size), queries, others)
        let width = Double(experts.count) * Double(experts.size) + others
        let parameters =
            Double(layerCount) * Double(hiddenSize) * (3 * width + 4 * queries)
            + 2 * Double(vocabularySize) * Double(hiddenSize)
        for (what, amount, limit) in [
            ("parameters", parameters, 1e15), ("values in a row", widest, 0x1p20),
            ("experts", Double(experts.count), 0x1p16),
            ("values in the cache", Double(layerCount) * keys * Double(contextLength), 1e13),
        ] where amount >= limit {
            throw FileError(
                .unsupported, file: file, problem: "no model is as large", expected: "fewer than \(limit) \(what)",
                found: "\(amount)")
        }
    }
}
