import FileFormats
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
    /// [n]; empty where token ids are absent.
    public let token: [Int32]
    /// [n]; NaN in a document's first row. Empty where log-probabilities are absent.
    public let logprob: [Float]
    let file: SafetensorsFile

    init(trace: Trace, index: Int, file: SafetensorsFile) throws(FileError) {
        self.index = index
        self.file = file
        layout = trace.layout
        let first = trace.firstDocuments[index]
        documents = trace.documents[first..<first + trace.manifest.shards[index].documents]
        document = try Self.array(file, TraceColumn.document.name)
        position = try Self.array(file, TraceColumn.position.name)
        token = layout.hasTokens ? try Self.array(file, TraceColumn.token.name) : []
        logprob = layout.hasLogprobs ? try Self.array(file, TraceColumn.logprob.name) : []
    }

    public var rowCount: Int { position.count }
    public var hasRouterLogits: Bool { layout.routerLogits != nil }
    public var hasAttentionSummary: Bool { layout.attentionSummary }

    /// Expert of every row and slot, [n, K], by falling weight; E or more means "none in this slot".
    /// - Parameter layerIndex: place in `layout.layers`.
    public func readExpertIndices(layerIndex: Int, into array: inout [UInt16]) {
        guard let bytes = layerBytes(TraceColumn.expertIndices.name, layerIndex) else { return }
        readExperts(bytes, into: &array)
    }

    /// Experts of every row and slot, [n, K], as guessed from the residual stream so many layers before.
    /// - Parameters:
    ///   - ahead: one of `layout.speculative`.
    ///   - layer: the model's number of the layer guessed.
    /// - Returns: false, and the array as it was, where there is no such guess.
    public func readGuesses(ahead: Int, layer: Int, into array: inout [UInt16]) -> Bool {
        guard let index = layout.guessedLayers(ahead: ahead).firstIndex(of: layer),
            let bytes = layerBytes(TraceColumn.guesses(ahead: ahead).name, index)
        else { return false }
        readExperts(bytes, into: &array)
        return true
    }

    /// [n]: most probable token after each row, -1 in a document's last row.
    /// - Precondition: `layout.predicted`.
    public func readPredicted(into array: inout [Int32]) {
        precondition(layout.predicted)
        guard let tensor = file[TraceColumn.predicted.name] else { return }
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
    /// - Precondition: `layout.hasWeights`.
    public func readExpertWeights(layerIndex: Int, into array: inout [Float]) {
        precondition(layout.hasWeights)
        guard let bytes = layerBytes(TraceColumn.expertWeights.name, layerIndex) else { return }
        withExtendedLifetime(file) { Self.copy(bytes, into: &array) }
    }

    /// [n, E], before softmax.
    /// - Precondition: `hasRouterLogits`.
    public func readRouterLogits(layerIndex: Int, into array: inout [Float]) {
        precondition(hasRouterLogits)
        guard let bytes = layerBytes("router_logits", layerIndex) else { return }
        withExtendedLifetime(file) {
            switch layout.routerLogits {
            case .f16: Self.decode(bytes, into: &array)
            default: Self.copy(bytes, into: &array)
            }
        }
    }

    /// [H, n] of one statistic.
    /// - Parameter layer: the model's number of a captured layer, with or without a router.
    /// - Precondition: `hasAttentionSummary`.
    public func readAttention(_ statistic: AttentionStatistic, layer: Int, into array: inout [Float]) {
        precondition(hasAttentionSummary)
        guard let place = layout.attentionLayers.firstIndex(of: layer),
            let bytes = layerBytes(statistic.rawValue, place)
        else { return }
        withExtendedLifetime(file) { Self.decode(bytes, into: &array) }
    }

    /// The stored bytes of one layer of a column, or of a whole column without layers; nil where the shard has no such column.
    /// They stay valid as long as the shard does.
    /// - Parameter place: of the layer in the column's first dimension; not looked at for a column without layers.
    public func bytes(_ column: TraceColumn, layerIndex place: Int = 0) -> UnsafeRawBufferPointer? {
        guard let bytes = file[column.name]?.bytes else { return nil }
        guard let layers = column.layers(layout) else { return bytes }
        precondition(layers.indices.contains(place))
        let size = bytes.count / layers.count
        return UnsafeRawBufferPointer(rebasing: bytes[place * size..<(place + 1) * size])
    }

    /// The stored bytes of a whole column, every layer.
    package func allBytes(_ column: TraceColumn) -> UnsafeRawBufferPointer? { file[column.name]?.bytes }

    private func layerBytes(_ name: String, _ layerIndex: Int) -> UnsafeRawBufferPointer? {
        layout.column(name).flatMap { bytes($0, layerIndex: layerIndex) }
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
    ) throws(FileError) -> [Element] {
        guard let tensor = file[name] else {
            throw FileError.trace(.missing, file: file.url.path, field: "tensor \(name)")
        }
        var array: [Element] = []
        withExtendedLifetime(tensor) { copy(tensor.bytes, into: &array) }
        return array
    }

    /// Every column of the layout is there, with its type and shape.
    static func check(_ file: SafetensorsFile, layout: TraceLayout, rows: Int) throws(FileError) {
        for column in layout.columns {
            let (dtype, shape) = (column.dtype(layout), column.shape(layout, rows: rows))
            guard let tensor = file[column.name] else {
                throw FileError.trace(
                    .missing, file: file.url.path, field: "tensor \(column.name)",
                    expected: "\(dtype.rawValue) \(shape)", found: "nothing")
            }
            guard tensor.dtype == dtype, tensor.shape == shape else {
                throw FileError.trace(
                    .mismatch, file: file.url.path, field: "tensor \(column.name)",
                    expected: "\(dtype.rawValue) \(shape), as the manifest says",
                    found: "\(tensor.dtype.rawValue) \(tensor.shape)")
            }
        }
    }
}
