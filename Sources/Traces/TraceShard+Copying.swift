import FileFormats
import Tensors

extension TraceShard {
    /// Copies rows of a shard on disk, in every column of the layout, as they are stored.
    ///
    /// - Parameters:
    ///   - rows: of the source.
    ///   - row: where they go to here.
    /// - Precondition: both have the same layout.
    func copy(_ rows: Range<Int>, of source: MappedShard, to row: Int) {
        precondition(source.layout == layout && row + rows.count <= rowCount)
        for column in layout.columns where !TraceColumn.derived.contains(column.name) {
            guard let target = memory[column.name] else { continue }
            let blocks = column.blocks(layout)
            for block in 0..<blocks.count {
                guard let bytes = source.allBytes(column) else { continue }
                let first = (block * source.rowCount + rows.lowerBound) * blocks.width
                let place = (block * rowCount + row) * blocks.width
                fill(
                    column, target, at: place, from: bytes, elements: first..<first + rows.count * blocks.width)
            }
        }
        withExtendedLifetime(source) {}
    }

    /// Copies values of a whole column from memory of the caller's, which has the type and shape that the file will have.
    ///
    /// - Returns: false, and nothing copied, where there are not as many bytes as the column takes.
    package func fill(_ column: TraceColumn, from bytes: UnsafeRawBufferPointer) -> Bool {
        guard let target = memory[column.name],
            bytes.count == rowCount * column.bytesPerToken(layout)
        else { return false }
        fill(column, target, at: 0, from: bytes, elements: 0..<bytes.count / column.dtype(layout).blockBytes)
        return true
    }

    private func fill(
        _ column: TraceColumn, _ target: ColumnMemory, at place: Int, from bytes: UnsafeRawBufferPointer,
        elements: Range<Int>
    ) {
        func part<Element: BitwiseCopyable>(_ type: Element.Type) -> UnsafeBufferPointer<Element> {
            UnsafeBufferPointer(rebasing: bytes.bindMemory(to: type)[elements])
        }
        func copy<Element: BitwiseCopyable>(_ type: Element.Type) {
            let size = MemoryLayout<Element>.stride
            UnsafeMutableRawBufferPointer(room(type)).copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[elements.lowerBound * size..<elements.upperBound * size]))
        }
        func room<Element>(_ type: Element.Type) -> UnsafeMutableBufferPointer<Element> {
            UnsafeMutableBufferPointer(rebasing: target.bound(to: type)[place..<place + elements.count])
        }
        switch (column.storage, column.dtype(layout)) {
        case (.f16, _) where column.isHalvedWhenWritten:
            HalfConversion.decode(part(UInt16.self), into: room(Float.self))
        case (.expertIndex, .u8):
            let (values, target) = (part(UInt8.self), room(UInt16.self))
            for i in 0..<values.count { target[i] = UInt16(values[i]) }
        case (.expertIndex, _), (.f16, _): copy(UInt16.self)
        case (.i32, _), (.f32, _): copy(UInt32.self)
        }
    }
}

extension TraceColumn {
    /// Columns that the writer makes from the documents.
    package static let derived = [TraceColumn.document.name, TraceColumn.position.name]

    /// How the values of consecutive rows lie: so many blocks, one after the other, of `width` elements a row.
    package func blocks(_ layout: TraceLayout) -> (count: Int, width: Int) {
        let layers = layers(layout)?.count ?? 1
        let outer = dimensions.count > 1 && dimensions[1] == .heads ? layout.heads : 1
        let total = shape(layout, rows: 1).reduce(1, *)
        return (layers * outer, layers == 0 || outer == 0 ? 0 : total / (layers * outer))
    }
}
