extension Tensor {
    /// Index of the first element that is infinite or no number; nil where there is none, and for types stored in blocks.
    ///
    /// Reads every byte.
    public func firstNonFinite() -> Int? {
        switch dtype {
        case .f32: first { (bits: UInt32) in bits & 0x7F80_0000 == 0x7F80_0000 }
        case .bf16: first { (bits: UInt16) in bits & 0x7F80 == 0x7F80 }
        case .f16: first { (bits: UInt16) in bits & 0x7C00 == 0x7C00 }
        default: nil
        }
    }

    private func first<Bits: FixedWidthInteger>(where isBad: (Bits) -> Bool) -> Int? {
        let size = MemoryLayout<Bits>.size
        for index in 0..<bytes.count / size
        where isBad(Bits(littleEndian: bytes.loadUnaligned(fromByteOffset: index * size, as: Bits.self))) {
            return index
        }
        return nil
    }
}
