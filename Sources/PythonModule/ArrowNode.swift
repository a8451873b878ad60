import CPython
import Tensors

/// An array in Arrow's memory layout, with what lies inside of it; many arrays may share a buffer.
struct ArrowNode {
    var length: Int
    var nullCount = 0
    /// Validity first, nil where nothing is missing.
    var buffers: [UnsafeRawPointer?]
    /// What keeps the buffers valid.
    var owners: [AnyObject] = []
    var children: [ArrowNode] = []
    /// The values that a dictionary-encoded array points at; boxed, as a node cannot hold a node.
    var dictionary: [ArrowNode] = []

    init(
        length: Int, nullCount: Int = 0, buffers: [UnsafeRawPointer?], owners: [AnyObject] = [],
        children: [ArrowNode] = [], dictionary: [ArrowNode] = []
    ) {
        self.length = length
        self.nullCount = nullCount
        self.buffers = buffers
        self.owners = owners
        self.children = children
        self.dictionary = dictionary
    }

    /// Plain values that are all there.
    init(_ values: AlignedBuffer, length: Int) {
        self.init(length: length, buffers: [nil, UnsafeRawPointer(values.memory)], owners: [values])
    }

    /// Lists of the same length, all there.
    init(listsOf child: ArrowNode, length: Int) {
        self.init(length: length, buffers: [nil], children: [child])
    }

    /// Writes the structure and all inside it; its release callback lets go of the owners.
    func write(to array: UnsafeMutablePointer<ArrowArray>) {
        let context = Context(buffers, owners)
        context.children = ArrowChildren(children.count)
        for (index, child) in children.enumerated() { child.write(to: context.children.make(index)) }
        context.dictionary = ArrowChildren(dictionary.count)
        for (index, values) in dictionary.enumerated() { values.write(to: context.dictionary.make(index)) }
        array.initialize(
            to: ArrowArray(
                length: Int64(length), nullCount: Int64(nullCount), offset: 0, bufferCount: Int64(buffers.count),
                childCount: Int64(children.count), buffers: context.buffers, children: context.children.pointers,
                dictionary: context.dictionary.first,
                release: { array in
                    guard let array, let context = array.pointee.context else { return }
                    Unmanaged<Context>.fromOpaque(context).release()
                    array.pointee.context = nil
                    array.pointee.release = nil
                }, context: Unmanaged.passRetained(context).toOpaque()))
    }

    private final class Context {
        let owners: [AnyObject]
        let buffers: UnsafeMutablePointer<UnsafeRawPointer?>
        var children = ArrowChildren<ArrowArray>(0)
        var dictionary = ArrowChildren<ArrowArray>(0)

        init(_ source: [UnsafeRawPointer?], _ owners: [AnyObject]) {
            self.owners = owners
            buffers = .allocate(capacity: max(1, source.count))
            for (index, buffer) in source.enumerated() { (buffers + index).initialize(to: buffer) }
        }

        deinit {
            buffers.deallocate()
            children.free { $0.pointee.release?($0) }
            dictionary.free { $0.pointee.release?($0) }
        }
    }
}
