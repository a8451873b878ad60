/// Types whose blocks of 32 have a scale (and a base) of their own.
enum SimpleBlocks {
    /// 2 bytes scale, 32 signed bytes. The scale is that of the largest element: with 255 levels nothing else helps.
    static func q8_0(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let scale = SubBlock(x, 32, w).largestMagnitude / 127
        store(scale, out)
        // The largest element may be so small that this is infinite.
        let inverse = scale > 0 ? min(1 / scale, .greatestFiniteMagnitude) : 0
        // As the reference rounds: ties away from zero.
        for index in 0..<32 {
            let level = (x[index] * inverse).rounded(.toNearestOrAwayFromZero)
            out[2 + index] = UInt8(bitPattern: Int8(min(127, max(-127, level))))
        }
    }

    static func q4_0(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let values = SubBlock(x, 32, w)
        let fit = storedFit(values, levels: 8, out)
        storeNibbles(values, out + 2) { fit.level($0).plus(8) }
    }

    static func q4_1(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let values = SubBlock(x, 32, w)
        let fit = storedFit(values, top: 15, out)
        storeNibbles(values, out + 4) { fit.level($0, top: 15) }
    }

    static func q5_0(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let values = SubBlock(x, 32, w)
        let fit = storedFit(values, levels: 16, out)
        storeFifthBits(values, out + 2) { fit.level($0).plus(16) }
    }

    static func q5_1(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let values = SubBlock(x, 32, w)
        let fit = storedFit(values, top: 31, out)
        storeFifthBits(values, out + 4) { fit.level($0, top: 31) }
    }

    /// Levels of IQ4_NL, denser around zero.
    private static let codebook: [Float] = [
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
    ]

    static func iq4_nl(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let largest = SubBlock(x, 32, w).largestMagnitude
        var best: Float = 0
        var bestGain: Float = 0
        var codes = [UInt8](repeating: 8, count: 32)
        func consider(_ inverse: Float) {
            var (q2, qx): (Float, Float) = (0, 0)
            for index in 0..<32 {
                let level = codebook[Int(nearestCode(x[index] * inverse))]
                let weighted = w.map { level * $0[index] } ?? level
                q2 += weighted * level
                qx += weighted * x[index]
            }
            guard q2 > 0, qx * qx > bestGain * q2 else { return }
            bestGain = qx * qx / q2
            best = qx / q2
        }
        if largest > 0 {
            for step in -12...12 {
                let inverse = (120 + 3 * Float(step)) / largest
                consider(inverse)
                consider(-inverse)
            }
            if best != 0 { consider(1 / best) }
        }
        let scale = stored(best)
        store(scale, out)
        if scale != 0 { for index in 0..<32 { codes[index] = nearestCode(x[index] / scale) } }
        for index in 0..<16 { out[2 + index] = codes[index] | codes[index + 16] << 4 }
    }

    private static func nearestCode(_ value: Float) -> UInt8 {
        var code = 0
        while code < 15, (codebook[code] + codebook[code + 1]) / 2 < value { code += 1 }
        return UInt8(code)
    }

    /// The scale as it is stored, 16 bits.
    private static func storedFit(
        _ values: SubBlock, levels: Float, _ out: UnsafeMutablePointer<UInt8>
    ) -> SymmetricFit {
        let scale = stored(SymmetricFit.search(values, levels: levels).scale)
        store(scale, out)
        return SymmetricFit(scale: scale, levels: levels)
    }

    /// Scale and base as they are stored, 16 bits each.
    private static func storedFit(
        _ values: SubBlock, top: Float, _ out: UnsafeMutablePointer<UInt8>
    ) -> AffineFit {
        let fit = AffineFit.search(values, top: top, allowsPositiveBase: true)
        let rounded = AffineFit(scale: stored(fit.scale), base: stored(fit.base))
        store(rounded.scale, out)
        store(rounded.base, out + 2)
        return rounded
    }

    private static func storeNibbles(
        _ values: SubBlock, _ out: UnsafeMutablePointer<UInt8>, _ level: (Lanes) -> Lanes
    ) {
        for index in 0..<16 { out[index] = 0 }
        values.forEachLevel(level) { index, q in out[index % 16] |= UInt8(q) << (index < 16 ? 0 : 4) }
    }

    /// 32 fifth bits, then nibbles.
    private static func storeFifthBits(
        _ values: SubBlock, _ out: UnsafeMutablePointer<UInt8>, _ level: (Lanes) -> Lanes
    ) {
        for index in 0..<20 { out[index] = 0 }
        values.forEachLevel(level) { index, q in
            let q = UInt8(q)
            out[index / 8] |= (q >> 4) << UInt8(index % 8)
            out[4 + index % 16] |= (q & 15) << (index < 16 ? 0 : 4)
        }
    }
}

/// A number as 16 bits hold it, finite.
@inline(__always)
func stored(_ value: Float) -> Float { Float(half(value)) }

@inline(__always)
func store(_ value: Float, _ out: UnsafeMutablePointer<UInt8>) {
    let bits = half(value).bitPattern
    out[0] = UInt8(truncatingIfNeeded: bits)
    out[1] = UInt8(truncatingIfNeeded: bits >> 8)
}

@inline(__always)
private func half(_ value: Float) -> Float16 { Float16(min(65504, max(-65504, value))) }
