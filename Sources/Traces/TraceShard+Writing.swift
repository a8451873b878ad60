import FileFormats
import Tensors

extension TraceShard {
    /// The shard's tensors, in the order of the format; converted piece by piece while they are written.
    func entries(_ documents: [TraceDocument]) -> [SafetensorsFile.Entry] {
        let n = rowCount
        var documentOfRow: [Int32] = []
        var position: [Int32] = []
        documentOfRow.reserveCapacity(n)
        position.reserveCapacity(n)
        for document in documents {
            documentOfRow.append(contentsOf: repeatElement(Int32(document.index), count: document.tokens))
            position.append(contentsOf: 0..<Int32(document.tokens))
        }
        return layout.columns.map { column in
            let (dtype, shape) = (column.dtype(layout), column.shape(layout, rows: n))
            switch column.name {
            case TraceColumn.document.name:
                return .init(name: column.name, dtype: dtype, shape: shape, values: documentOfRow)
            case TraceColumn.position.name:
                return .init(name: column.name, dtype: dtype, shape: shape, values: position)
            default: break
            }
            switch (column.storage, dtype) {
            case (.i32, _), (.f32, _):
                return raw(column.name, dtype, shape, UnsafeRawBufferPointer(values(column, as: UInt32.self)))
            case (.f16, _) where column.isHalvedWhenWritten:
                return converted(
                    column.name, dtype, shape, values(column, as: Float.self), HalfConversion.encode)
            case (.expertIndex, .u8):
                return converted(column.name, dtype, shape, values(column, as: UInt16.self)) {
                    (source: UnsafeBufferPointer<UInt16>, target: UnsafeMutableBufferPointer<UInt8>) in
                    for i in 0..<source.count { target[i] = UInt8(truncatingIfNeeded: source[i]) }
                }
            case (.f16, _), (.expertIndex, _):
                return raw(column.name, dtype, shape, UnsafeRawBufferPointer(values(column, as: UInt16.self)))
            }
        }
    }

    /// A router logit that F16 cannot hold, where logits are stored so; written, it would be infinite.
    func halfProblem(file: String) -> FileError? {
        for column in layout.columns where column.isHalvedWhenWritten {
            let logits = values(column, as: Float.self)
            guard let place = logits.firstIndex(where: { abs($0) >= 65_520 && $0.isFinite }) else { continue }
            let row = place / layout.experts
            return FileError.trace(
                .unsupported, file: file,
                field: "tensor \(column.name), layer \(layout.layers[row / rowCount]), row \(row % rowCount)",
                expected: "at most 65504, the largest number in F16", found: "\(logits[place])",
                hint: "record router_logits instead of router_logits_f16")
        }
        return nil
    }

    /// Patterns by document, layer and head, whatever the order in which they came.
    func patternEntries(_ documents: [TraceDocument]) -> [SafetensorsFile.Entry] {
        patterns.sorted { ($0.document, $0.layer, $0.head) < ($1.document, $1.layer, $1.head) }.map { pattern in
            .init(
                name: TracePattern.name(
                    document: documents[pattern.document].index, layer: pattern.layer, head: pattern.head),
                dtype: .f16, shape: [pattern.tokens, pattern.tokens], values: pattern.bits)
        }
    }

    /// The shard's own memory; the closure keeps the shard alive.
    private func raw(
        _ name: String, _ dtype: DType, _ shape: [Int], _ bytes: UnsafeRawBufferPointer
    ) -> SafetensorsFile.Entry {
        .init(name: name, dtype: dtype, shape: shape) { sink throws(FileError) in
            try sink(bytes)
            withExtendedLifetime(self) {}
        }
    }

    private func converted<Source, Target: BitwiseCopyable>(
        _ name: String, _ dtype: DType, _ shape: [Int], _ source: UnsafeBufferPointer<Source>,
        _ convert: @escaping (UnsafeBufferPointer<Source>, UnsafeMutableBufferPointer<Target>) -> Void
    ) -> SafetensorsFile.Entry {
        .init(name: name, dtype: dtype, shape: shape) { sink throws(FileError) in
            let piece = UnsafeMutableBufferPointer<Target>.allocate(capacity: min(1 << 18, max(1, source.count)))
            defer { piece.deallocate() }
            var start = 0
            while start < source.count {
                let end = min(start + piece.count, source.count)
                let target = UnsafeMutableBufferPointer(rebasing: piece[0..<end - start])
                convert(UnsafeBufferPointer(rebasing: source[start..<end]), target)
                try sink(UnsafeRawBufferPointer(target))
                start = end
            }
            withExtendedLifetime(self) {}
        }
    }
}

/// Names of the tensors in attention files.
enum TracePattern {
    static func name(document: Int, layer: Int, head: Int) -> String {
        "document.\(document).layer.\(layer).head.\(head)"
    }

    /// What a name of `name(document:layer:head:)` says; nil for another name.
    static func place(_ name: String) -> (document: Int, layer: Int, head: Int)? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 6, let document = Int(parts[1]), let layer = Int(parts[3]), let head = Int(parts[5]),
            name == self.name(document: document, layer: layer, head: head)
        else { return nil }
        return (document, layer, head)
    }
}
