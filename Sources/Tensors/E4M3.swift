/// 8-bit numbers of four bits of exponent and three of fraction, without infinities (arXiv 2209.05433): F8_E4M3 in safetensors,
/// `float8_e4m3fn` in PyTorch.
public enum E4M3 {
    /// The value of every byte; 0x7F and 0xFF are no numbers.
    public static let values: [Float] = (0..<256).map { byte in
        let (exponent, fraction) = (byte >> 3 & 15, Float(byte & 7))
        let sign: Float = byte < 128 ? 1 : -1
        if byte & 127 == 127 { return .nan }
        if exponent == 0 { return sign * fraction * 0x1p-9 }
        return sign * Float(sign: .plus, exponent: exponent - 7, significand: 1 + fraction / 8)
    }
}
