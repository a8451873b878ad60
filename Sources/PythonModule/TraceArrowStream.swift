import FileFormats
import Tensors
import Traces

/// Documents of a trace as Arrow batches: one row for each token, or for each token and layer. Memory is that of one batch and of one
/// mapped shard, whatever the trace's size.
final class TraceArrowStream: ArrowBatches {
    enum Table: String, Decodable, Sendable {
        /// document, position, token, its text, its log-probability; by document, then position.
        case tokens
        /// document, position, layer, experts, weights; by shard, then layer, then document, then position.
        case routing
    }

    /// What Python asks for, as JSON.
    struct Request: Decodable, Sendable {
        var table: Table
        /// Indices, rising; nil: all.
        var documents: [Int]?
        /// Whether rows say their document's group.
        var group: Bool
        var logits: Bool
    }

    private let trace: Trace
    private let request: Request
    private let columns: [TraceColumn]
    /// Documents of one shard that make one batch, or one batch for some layers.
    private var units: [[TraceDocument]]
    private var unit = 0
    /// The first layer of the next batch of a unit, as a place in the layout.
    private var layer = 0
    private var shard: MappedShard?
    private let groups: [String]
    private let groupPlaces: [String: Int32]
    private let texts: ArrowNode?
    private let groupNames: ArrowNode

    /// Rows of a batch: enough that what a batch costs by itself does not count.
    private static let batchRows = 1 << 17

    init(_ trace: Trace, _ request: Request) throws(FileError) {
        self.trace = trace
        self.request = request
        let layout = trace.layout
        switch request.table {
        case .tokens:
            columns = [TraceColumn.token, .logprob, .predicted].compactMap { layout.column($0.name) }
        case .routing:
            let names =
                [TraceColumn.expertIndices.name, TraceColumn.expertWeights.name]
                + (request.logits ? ["router_logits"] : [])
            columns = names.compactMap { layout.column($0) }
        }
        let documents = request.documents.map { $0.map { trace.documents[$0] } } ?? trace.documents
        var units: [[TraceDocument]] = []
        var rows = 0
        for document in documents {
            if units.last?.last?.shard != document.shard || rows + document.tokens > Self.batchRows {
                units.append([])
                rows = 0
            }
            units[units.count - 1].append(document)
            rows += document.tokens
        }
        self.units = units
        groups = Set(trace.documents.map(\.group)).sorted()
        groupPlaces = Dictionary(uniqueKeysWithValues: zip(groups, 0...))
        groupNames = Self.texts(groups)
        let text = request.table == .tokens && layout.hasTokens ? try trace.tokenText() : nil
        texts = text.map { text in
            Self.texts((0..<max(text.pieces.count, trace.manifest.model.vocabSize)).map { text.inText($0) })
        }
    }

    // MARK: Schema

    var schema: ArrowField {
        var fields = [
            field("document", "i", "index of the document in the table documents"),
            field("position", "i", "position in the document, from 0"),
        ]
        if request.group {
            fields.append(dictionary("group", "the document's group"))
        }
        if request.table == .routing { fields.append(field("layer", "s", "the model's number of the layer, from 0")) }
        for column in columns {
            switch column.name {
            case TraceColumn.token.name:
                fields.append(field("token", "i", column.summary))
                if texts != nil { fields.append(dictionary("text", "what the token says inside its text")) }
            case TraceColumn.logprob.name:
                var logprob = field(
                    "logprob", "f", "natural log of p(token | the tokens before it); null in a document's first row")
                logprob.mayBeNull = true
                fields.append(logprob)
            case TraceColumn.predicted.name: fields.append(field("predicted", "i", column.summary))
            case TraceColumn.expertIndices.name:
                fields.append(
                    list(
                        "experts", trace.layout.experts < 256 ? "C" : "S", trace.layout.expertsPerToken,
                        column.summary + "; \(trace.layout.experts) stands for a slot that is not used"))
            case TraceColumn.expertWeights.name:
                fields.append(list("weights", "f", trace.layout.expertsPerToken, column.summary))
            default:
                fields.append(
                    list("logits", column.storage == .f16 ? "e" : "f", trace.layout.experts, column.summary))
            }
        }
        return ArrowField(
            name: "", format: "+s", children: fields,
            metadata: [("moescope.table", request.table.rawValue), ("moescope.version", ModuleFunctions.version)])
    }

    private func field(_ name: String, _ format: String, _ summary: String) -> ArrowField {
        ArrowField(name: name, format: format, metadata: [("description", summary)])
    }

    private func list(_ name: String, _ format: String, _ size: Int, _ summary: String) -> ArrowField {
        var list = field(name, "+w:\(size)", summary)
        list.children = [ArrowField(name: "element", format: format)]
        return list
    }

    private func dictionary(_ name: String, _ summary: String) -> ArrowField {
        var field = field(name, "i", summary)
        field.dictionary = [ArrowField(name: "", format: "u")]
        return field
    }

    // MARK: Batches

    func next() throws -> ArrowNode? {
        guard unit < units.count else {
            shard = nil
            try trace.checkReadable()
            return nil
        }
        let documents = units[unit]
        if shard?.index != documents[0].shard { shard = try trace.shard(documents[0].shard) }
        guard let shard else { return nil }
        let rows = documents.reduce(0) { $0 + $1.tokens }
        let layers: Range<Int>
        switch request.table {
        case .tokens:
            layers = 0..<1
            unit += 1
        case .routing:
            let count = trace.layout.layerCount
            layers = layer..<min(count, layer + max(1, Self.batchRows / max(1, rows)))
            layer = layers.upperBound
            if layer >= count { (unit, layer) = (unit + 1, 0) }
        }
        return batch(documents, rows: rows, layers: layers, of: shard)
    }

    private func batch(_ documents: [TraceDocument], rows: Int, layers: Range<Int>, of shard: MappedShard) -> ArrowNode
    {
        let total = rows * layers.count
        var children = [
            repeated(layers.count, rows) { target in
                var row = 0
                for document in documents {
                    (target + row).update(repeating: Int32(document.index), count: document.tokens)
                    row += document.tokens
                }
            },
            repeated(layers.count, rows) { target in
                var row = 0
                for document in documents {
                    for position in 0..<document.tokens { target[row + position] = Int32(position) }
                    row += document.tokens
                }
            },
        ]
        if request.group {
            var places = repeated(layers.count, rows) { target in
                var row = 0
                for document in documents {
                    (target + row).update(repeating: groupPlaces[document.group] ?? 0, count: document.tokens)
                    row += document.tokens
                }
            }
            places.dictionary = [groupNames]
            children.append(places)
        }
        if request.table == .routing {
            let numbers = AlignedBuffer(Int16.self, count: total)
            for (place, layer) in layers.enumerated() {
                (numbers.bound(to: Int16.self) + place * rows).update(
                    repeating: Int16(truncatingIfNeeded: trace.layout.layers[layer]), count: rows)
            }
            children.append(ArrowNode(numbers, length: total))
        }
        let runs = Self.runs(documents)
        for column in columns {
            let width = column.blocks(trace.layout).width
            let size = width * column.dtype(trace.layout).blockBytes
            let values = AlignedBuffer(byteCount: total * size)
            var place = 0
            for layer in layers {
                guard let bytes = shard.bytes(column, layerIndex: layer) else { continue }
                for run in runs {
                    let part = UnsafeRawBufferPointer(rebasing: bytes[run.lowerBound * size..<run.upperBound * size])
                    if let base = part.baseAddress {
                        (values.memory + place).copyMemory(from: base, byteCount: part.count)
                    }
                    place += part.count
                }
            }
            switch column.name {
            case TraceColumn.logprob.name: children.append(Self.withoutFirst(values, documents, rows: rows))
            case TraceColumn.token.name:
                children.append(ArrowNode(values, length: rows))
                if let texts {
                    var text = ArrowNode(values, length: rows)
                    text.dictionary = [texts]
                    children.append(text)
                }
            case TraceColumn.predicted.name: children.append(ArrowNode(values, length: rows))
            default: children.append(ArrowNode(listsOf: ArrowNode(values, length: total * width), length: total))
            }
        }
        withExtendedLifetime(shard) {}
        return ArrowNode(length: total, buffers: [nil], children: children)
    }

    /// Int32 of some rows, again for every layer.
    private func repeated(_ layers: Int, _ rows: Int, _ fill: (UnsafeMutablePointer<Int32>) -> Void) -> ArrowNode {
        let values = AlignedBuffer(Int32.self, count: rows * layers)
        let target = values.bound(to: Int32.self)
        if layers > 0 { fill(target) }
        for layer in 1..<max(1, layers) { (target + layer * rows).update(from: target, count: rows) }
        return ArrowNode(values, length: rows * layers)
    }

    /// Rows that follow one another in the shard.
    private static func runs(_ documents: [TraceDocument]) -> [Range<Int>] {
        var runs: [Range<Int>] = []
        for document in documents {
            if let last = runs.last, last.upperBound == document.firstRow {
                runs[runs.count - 1] = last.lowerBound..<document.rows.upperBound
            } else {
                runs.append(document.rows)
            }
        }
        return runs
    }

    /// Log-probabilities, null in every document's first row.
    private static func withoutFirst(_ values: AlignedBuffer, _ documents: [TraceDocument], rows: Int) -> ArrowNode {
        let validity = AlignedBuffer(byteCount: (rows + 7) / 8)
        validity.memory.initializeMemory(as: UInt8.self, repeating: 0xFF, count: validity.byteCount)
        let bits = validity.bound(to: UInt8.self)
        var row = 0
        for document in documents {
            bits[row / 8] &= ~(1 << UInt8(row % 8))
            row += document.tokens
        }
        return ArrowNode(
            length: rows, nullCount: documents.count,
            buffers: [UnsafeRawPointer(validity.memory), UnsafeRawPointer(values.memory)], owners: [validity, values])
    }

    /// Texts with 32-bit offsets, all there.
    private static func texts(_ values: [String]) -> ArrowNode {
        let offsets = AlignedBuffer(Int32.self, count: values.count + 1)
        let bytes = values.map { Array($0.utf8) }
        let text = AlignedBuffer(byteCount: bytes.reduce(0) { $0 + $1.count })
        var place = 0
        offsets.bound(to: Int32.self)[0] = 0
        for (index, value) in bytes.enumerated() {
            value.withUnsafeBytes { source in
                if let base = source.baseAddress {
                    (text.memory + place).copyMemory(from: base, byteCount: source.count)
                }
            }
            place += value.count
            offsets.bound(to: Int32.self)[index + 1] = Int32(place)
        }
        return ArrowNode(
            length: values.count,
            buffers: [nil, UnsafeRawPointer(offsets.memory), UnsafeRawPointer(text.memory)], owners: [offsets, text])
    }
}
