import CPython
import Foundation

/// A table as an Arrow C stream of one batch (Arrow's C data and C stream interfaces).
///
/// Every structure owns what it points at and frees it in its release callback; the consumer may release them in any
/// order, on any thread, without the GIL.
enum ArrowTable {
    /// The capsule's name; Python keeps the pointer, so it must be a literal's.
    private static let capsuleName: StaticString = "arrow_array_stream"

    /// A capsule `arrow_array_stream`, as `__arrow_c_stream__` returns it.
    static func streamCapsule(_ table: TableStorage) throws(PythonError) -> PythonObject {
        let stream = UnsafeMutablePointer<ArrowStream>.allocate(capacity: 1)
        stream.initialize(
            to: ArrowStream(
                getSchema: { stream, schema in
                    guard let schema, let state = ArrowTable.state(stream) else { return EINVAL }
                    ArrowTable.write(schemaOf: state.table, to: schema)
                    return 0
                },
                getNext: { stream, array in
                    guard let array, let state = ArrowTable.state(stream) else { return EINVAL }
                    if state.isDone {
                        array.initialize(to: ArrowArray())  // No release callback: the end of the stream.
                    } else {
                        ArrowTable.write(arrayOf: state.table, to: array)
                        state.isDone = true
                    }
                    return 0
                },
                getLastError: { _ in nil },
                release: { stream in
                    guard let stream, let context = stream.pointee.context else { return }
                    Unmanaged<StreamState>.fromOpaque(context).release()
                    stream.pointee.context = nil
                    stream.pointee.release = nil
                },
                context: Unmanaged.passRetained(StreamState(table)).toOpaque()))
        let capsule = PyCapsule_New(stream, MethodEntry.literal(capsuleName)) { capsule in
            guard let pointer = PyCapsule_GetPointer(capsule, MethodEntry.literal(ArrowTable.capsuleName)) else {
                return
            }
            let stream = pointer.assumingMemoryBound(to: ArrowStream.self)
            stream.pointee.release?(stream)
            stream.deallocate()
        }
        if capsule == nil {
            stream.pointee.release?(stream)
            stream.deallocate()
        }
        return try PythonReference(capsule).release()
    }

    private final class StreamState {
        let table: TableStorage
        var isDone = false

        init(_ table: TableStorage) { self.table = table }
    }

    private static func state(_ stream: UnsafeMutablePointer<ArrowStream>?) -> StreamState? {
        stream?.pointee.context.map { Unmanaged<StreamState>.fromOpaque($0).takeUnretainedValue() }
    }

    // MARK: Schema

    /// Strings and children of one schema, freed with it.
    private final class SchemaContext {
        var strings: [UnsafeMutablePointer<CChar>?] = []
        var metadata: UnsafeMutableRawPointer?
        var children: UnsafeMutablePointer<UnsafeMutablePointer<ArrowSchema>?>?
        var childCount = 0

        func string(_ text: String) -> UnsafePointer<CChar>? {
            strings.append(strdup(text))
            return strings.last?.map { UnsafePointer($0) }
        }

        deinit {
            for string in strings { free(string) }
            metadata?.deallocate()
            for index in 0..<childCount {
                if let child = children?[index] {
                    child.pointee.release?(child)
                    child.deallocate()
                }
            }
            children?.deallocate()
        }
    }

    private static func write(schemaOf table: TableStorage, to schema: UnsafeMutablePointer<ArrowSchema>) {
        let context = SchemaContext()
        context.childCount = table.columns.count
        context.children = .allocate(capacity: max(1, table.columns.count))
        for (index, column) in table.columns.enumerated() {
            let child = UnsafeMutablePointer<ArrowSchema>.allocate(capacity: 1)
            let childContext = SchemaContext()
            // Bit 1 of the flags: may hold nulls.
            child.initialize(
                to: ArrowSchema(
                    format: MethodEntry.literal(ArrowColumn.format(of: column.values)),
                    name: childContext.string(column.name), metadata: nil, flags: 2, childCount: 0, children: nil,
                    dictionary: nil, release: releaseSchema, context: Unmanaged.passRetained(childContext).toOpaque()))
            context.children?[index] = child
        }
        context.metadata = metadata(table.notes)
        schema.initialize(
            to: ArrowSchema(
                format: MethodEntry.literal("+s"), name: context.string(table.name),
                metadata: context.metadata.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) }, flags: 0,
                childCount: Int64(table.columns.count), children: context.children, dictionary: nil,
                release: releaseSchema, context: Unmanaged.passRetained(context).toOpaque()))
    }

    private static let releaseSchema: @convention(c) (UnsafeMutablePointer<ArrowSchema>?) -> Void = { schema in
        guard let schema, let context = schema.pointee.context else { return }
        Unmanaged<SchemaContext>.fromOpaque(context).release()
        schema.pointee.context = nil
        schema.pointee.release = nil
    }

    /// Number of pairs, then length and bytes of each key and value; all lengths are 32-bit.
    private static func metadata(_ notes: [(key: String, value: String)]) -> UnsafeMutableRawPointer? {
        guard !notes.isEmpty else { return nil }
        var bytes: [UInt8] = []
        func append(_ number: Int) { withUnsafeBytes(of: Int32(number)) { bytes.append(contentsOf: $0) } }
        append(notes.count)
        for note in notes {
            for text in [note.key, note.value] {
                append(text.utf8.count)
                bytes.append(contentsOf: text.utf8)
            }
        }
        let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes.count, alignment: 4)
        bytes.withUnsafeBytes {
            memory.copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(memory), byteCount: $0.count)
        }
        return memory
    }

    // MARK: Array

    /// Buffers and children of one array, freed with it.
    private final class ArrayContext {
        let column: ArrowColumn?
        let buffers: UnsafeMutablePointer<UnsafeRawPointer?>
        var children: UnsafeMutablePointer<UnsafeMutablePointer<ArrowArray>?>?
        var childCount = 0

        init(_ column: ArrowColumn?) {
            self.column = column
            let source = column?.buffers ?? [nil]
            buffers = .allocate(capacity: source.count)
            for (index, buffer) in source.enumerated() {
                (buffers + index).initialize(to: buffer.map { UnsafeRawPointer($0) })
            }
        }

        deinit {
            buffers.deallocate()
            for index in 0..<childCount {
                if let child = children?[index] {
                    child.pointee.release?(child)
                    child.deallocate()
                }
            }
            children?.deallocate()
        }
    }

    private static func write(arrayOf table: TableStorage, to array: UnsafeMutablePointer<ArrowArray>) {
        let context = ArrayContext(nil)
        context.childCount = table.columns.count
        context.children = .allocate(capacity: max(1, table.columns.count))
        for (index, column) in table.columns.enumerated() {
            let values = ArrowColumn(column.values)
            let childContext = ArrayContext(values)
            let child = UnsafeMutablePointer<ArrowArray>.allocate(capacity: 1)
            child.initialize(
                to: ArrowArray(
                    length: Int64(values.length), nullCount: Int64(values.nullCount), offset: 0,
                    bufferCount: Int64(values.buffers.count), childCount: 0, buffers: childContext.buffers,
                    children: nil, dictionary: nil, release: releaseArray,
                    context: Unmanaged.passRetained(childContext).toOpaque()))
            context.children?[index] = child
        }
        array.initialize(
            to: ArrowArray(
                length: Int64(table.rowCount), nullCount: 0, offset: 0, bufferCount: 1,
                childCount: Int64(table.columns.count), buffers: context.buffers, children: context.children,
                dictionary: nil, release: releaseArray, context: Unmanaged.passRetained(context).toOpaque()))
    }

    private static let releaseArray: @convention(c) (UnsafeMutablePointer<ArrowArray>?) -> Void = { array in
        guard let array, let context = array.pointee.context else { return }
        Unmanaged<ArrayContext>.fromOpaque(context).release()
        array.pointee.context = nil
        array.pointee.release = nil
    }
}
