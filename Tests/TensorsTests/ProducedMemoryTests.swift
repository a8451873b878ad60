import Synchronization
import Tensors
import Testing

struct ProducedMemoryTests {
    /// 0, 1, 2, … as 32-bit numbers over several pages; how often they were made.
    private func numbers(_ count: Int, _ made: Counter) throws -> ProducedMemory {
        try #require(
            ProducedMemory(byteCount: 4 * count) { target in
                made.value.wrappingAdd(1, ordering: .relaxed)
                for index in 0..<count {
                    target.storeBytes(of: UInt32(index), toByteOffset: 4 * index, as: UInt32.self)
                }
            })
    }

    private final class Counter: Sendable { let value = Atomic<Int>(0) }

    @Test func isFilledWhileHeldAndGivenBackAfter() throws {
        let made = Counter()
        let memory = try numbers(10_000, made)
        let tensor = Tensor(name: "n", dtype: .i32, shape: [10_000], bytes: memory.bytes, owner: memory)
        #expect(made.value.load(ordering: .relaxed) == 0 && memory.bytes.allSatisfy { $0 == 0 })
        memory.hold()
        memory.hold()
        #expect(tensor.bytes.loadUnaligned(fromByteOffset: 4 * 9_999, as: UInt32.self) == 9_999)
        memory.letGo()
        #expect(tensor.bytes.loadUnaligned(fromByteOffset: 4 * 5_000, as: UInt32.self) == 5_000, "one holder is left")
        tensor.releasePages()
        #expect(tensor.bytes.loadUnaligned(fromByteOffset: 4 * 5_000, as: UInt32.self) == 5_000)
        memory.letGo()
        #expect(tensor.bytes.loadUnaligned(fromByteOffset: 4 * 5_000, as: UInt32.self) == 0)
        #expect(tensor.whileHeld { tensor.bytes.loadUnaligned(fromByteOffset: 4 * 5_000, as: UInt32.self) } == 5_000)
        #expect(made.value.load(ordering: .relaxed) == 2)
    }

    @Test func fillingAheadIsNotHolding() throws {
        let made = Counter()
        let memory = try numbers(5_000, made)
        memory.fill()
        memory.hold()
        #expect(made.value.load(ordering: .relaxed) == 1)
        memory.letGo()
        memory.hold()
        #expect(memory.bytes.loadUnaligned(fromByteOffset: 4 * 1_500, as: UInt32.self) == 1_500)
        #expect(made.value.load(ordering: .relaxed) == 2)
    }
}
