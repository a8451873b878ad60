import Tensors

/// The rows of some whole documents on their way into a trace, in memory, to be filled in place.
///
/// n rows · L captured layers · E experts · K slots per token · H heads. Everything starts as 0 (`logprob` as NaN).
/// The buffers live as long as the shard; different layers, and different rows of one layer, may be filled from different
/// threads at once. What was never filled is written as it is: the writer checks documents and sizes, not whether all layers came.
public final class TraceShard: @unchecked Sendable {
    public let layout: TraceLayout
    /// Documents in order, rows following one another; the writer fills in `index`, `shard` and `firstRow`.
    public let documents: [TraceDocument]
    public let rowCount: Int

    /// [n]
    public let tokens: UnsafeMutableBufferPointer<Int32>
    /// [n]; natural log of p(token at this row, given the rows before it), NaN in a document's first row.
    public let logprobs: UnsafeMutableBufferPointer<Float>

    /// [n]: most probable token after this row, -1 in a document's last row; empty where it is not kept.
    public let predicted: UnsafeMutableBufferPointer<Int32>

    private let logits: UnsafeMutableBufferPointer<Float>
    private let indices: UnsafeMutableBufferPointer<UInt16>
    private let weights: UnsafeMutableBufferPointer<Float>
    private let statistics: UnsafeMutableBufferPointer<UInt16>
    /// By place in `layout.speculative`: [guessed layers, n, K].
    private let guesses: [UnsafeMutableBufferPointer<UInt16>]
    private(set) var patterns: [AttentionPattern] = []

    /// Room for all tokens of `documents`.
    /// - Precondition: every document has at least one token.
    public init(layout: TraceLayout, documents: [TraceDocument]) {
        precondition(documents.allSatisfy { $0.tokens > 0 }, "a document has at least one token")
        self.layout = layout
        self.documents = documents
        let rows = documents.reduce(0) { $0 + $1.tokens }
        rowCount = rows
        let L = layout.layerCount
        tokens = Self.room(rows, of: 0)
        logprobs = Self.room(rows, of: .nan)
        logits = Self.room(layout.routerLogits == nil ? 0 : L * rows * layout.experts, of: 0)
        indices = Self.room(L * rows * layout.expertsPerToken, of: 0)
        weights = Self.room(L * rows * layout.expertsPerToken, of: 0)
        let statisticsCount = AttentionStatistic.allCases.count * L * layout.heads * rows
        statistics = Self.room(layout.attentionSummary ? statisticsCount : 0, of: 0)
        predicted = Self.room(layout.predicted ? rows : 0, of: -1)
        guesses = layout.speculative.map {
            Self.room(layout.guessedLayers(ahead: $0).count * rows * layout.expertsPerGuess, of: 0)
        }
    }

    deinit {
        tokens.deallocate()
        logprobs.deallocate()
        logits.deallocate()
        indices.deallocate()
        weights.deallocate()
        statistics.deallocate()
        predicted.deallocate()
        guesses.forEach { $0.deallocate() }
    }

    private static func room<T: BitwiseCopyable>(_ count: Int, of value: T) -> UnsafeMutableBufferPointer<T> {
        let buffer = UnsafeMutableBufferPointer<T>.allocate(capacity: count)
        buffer.initialize(repeating: value)
        return buffer
    }

    /// [n, E] of one captured layer, before softmax; empty where logits are not kept.
    /// - Parameter layerIndex: place in `layout.layers`.
    public func routerLogits(layerIndex: Int) -> UnsafeMutableBufferPointer<Float> {
        layer(of: logits, layerIndex)
    }

    /// [n, K] of one captured layer, as applied, by falling weight.
    public func expertWeights(layerIndex: Int) -> UnsafeMutableBufferPointer<Float> {
        layer(of: weights, layerIndex)
    }

    /// [n, K] of one captured layer, by falling weight. An index of E or more means "no expert in this slot" and is
    /// allowed only where an intervention reduced the experts per token.
    public func expertIndices(layerIndex: Int) -> UnsafeMutableBufferPointer<UInt16> {
        layer(of: indices, layerIndex)
    }

    /// [H, n] of one captured layer, as F16 bits; empty where the summary is not kept.
    public func attention(_ statistic: AttentionStatistic, layerIndex: Int) -> UnsafeMutableBufferPointer<UInt16> {
        layer(of: all(statistic), layerIndex)
    }

    /// Copies the engine's chosen experts, [rows, K] as I32, into the rows from `row` on.
    public func setExpertIndices(_ values: UnsafeBufferPointer<Int32>, layerIndex: Int, row: Int = 0) {
        let target = expertIndices(layerIndex: layerIndex)
        let start = row * layout.expertsPerToken
        precondition(start + values.count <= target.count)
        for i in 0..<values.count { target[start + i] = UInt16(truncatingIfNeeded: values[i]) }
    }

    /// Copies experts guessed for a layer from so many layers before it, [rows, K] as I32, into the rows from `row` on.
    /// - Parameters:
    ///   - ahead: one of `layout.speculative`.
    ///   - layer: the model's number of the layer guessed, captured and at least `ahead`.
    public func setGuesses(_ values: UnsafeBufferPointer<Int32>, ahead: Int, layer: Int, row: Int = 0) {
        guard let place = layout.speculative.firstIndex(of: ahead),
            let index = layout.guessedLayers(ahead: ahead).firstIndex(of: layer)
        else { preconditionFailure("layer \(layer) is not guessed \(ahead) layers ahead") }
        let start = (index * rowCount + row) * layout.expertsPerGuess
        precondition(row * layout.expertsPerGuess + values.count <= rowCount * layout.expertsPerGuess)
        for i in 0..<values.count { guesses[place][start + i] = UInt16(truncatingIfNeeded: values[i]) }
    }

    /// Copies the engine's attention summary, [5, H, rows] in the order of `AttentionStatistic`, into the rows from `row` on.
    public func setAttentionSummary(_ values: UnsafeBufferPointer<Float>, layerIndex: Int, row: Int = 0) {
        let H = layout.heads
        let kinds = AttentionStatistic.allCases
        let rows = values.count / (kinds.count * H)
        precondition(rows * kinds.count * H == values.count && row + rows <= rowCount)
        for (k, statistic) in kinds.enumerated() {
            let target = attention(statistic, layerIndex: layerIndex)
            for head in 0..<H {
                let source = UnsafeBufferPointer(rebasing: values[(k * H + head) * rows..<(k * H + head + 1) * rows])
                HalfConversion.encode(
                    source,
                    into: UnsafeMutableBufferPointer(
                        rebasing: target[head * rowCount + row..<head * rowCount + row + rows]))
            }
        }
    }

    /// Keeps the pattern of one head over one document: [t, t], rows are queries; kept as F16.
    ///
    /// Not to be called from two threads at once.
    /// - Parameter document: place in `documents`.
    public func addPattern(_ values: UnsafeBufferPointer<Float>, document: Int, layer: Int, head: Int) {
        let t = documents[document].tokens
        precondition(values.count == t * t)
        patterns.append(AttentionPattern(document: document, layer: layer, head: head, tokens: t, values: values))
    }

    /// All layers, as written: [L, n, E], [L, n, K], [L, n, K], [L, H, n].
    var allLogits: UnsafeBufferPointer<Float> { UnsafeBufferPointer(logits) }
    var allIndices: UnsafeBufferPointer<UInt16> { UnsafeBufferPointer(indices) }
    var allWeights: UnsafeBufferPointer<Float> { UnsafeBufferPointer(weights) }
    /// [guessed layers, n, K] of a place in `layout.speculative`.
    func allGuesses(_ place: Int) -> UnsafeBufferPointer<UInt16> { UnsafeBufferPointer(guesses[place]) }
    func all(_ statistic: AttentionStatistic) -> UnsafeMutableBufferPointer<UInt16> {
        let kinds = AttentionStatistic.allCases
        let size = statistics.count / kinds.count
        let place = kinds.firstIndex(of: statistic) ?? 0
        return UnsafeMutableBufferPointer(rebasing: statistics[place * size..<(place + 1) * size])
    }

    private func layer<T>(of buffer: UnsafeMutableBufferPointer<T>, _ index: Int) -> UnsafeMutableBufferPointer<T> {
        precondition(index >= 0 && index < layout.layerCount)
        let size = buffer.count / layout.layerCount
        return UnsafeMutableBufferPointer(rebasing: buffer[index * size..<(index + 1) * size])
    }
}

/// One head's attention over one document: F16 bits, [t, t].
struct AttentionPattern: Sendable {
    let document: Int
    let layer: Int
    let head: Int
    let tokens: Int
    let bits: [UInt16]

    init(document: Int, layer: Int, head: Int, tokens: Int, values: UnsafeBufferPointer<Float>) {
        self.document = document
        self.layer = layer
        self.head = head
        self.tokens = tokens
        bits = [UInt16](unsafeUninitializedCapacity: values.count) { buffer, count in
            HalfConversion.encode(values, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<values.count]))
            // Above the diagonal the engine may leave anything; the format says 0.
            for row in 0..<tokens { for column in row + 1..<max(row + 1, tokens) { buffer[row * tokens + column] = 0 } }
            count = values.count
        }
    }
}

/// F16 bits from and to Float, rounding to nearest even.
enum HalfConversion {
    static func encode(_ source: UnsafeBufferPointer<Float>, into target: UnsafeMutableBufferPointer<UInt16>) {
        precondition(source.count == target.count)
        for i in 0..<source.count { target[i] = Float16(source[i]).bitPattern }
    }

    static func decode(_ source: UnsafeBufferPointer<UInt16>, into target: UnsafeMutableBufferPointer<Float>) {
        precondition(source.count == target.count)
        for i in 0..<source.count { target[i] = Float(Float16(bitPattern: source[i])) }
    }
}
