import Hooks
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

    /// [n]; empty where token ids are absent.
    public let tokens: UnsafeMutableBufferPointer<Int32>
    /// [n]; natural log of p(token at this row, given the rows before it), NaN in a document's first row; empty where absent.
    public let logprobs: UnsafeMutableBufferPointer<Float>

    /// [n]: most probable token after this row, -1 in a document's last row; empty where it is not kept.
    public let predicted: UnsafeMutableBufferPointer<Int32>

    /// Memory of every column by name, as `ColumnMemory` says.
    let memory: [String: ColumnMemory]
    private(set) var patterns: [AttentionPattern] = []

    /// Room for all tokens of `documents`.
    /// - Precondition: every document has at least one token.
    public init(layout: TraceLayout, documents: [TraceDocument]) {
        precondition(documents.allSatisfy { $0.tokens > 0 }, "a document has at least one token")
        self.layout = layout
        self.documents = documents
        let rows = documents.reduce(0) { $0 + $1.tokens }
        rowCount = rows
        var memory: [String: ColumnMemory] = [:]
        for column in layout.columns {
            memory[column.name] = ColumnMemory(column, count: column.shape(layout, rows: rows).reduce(1, *))
        }
        self.memory = memory
        func own<Element>(_ column: TraceColumn, _ type: Element.Type) -> UnsafeMutableBufferPointer<Element> {
            memory[column.name]?.bound(to: type) ?? UnsafeMutableBufferPointer(start: nil, count: 0)
        }
        tokens = own(.token, Int32.self)
        logprobs = own(.logprob, Float.self)
        predicted = own(.predicted, Int32.self)
        logprobs.update(repeating: .nan)
        predicted.update(repeating: -1)
    }

    deinit { memory.values.forEach { $0.deallocate() } }

    /// One layer of a column.
    /// - Parameter place: of the layer in the column's first dimension.
    private func layer<Element>(
        _ name: String, _ place: Int, as type: Element.Type
    ) -> UnsafeMutableBufferPointer<Element> {
        guard let memory = memory[name], let column = layout.column(name), let layers = column.layers(layout) else {
            return UnsafeMutableBufferPointer(start: nil, count: 0)
        }
        precondition(layers.indices.contains(place))
        let all = memory.bound(to: type)
        let size = all.count / layers.count
        return UnsafeMutableBufferPointer(rebasing: all[place * size..<(place + 1) * size])
    }

    /// [n, E] of one captured layer, before softmax; empty where logits are not kept.
    /// - Parameter layerIndex: place in `layout.layers`.
    public func routerLogits(layerIndex: Int) -> UnsafeMutableBufferPointer<Float> {
        layer("router_logits", layerIndex, as: Float.self)
    }

    /// [n, K] of one captured layer, as applied, by falling weight; empty where weights are absent.
    public func expertWeights(layerIndex: Int) -> UnsafeMutableBufferPointer<Float> {
        layer(TraceColumn.expertWeights.name, layerIndex, as: Float.self)
    }

    /// [n, K] of one captured layer, by falling weight. An index of E or more means "no expert in this slot" and is
    /// allowed only where an intervention reduced the experts per token.
    public func expertIndices(layerIndex: Int) -> UnsafeMutableBufferPointer<UInt16> {
        layer(TraceColumn.expertIndices.name, layerIndex, as: UInt16.self)
    }

    /// [H, n] of one captured layer, as F16 bits; empty where the summary is not kept.
    /// - Parameter layerIndex: place in `layout.attentionLayers`.
    public func attention(_ statistic: AttentionStatistic, layerIndex: Int) -> UnsafeMutableBufferPointer<UInt16> {
        layer(statistic.rawValue, layerIndex, as: UInt16.self)
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
        guard let index = layout.guessedLayers(ahead: ahead).firstIndex(of: layer) else {
            preconditionFailure("layer \(layer) is not guessed \(ahead) layers ahead")
        }
        let target = self.layer(TraceColumn.guesses(ahead: ahead).name, index, as: UInt16.self)
        let start = row * layout.expertsPerGuess
        precondition(start + values.count <= target.count)
        for i in 0..<values.count { target[start + i] = UInt16(truncatingIfNeeded: values[i]) }
    }

    /// Copies what a hook showed of rows from `row` on into every column that it fills. Rows may come in pieces.
    ///
    /// - Parameters:
    ///   - values: as the hook gives them: [rows, …], or [5, H, rows] for the attention summary.
    ///   - layer: the model's number.
    public func record(_ site: HookSite, layer: Int, _ values: UnsafeBufferPointer<Float>, row: Int = 0) {
        for column in layout.columns {
            guard case .hook(site, let recording) = column.source,
                let place = column.layers(layout)?.firstIndex(of: layer)
            else { continue }
            switch recording {
            case .copy:
                let width = column.shape(layout, rows: 1).reduce(1, *) / (column.layers(layout)?.count ?? 1)
                let target = self.layer(column.name, place, as: Float.self)
                precondition(row * width + values.count <= target.count)
                _ = UnsafeMutableBufferPointer(rebasing: target[(row * width)...]).update(fromContentsOf: values)
            case .statistic(let statistic): setStatistic(statistic, values, layerIndex: place, row: row)
            case .norm, .largest:
                let width = column.shape(layout, rows: 1).reduce(1, *) / (column.layers(layout)?.count ?? 1)
                let target = self.layer(column.name, place, as: UInt16.self)
                let (slots, size) = ((rowCount - row) * width, values.count / max(1, (rowCount - row) * width))
                for slot in 0..<slots {
                    let part = values[slot * size..<(slot + 1) * size]
                    let value: Float =
                        recording == .norm
                        ? part.reduce(0) { $0 + $1 * $1 }.squareRoot() : part.reduce(0) { max($0, abs($1)) }
                    target[row * width + slot] = Float16(value).bitPattern
                }
            }
        }
    }

    /// Copies the engine's attention summary, [5, H, rows] in the order of `AttentionStatistic`, into the rows from `row` on.
    public func setAttentionSummary(_ values: UnsafeBufferPointer<Float>, layerIndex: Int, row: Int = 0) {
        for statistic in AttentionStatistic.allCases {
            setStatistic(statistic, values, layerIndex: layerIndex, row: row)
        }
    }

    private func setStatistic(
        _ statistic: AttentionStatistic, _ values: UnsafeBufferPointer<Float>, layerIndex: Int, row: Int
    ) {
        let H = layout.heads
        let kinds = AttentionStatistic.allCases
        let k = kinds.firstIndex(of: statistic) ?? 0
        let rows = values.count / (kinds.count * H)
        precondition(rows * kinds.count * H == values.count && row + rows <= rowCount)
        let target = attention(statistic, layerIndex: layerIndex)
        for head in 0..<H {
            HalfConversion.encode(
                UnsafeBufferPointer(rebasing: values[(k * H + head) * rows..<(k * H + head + 1) * rows]),
                into: UnsafeMutableBufferPointer(
                    rebasing: target[head * rowCount + row..<head * rowCount + row + rows]))
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

    /// A whole column, as `ColumnMemory` keeps it.
    func values<Element>(_ column: TraceColumn, as type: Element.Type) -> UnsafeBufferPointer<Element> {
        UnsafeBufferPointer(memory[column.name]?.bound(to: type) ?? UnsafeMutableBufferPointer(start: nil, count: 0))
    }
}

/// The memory of one column while it is filled: Int32 or Float for columns stored so; Float for router logits, which become F16
/// while they are written; F16 bits for other F16 columns; UInt16 for experts.
struct ColumnMemory {
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ column: TraceColumn, count: Int) {
        bytes = .allocate(byteCount: count * column.memoryStride, alignment: 16)
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
    }

    func bound<Element>(to type: Element.Type) -> UnsafeMutableBufferPointer<Element> { bytes.bindMemory(to: type) }
    func deallocate() { bytes.deallocate() }
}

extension TraceColumn {
    /// Whether values wait as Float and become F16 while they are written.
    var isHalvedWhenWritten: Bool { storage == .f16 && name == "router_logits" }

    var memoryStride: Int {
        switch storage {
        case .i32, .f32: 4
        case .f16: isHalvedWhenWritten ? 4 : 2
        case .expertIndex: 2
        }
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
