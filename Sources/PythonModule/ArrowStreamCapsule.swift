import CPython
import Foundation

/// Batches of one schema, one after the other: what an Arrow C stream asks for. It is asked from one thread at a time, without the
/// interpreter lock.
protocol ArrowBatches: AnyObject {
    /// The fields of a batch are the children.
    var schema: ArrowField { get }
    /// - Returns: nil after the last.
    func next() throws -> ArrowNode?
}

/// An Arrow C stream (Arrow's C data and C stream interfaces).
///
/// Every structure owns what it points at and frees it in its release callback; the consumer may release them in any
/// order, on any thread, without the GIL.
enum ArrowStreamCapsule {
    /// The capsule's name; Python keeps the pointer, so it must be a literal's.
    private static let name: StaticString = "arrow_array_stream"

    /// A capsule `arrow_array_stream`, as `__arrow_c_stream__` returns it.
    static func make(_ batches: any ArrowBatches) throws(PythonError) -> PythonObject {
        let stream = UnsafeMutablePointer<ArrowStream>.allocate(capacity: 1)
        stream.initialize(
            to: ArrowStream(
                getSchema: { stream, schema in
                    guard let schema, let state = ArrowStreamCapsule.state(stream) else { return EINVAL }
                    state.batches.schema.write(to: schema)
                    return 0
                },
                getNext: { stream, array in
                    guard let array, let state = ArrowStreamCapsule.state(stream) else { return EINVAL }
                    do {
                        if let batch = try state.batches.next() {
                            batch.write(to: array)
                        } else {
                            array.initialize(to: ArrowArray())  // No release callback: the end of the stream.
                        }
                        return 0
                    } catch {
                        state.fail("\(error)")
                        return EIO
                    }
                },
                getLastError: { stream in
                    ArrowStreamCapsule.state(stream)?.problem.map { UnsafePointer($0) }
                },
                release: { stream in
                    guard let stream, let context = stream.pointee.context else { return }
                    Unmanaged<State>.fromOpaque(context).release()
                    stream.pointee.context = nil
                    stream.pointee.release = nil
                },
                context: Unmanaged.passRetained(State(batches)).toOpaque()))
        let capsule = PyCapsule_New(stream, MethodEntry.literal(name)) { capsule in
            guard let pointer = PyCapsule_GetPointer(capsule, MethodEntry.literal(ArrowStreamCapsule.name)) else {
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

    private final class State {
        let batches: any ArrowBatches
        private(set) var problem: UnsafeMutablePointer<CChar>?

        init(_ batches: any ArrowBatches) { self.batches = batches }

        func fail(_ text: String) {
            free(problem)
            problem = strdup(text)
        }

        deinit { free(problem) }
    }

    private static func state(_ stream: UnsafeMutablePointer<ArrowStream>?) -> State? {
        stream?.pointee.context.map { Unmanaged<State>.fromOpaque($0).takeUnretainedValue() }
    }
}
