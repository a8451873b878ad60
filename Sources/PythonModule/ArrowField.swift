import CPython
import Foundation

/// A column's name and type in Arrow's terms, with what lies inside of it.
struct ArrowField {
    var name: String
    /// Arrow's letters for the type: "i" is int32, "+w:8" a list of eight.
    var format: String
    var mayBeNull = false
    var children: [ArrowField] = []
    /// The type of the values that a dictionary-encoded column points at; boxed, as a field cannot hold a field.
    var dictionary: [ArrowField] = []
    /// What readers of the table find beside the name.
    var metadata: [(key: String, value: String)] = []

    /// Writes the structure and all inside it; its release callback frees them.
    func write(to schema: UnsafeMutablePointer<ArrowSchema>) {
        let context = Context()
        context.children = ArrowChildren(children.count)
        for (index, child) in children.enumerated() { child.write(to: context.children.make(index)) }
        context.dictionary = ArrowChildren(dictionary.count)
        for (index, values) in dictionary.enumerated() { values.write(to: context.dictionary.make(index)) }
        context.metadata = Self.encoded(metadata)
        schema.initialize(
            to: ArrowSchema(
                format: context.string(format), name: context.string(name),
                metadata: context.metadata.map { UnsafePointer($0.assumingMemoryBound(to: CChar.self)) },
                flags: mayBeNull ? 2 : 0, childCount: Int64(children.count), children: context.children.pointers,
                dictionary: context.dictionary.first,
                release: { schema in
                    guard let schema, let context = schema.pointee.context else { return }
                    Unmanaged<Context>.fromOpaque(context).release()
                    schema.pointee.context = nil
                    schema.pointee.release = nil
                }, context: Unmanaged.passRetained(context).toOpaque()))
    }

    /// Strings and children of one schema, freed with it.
    private final class Context {
        var strings: [UnsafeMutablePointer<CChar>?] = []
        var metadata: UnsafeMutableRawPointer?
        var children = ArrowChildren<ArrowSchema>(0)
        var dictionary = ArrowChildren<ArrowSchema>(0)

        func string(_ text: String) -> UnsafePointer<CChar>? {
            strings.append(strdup(text))
            return strings.last?.map { UnsafePointer($0) }
        }

        deinit {
            for string in strings { free(string) }
            metadata?.deallocate()
            children.free { $0.pointee.release?($0) }
            dictionary.free { $0.pointee.release?($0) }
        }
    }

    /// Number of pairs, then length and bytes of each key and value; all lengths are 32-bit.
    private static func encoded(_ notes: [(key: String, value: String)]) -> UnsafeMutableRawPointer? {
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
}

/// The children of a structure of Arrow's, each in memory of its own.
struct ArrowChildren<Structure> {
    let pointers: UnsafeMutablePointer<UnsafeMutablePointer<Structure>?>?
    private let count: Int

    /// The only one, where there is one: the values of a dictionary.
    var first: UnsafeMutablePointer<Structure>? { count > 0 ? pointers?[0] : nil }

    init(_ count: Int) {
        self.count = count
        pointers = count > 0 ? .allocate(capacity: count) : nil
        pointers?.initialize(repeating: nil, count: count)
    }

    /// Memory of the next child, not yet written.
    func make(_ index: Int) -> UnsafeMutablePointer<Structure> {
        let child = UnsafeMutablePointer<Structure>.allocate(capacity: 1)
        pointers?[index] = child
        return child
    }

    func free(_ release: (UnsafeMutablePointer<Structure>) -> Void) {
        for index in 0..<count {
            guard let child = pointers?[index] else { continue }
            release(child)
            child.deallocate()
        }
        pointers?.deallocate()
    }
}
