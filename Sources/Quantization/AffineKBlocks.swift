/// Blocks of 256 in sub-blocks that share two 16-bit factors: x ≈ d · scale · q - dmin · minimum, scale and minimum whole.
enum AffineKBlocks {
    /// Levels of 256 elements and the whole scales and minimums of their sub-blocks.
    private struct Packed {
        var d: Float = 0
        var dmin: Float = 0
        var scales: [Float]
        var minimums: [Float]
        var levels: [UInt8]

        func fit(_ index: Int) -> AffineFit { AffineFit(scale: d * scales[index], base: -dmin * minimums[index]) }
    }

    /// 16 sub-blocks of 16, 2 bits; 4-bit scales and minimums.
    static func q2_k(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let packed = fit(x, w, size: 16, top: 3, limit: 15)
        for index in 0..<16 { out[index] = UInt8(packed.scales[index]) | UInt8(packed.minimums[index]) << 4 }
        for index in 0..<64 {
            let first = index / 32 * 128 + index % 32
            out[16 + index] =
                packed.levels[first] | packed.levels[first + 32] << 2 | packed.levels[first + 64] << 4
                | packed.levels[first + 96] << 6
        }
        store(packed.d, out + 80)
        store(packed.dmin, out + 82)
    }

    /// 8 sub-blocks of 32, 4 bits; 6-bit scales and minimums.
    static func q4_k(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let packed = fit(x, w, size: 32, top: 15, limit: 63)
        storeHead(packed, out)
        for index in 0..<128 {
            let first = index / 32 * 64 + index % 32
            out[16 + index] = packed.levels[first] | packed.levels[first + 32] << 4
        }
    }

    /// As `q4_k`, with a fifth bit of each element in 32 bytes of their own.
    static func q5_k(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let packed = fit(x, w, size: 32, top: 31, limit: 63)
        storeHead(packed, out)
        for index in 0..<32 {
            var bits: UInt8 = 0
            for part in 0..<8 { bits |= (packed.levels[part * 32 + index] >> 4) << UInt8(part) }
            out[16 + index] = bits
        }
        for index in 0..<128 {
            let first = index / 32 * 64 + index % 32
            out[48 + index] = packed.levels[first] & 15 | (packed.levels[first + 32] & 15) << 4
        }
    }

    /// d, dmin, and 8 six-bit scales and minimums in 12 bytes.
    private static func storeHead(_ packed: Packed, _ out: UnsafeMutablePointer<UInt8>) {
        store(packed.d, out)
        store(packed.dmin, out + 2)
        for index in 0..<4 {
            let (low, high) = (index, index + 4)
            let (scale, minimum) = (UInt8(packed.scales[low]), UInt8(packed.minimums[low]))
            let (scaleHigh, minimumHigh) = (UInt8(packed.scales[high]), UInt8(packed.minimums[high]))
            out[4 + low] = scale | (scaleHigh >> 4) << 6
            out[8 + low] = minimum | (minimumHigh >> 4) << 6
            out[12 + low] = scaleHigh & 15 | (minimumHigh & 15) << 4
        }
    }

    /// Fits every sub-block, rounds scales and minimums to whole multiples of d and dmin, then improves both in turn.
    private static func fit(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, size: Int, top: Float, limit: Float
    ) -> Packed {
        let blocks = (0..<256 / size).map { index in SubBlock(x + index * size, size, w.map { $0 + index * size }) }
        let fits = blocks.map { AffineFit.search($0, top: top, allowsPositiveBase: false) }
        var packed = Packed(
            scales: Array(repeating: 0, count: blocks.count), minimums: Array(repeating: 0, count: blocks.count),
            levels: Array(repeating: 0, count: 256))
        packed.d = stored((fits.map(\.scale).max() ?? 0) / limit)
        packed.dmin = stored((fits.map { -$0.base }.max() ?? 0) / limit)

        var best = Float.infinity
        var kept = packed
        for _ in 0..<3 {
            let error = roundFactors(&packed, fits, blocks, top: top, limit: limit)
            if error >= best { break }
            best = error
            kept = packed
            refitFactors(&packed, blocks, top: top)
        }
        for (index, block) in blocks.enumerated() {
            let fit = kept.fit(index)
            block.forEachLevel({ fit.level($0, top: top) }) { kept.levels[index * size + $0] = UInt8($1) }
        }
        return kept
    }

    /// Chooses each sub-block's whole scale and minimum among the nearest; the error of all.
    private static func roundFactors(
        _ packed: inout Packed, _ fits: [AffineFit], _ blocks: [SubBlock], top: Float, limit: Float
    ) -> Float {
        var total: Float = 0
        for (index, block) in blocks.enumerated() {
            let scale = packed.d > 0 ? (fits[index].scale / packed.d).rounded() : 0
            let minimum = packed.dmin > 0 ? (-fits[index].base / packed.dmin).rounded() : 0
            var best = Float.infinity
            for step in 0..<9 {
                let candidate = min(limit, max(0, scale + Float(step / 3 - 1)))
                let candidateMinimum = min(limit, max(0, minimum + Float(step % 3 - 1)))
                let fit = AffineFit(scale: packed.d * candidate, base: -packed.dmin * candidateMinimum)
                let error = fit.error(block, top: top)
                if error < best {
                    best = error
                    packed.scales[index] = candidate
                    packed.minimums[index] = candidateMinimum
                }
            }
            total += best
        }
        return total
    }

    /// The d and dmin of least squared error for the levels, scales and minimums there are.
    private static func refitFactors(_ packed: inout Packed, _ blocks: [SubBlock], top: Float) {
        // Σ over elements of u², uv, v², ux, vx for u = scale · q and v = -minimum.
        var (uu, uv, vv, ux, vx): (Float, Float, Float, Float, Float) = (0, 0, 0, 0, 0)
        for (index, block) in blocks.enumerated() {
            let (scale, minimum) = (packed.scales[index], packed.minimums[index])
            let fit = packed.fit(index)
            let (q1, q2, qx) = block.moments { fit.level($0, top: top) }
            uu += scale * scale * q2
            uv -= scale * minimum * q1
            vv += minimum * minimum * block.mass
            ux += scale * qx
            vx -= minimum * block.sum { $0 }
        }
        let determinant = uu * vv - uv * uv
        if determinant > 1e-6 * uu * vv {
            packed.d = stored(max(0, (ux * vv - uv * vx) / determinant))
            packed.dmin = stored(max(0, (uu * vx - uv * ux) / determinant))
        } else if uu > 0 {
            packed.d = stored(max(0, ux / uu))
        }
    }
}
