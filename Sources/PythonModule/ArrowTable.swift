/// A table as one batch of Arrow's.
final class ArrowTable: ArrowBatches {
    private let table: TableStorage
    private var isDone = false

    init(_ table: TableStorage) { self.table = table }

    var schema: ArrowField {
        ArrowField(
            name: table.name, format: "+s",
            children: table.columns.map {
                ArrowField(name: $0.name, format: ArrowColumn.format(of: $0.values), mayBeNull: true)
            }, metadata: table.notes)
    }

    func next() -> ArrowNode? {
        guard !isDone else { return nil }
        isDone = true
        return ArrowNode(
            length: table.rowCount, buffers: [nil],
            children: table.columns.map { column in
                let values = ArrowColumn(column.values)
                return ArrowNode(
                    length: values.length, nullCount: values.nullCount,
                    buffers: values.buffers.map { $0.map { UnsafeRawPointer($0) } }, owners: [values])
            })
    }
}
