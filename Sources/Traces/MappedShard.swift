import Checkpoints
import Tensors

/// A shard of a trace, memory-mapped. n rows · L captured layers · E experts · K slots · H heads.
///
/// The small per-row columns are copied at opening; the [L, n, …] arrays are copied layer by layer into memory of the
/// caller's, which no closing of the file can take away.
public struct MappedShard: Sendable {
    public let index: Int
    public let layout: TraceLayout
    /// The shard's documents; rows of `documents[i]` are `documents[i].rows`.
    public let documents: ArraySlice<TraceDocument>
    /// [n]: index of the row's document in `Trace.documents`.
    public let document: [Int32]
    /// [n], from 0 in each document.
    public let position: [Int32]
    /// [n]
    public let token: [Int32]
    /// [n]; NaN in a document's first row.
    public let logprob: [Float]
    let file: SafetensorsFile

    init(trace: Trace, index: Int, file: SafetensorsFile) throws(TraceError) {
        self.index = index
        self.file = file
        layout = trace.layout
        let first = trace.manifest.shards[..<index].reduce(0) { $0 + $1.documents }
        documents = trace.documents[first..<first + trace.manifest.shards[index].documents]
        document = try Self.array(file, TraceTensor.document)
        position = try Self.array(file, TraceTensor.position)
        token = try Self.array(file, TraceTensor.token)
        logprob = try Self.array(file, TraceTensor.logprob)
    }

    public var rowCount: Int { token.count }
    public var hasRouterLogits: Bool { layout.routerLogits != nil }
    public var hasAttentionSummary: Bool { layout.attentionSummary }

    /// Expert of every row and slot, [n, K], by falling weight; E or more means "none in this slot".
    /// - Parameter layerIndex: place in `layout.layers`.
    public func readExpertIndices(layerIndex: Int, into array: inout [UInt16]) {
        guard let bytes = layerBytes(TraceTensor.expertIndices, layerIndex) else { return }
        readExperts(bytes, into: &array)
    }

    /// Experts of every row and slot, [n, K], as guessed from the residual stream so many layers before.
    /// - Parameters:
    ///   - ahead: one of `layout.speculative`.
    ///   - layer: the model's number of the layer guessed.
    /// - Returns: false, and the array as it was, where there is no such guess.
    public func readGuesses(ahead: Int, layer: Int, into array: inout [UInt16]) -> Bool {
        let layers = layout.guessedLayers(ahead: ahead)
        guard let index = layers.firstIndex(of: layer), let bytes = file[TraceTensor.guess(ahead: ahead)]?.bytes else {
            return false
        }
        let size = bytes.count / layers.count
        readExperts(UnsafeRawBufferPointer(rebasing: bytes[index * size..<(index + 1) * size]), into: &array)
        return true
    }

    /// [n]: most probable token after each row, -1 in a document's last row.
    /// - Precondition: `layout.predicted`.
    public func readPredicted(into array: inout [Int32]) {
        precondition(layout.predicted)
        guard let tensor = file[TraceTensor.predicted] else { return }
        withExtendedLifetime(tensor) { Self.copy(tensor.bytes, into: &array) }
    }

    private func readExperts(_ bytes: UnsafeRawBufferPointer, into array: inout [UInt16]) {
        withExtendedLifetime(file) {
            if layout.hasByteIndices {
                let source = bytes.bindMemory(to: UInt8.self)
                Self.resize(&array, to: source.count)
                array.withUnsafeMutableBufferPointer { target in
                    for i in 0..<source.count { target[i] = UInt16(source[i]) }
                }
            } else {
                Self.copy(bytes, into: &array)
            }
        }
    }

    /// [n, K], as the model applied them.
    public func readExpertWeights(layerIndex: Int, into array: inout [Float]) {
        guard let bytes = layerBytes(TraceTensor.expertWeights, layerIndex) else { return }
        withExtendedLifetime(file) { Self.copy(bytes, into: &array) }
    }

    /// [n, E], before softmax.
    /// - Precondition: `hasRouterLogits`.
    public func readRouterLogits(layerIndex: Int, into array: inout [Float]) {
        precondition(hasRouterLogits)
        guard let bytes = layerBytes(TraceTensor.routerLogits, layerIndex) else { return }
        withExtendedLifetime(file) {
            switch layout.routerLogits {
            case .f16: Self.decode(bytes, into: &array)
            default: Self.copy(bytes, into: &array)
            }
        }
    }

    /// [H, n] of one statistic.
    /// - Precondition: `hasAttentionSummary`.
    public func readAttention(_ statistic: AttentionStatistic, layerIndex: Int, into array: inout [Float]) {
        precondition(hasAttentionSummary)
        guard let bytes = layerBytes(statistic.rawValue, layerIndex) else { return }
        withExtendedLifetime(file) { Self.decode(bytes, into: &array) }
    }

    private func layerBytes(_ name: String, _ layerIndex: Int) -> UnsafeRawBufferPointer? {
        precondition(layerIndex >= 0 && layerIndex < layout.layerCount)
        guard let bytes = file[name]?.bytes else { return nil }
        let size = bytes.count / layout.layerCount
        return UnsafeRawBufferPointer(rebasing: bytes[layerIndex * size..<(layerIndex + 1) * size])
    }

    private static func resize<Element: AdditiveArithmetic>(_ array: inout [Element], to count: Int) {
        if array.count != count { array = [Element](repeating: .zero, count: count) }
    }

    private static func copy<Element: AdditiveArithmetic & BitwiseCopyable>(
        _ bytes: UnsafeRawBufferPointer, into array: inout [Element]
    ) {
        resize(&array, to: bytes.count / MemoryLayout<Element>.stride)
        array.withUnsafeMutableBytes { $0.copyMemory(from: bytes) }
    }

    private static func decode(_ bytes: UnsafeRawBufferPointer, into array: inout [Float]) {
        resize(&array, to: bytes.count / 2)
        array.withUnsafeMutableBufferPointer { HalfConversion.decode(bytes.bindMemory(to: UInt16.self), into: $0) }
    }

    private static func array<Element: AdditiveArithmetic & BitwiseCopyable>(
        _ file: SafetensorsFile, _ name: String
    ) throws(TraceError) -> [Element] {
        guard let tensor = file[name] else { throw TraceError(.missing, file: file.url.path, field: "tensor \(name)") }
        var array: [Element] = []
        withExtendedLifetime(tensor) { copy(tensor.bytes, into: &array) }
        return array
    }

    /// Every tensor that the layout calls for is there, with its type and shape.
    static func check(_ file: SafetensorsFile, layout: TraceLayout, rows n: Int) throws(TraceError) {
        let L = layout.layerCount
        func expect(_ name: String, _ dtype: DType, _ shape: [Int]) throws(TraceError) {
            let field = "tensor \(name)"
            guard let tensor = file[name] else {
                throw TraceError(
                    .missing, file: file.url.path, field: field, expected: "\(dtype.rawValue) \(shape)",
                    found: "nothing")
            }
            guard tensor.dtype == dtype, tensor.shape == shape else {
                throw TraceError(
                    .mismatch, file: file.url.path, field: field,
                    expected: "\(dtype.rawValue) \(shape), as the manifest says",
                    found: "\(tensor.dtype.rawValue) \(tensor.shape)")
            }
        }
        try expect(TraceTensor.document, .i32, [n])
        try expect(TraceTensor.position, .i32, [n])
        try expect(TraceTensor.token, .i32, [n])
        try expect(TraceTensor.logprob, .f32, [n])
        switch layout.routerLogits {
        case .f32: try expect(TraceTensor.routerLogits, .f32, [L, n, layout.experts])
        case .f16: try expect(TraceTensor.routerLogits, .f16, [L, n, layout.experts])
        case nil: break
        }
        try expect(TraceTensor.expertIndices, layout.hasByteIndices ? .u8 : .u16, [L, n, layout.expertsPerToken])
        try expect(TraceTensor.expertWeights, .f32, [L, n, layout.expertsPerToken])
        if layout.predicted { try expect(TraceTensor.predicted, .i32, [n]) }
        for ahead in layout.speculative where !layout.guessedLayers(ahead: ahead).isEmpty {
            try expect(
                TraceTensor.guess(ahead: ahead), layout.hasByteIndices ? .u8 : .u16,
                [layout.guessedLayers(ahead: ahead).count, n, layout.expertsPerGuess])
        }
        guard layout.attentionSummary else { return }
        for statistic in AttentionStatistic.allCases { try expect(statistic.rawValue, .f16, [L, layout.heads, n]) }
    }
}
