import Tensors
import Testing

@Suite struct DTypeTests {
    @Test func bytesOfRows() {
        #expect(DType.f32.byteCount(elements: 3) == 12)
        #expect(DType.q8_0.byteCount(elements: 64) == 68)
        #expect(DType.q4_k.byteCount(elements: 512) == 288)
        #expect(DType.q4_k.byteCount(elements: 32) == nil)
        #expect(DType.f32.byteCount(elements: -1) == nil)
        #expect(DType.f64.byteCount(elements: .max) == nil)
        #expect(DType.f32.byteCount(elements: 0) == 0)
    }

    @Test func ggufNumbersAreOneToOne() {
        let numbered = DType.allCases.filter { $0.ggufType != nil }
        #expect(Set(numbered.map(\.ggufType)).count == numbered.count)
        for type in numbered { #expect(type.ggufType.flatMap(DType.init(ggufType:)) == type) }
        #expect(DType(ggufType: 16) == nil)
        #expect(DType.ggufTypeName(16) == "IQ2_XXS")
        #expect(DType.ggufTypeName(12) == "Q4_K")
        #expect(DType.ggufTypeName(999) == "type 999")
    }
}

@Suite struct TensorTests {
    /// 24 floats counting up, owned by the test.
    private final class Numbers {
        let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: 24)
        init() { for index in 0..<24 { buffer.initializeElement(at: index, to: Float(index)) } }
        deinit { buffer.deallocate() }
    }

    private func tensor() -> Tensor {
        let numbers = Numbers()
        return Tensor(
            name: "w", dtype: .f32, shape: [2, 3, 4], bytes: UnsafeRawBufferPointer(numbers.buffer), owner: numbers)
    }

    private func floats(_ tensor: Tensor) -> [Float] { Array(tensor.bytes.assumingMemoryBound(to: Float.self)) }

    @Test func sizes() {
        #expect(tensor().count == 24)
        #expect(tensor().rowBytes == 16)
    }

    @Test func slices() {
        let second = tensor().slice(1)
        #expect(second.shape == [3, 4])
        #expect(second.name == "w[1]")
        #expect(floats(second) == (12..<24).map(Float.init))
    }

    @Test func rows() {
        let rows = tensor().slice(1).rows(1..<3)
        #expect(rows.shape == [2, 4])
        #expect(floats(rows) == (16..<24).map(Float.init))
        #expect(floats(tensor().rows(0..<0)).isEmpty)
    }
}
