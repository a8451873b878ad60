import CPython
import Tensors

extension ArrayObject {
    private static let unversionedName: StaticString = "dltensor"
    private static let versionedName: StaticString = "dltensor_versioned"

    /// The array as a DLPack capsule: version 1.0 where the consumer says it knows it, so that a read-only array stays
    /// one; the older kind otherwise, which cannot say "read-only" and is refused there.
    static func dlpackCapsule(_ array: ArrayStorage, keywords: PythonObject?) throws(PythonError) -> PythonObject {
        if let keywords {
            if let device = PyDict_GetItemString(keywords, "dl_device"), moescope_is_none(device) == 0 {
                let wanted = try FromPython.list(device, "dl_device") { (item) throws(PythonError) in
                    try FromPython.int(item, "dl_device")
                }
                guard wanted == [1, 0] else { throw .buffer("dl_device \(wanted): the array is on the CPU, (1, 0)") }
            }
            if let copy = PyDict_GetItemString(keywords, "copy"), moescope_is_true(copy) != 0 {
                return try dlpackCapsule(duplicate(array), versioned: try knowsVersions(keywords))
            }
        }
        return try dlpackCapsule(array, versioned: try keywords.map(knowsVersions) ?? false)
    }

    private static func knowsVersions(_ keywords: PythonObject) throws(PythonError) -> Bool {
        guard let version = PyDict_GetItemString(keywords, "max_version"), moescope_is_none(version) == 0 else {
            return false
        }
        let parts = try FromPython.list(version, "max_version") { (item) throws(PythonError) in
            try FromPython.int(item, "max_version")
        }
        return (parts.first ?? 0) >= 1
    }

    private static func duplicate(_ array: ArrayStorage) -> ArrayStorage {
        let copy = ArrayStorage(uninitialized: array.dtype, shape: array.shape)
        copy.memory.copyMemory(from: array.memory, byteCount: array.byteCount)
        return copy
    }

    private static func dlpackCapsule(_ array: ArrayStorage, versioned: Bool) throws(PythonError) -> PythonObject {
        let context = Unmanaged.passRetained(array).toOpaque()
        let tensor = DLPackTensor(
            data: array.memory, device: DLPackDevice(type: 1, index: 0), dimensions: Int32(array.shape.count),
            typeCode: array.dtype.dlpackCode, typeBits: UInt8(array.dtype.blockBytes * 8), typeLanes: 1,
            shape: int64(array.shapePointer), strides: int64(array.elementStrides), byteOffset: 0)
        if versioned {
            let managed = UnsafeMutablePointer<DLPackVersioned>.allocate(capacity: 1)
            managed.initialize(
                to: DLPackVersioned(
                    major: 1, minor: 0, context: context,
                    deleter: { managed in
                        guard let managed else { return }
                        if let context = managed.pointee.context {
                            Unmanaged<ArrayStorage>.fromOpaque(context).release()
                        }
                        managed.deallocate()
                    }, flags: array.isReadOnly ? 1 : 0, tensor: tensor))
            // A consumer renames the capsule and deletes the tensor itself; one that nobody consumed is ours to delete.
            let capsule = PyCapsule_New(managed, MethodEntry.literal(versionedName)) { capsule in
                let name = MethodEntry.literal(ArrayObject.versionedName)
                guard PyCapsule_IsValid(capsule, name) != 0, let pointer = PyCapsule_GetPointer(capsule, name) else {
                    return
                }
                let managed = pointer.assumingMemoryBound(to: DLPackVersioned.self)
                managed.pointee.deleter?(managed)
            }
            if capsule == nil { managed.pointee.deleter?(managed) }
            return try PythonReference(capsule).release()
        }
        guard !array.isReadOnly else {
            Unmanaged<ArrayStorage>.fromOpaque(context).release()
            throw .buffer(
                "the array is read-only, which this DLPack consumer (before 1.0) cannot be told; copy it first")
        }
        let managed = UnsafeMutablePointer<DLPackManaged>.allocate(capacity: 1)
        managed.initialize(
            to: DLPackManaged(
                tensor: tensor, context: context,
                deleter: { managed in
                    guard let managed else { return }
                    if let context = managed.pointee.context { Unmanaged<ArrayStorage>.fromOpaque(context).release() }
                    managed.deallocate()
                }))
        let capsule = PyCapsule_New(managed, MethodEntry.literal(unversionedName)) { capsule in
            let name = MethodEntry.literal(ArrayObject.unversionedName)
            guard PyCapsule_IsValid(capsule, name) != 0, let pointer = PyCapsule_GetPointer(capsule, name) else {
                return
            }
            let managed = pointer.assumingMemoryBound(to: DLPackManaged.self)
            managed.pointee.deleter?(managed)
        }
        if capsule == nil { managed.pointee.deleter?(managed) }
        return try PythonReference(capsule).release()
    }

    private static func int64(_ pointer: UnsafeMutablePointer<Int>) -> UnsafeMutablePointer<Int64> {
        // Int is 64 bits wide on every platform this builds for.
        UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: Int64.self)
    }
}
