extension DType {
    /// GGML's number of this type, as GGUF files hold it; nil for types GGUF does not have.
    public var ggufType: UInt32? {
        switch self {
        case .f32: 0
        case .f16: 1
        case .q4_0: 2
        case .q4_1: 3
        case .q5_0: 6
        case .q5_1: 7
        case .q8_0: 8
        case .q2_k: 10
        case .q3_k: 11
        case .q4_k: 12
        case .q5_k: 13
        case .q6_k: 14
        case .iq4_nl: 20
        case .iq4_xs: 23
        case .i8: 24
        case .i16: 25
        case .i32: 26
        case .i64: 27
        case .f64: 28
        case .bf16: 30
        case .mxfp4: 39
        case .f8_e4m3, .f8_e5m2, .u64, .u32, .u16, .u8, .bool: nil
        }
    }

    /// The type of this GGML number, if this program knows it.
    public init?(ggufType: UInt32) {
        guard let type = DType.allCases.first(where: { $0.ggufType == ggufType }) else { return nil }
        self = type
    }

    /// GGML's name of a number, also of types this program does not compute with.
    public static func ggufTypeName(_ number: UInt32) -> String {
        if let known = DType(ggufType: number) { return known.rawValue }
        let others: [UInt32: String] = [
            9: "Q8_1", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 21: "IQ3_S", 22: "IQ2_S",
            29: "IQ1_M", 34: "TQ1_0", 35: "TQ2_0",
        ]
        return others[number] ?? "type \(number)"
    }
}
