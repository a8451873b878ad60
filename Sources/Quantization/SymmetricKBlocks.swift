/// Blocks of 256 in 16 sub-blocks of 16 that share one 16-bit factor: x ≈ d · scale · q, scale and q whole and signed.
enum SymmetricKBlocks {
    private struct Packed {
        var d: Float
        var scales = [Float](repeating: 0, count: 16)
        var levels = [Int8](repeating: 0, count: 256)
    }

    /// 3 bits in two places, 6-bit scales.
    static func q3_k(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let packed = fit(x, w, levels: 4, limit: 32)
        let levels = packed.levels.map { UInt8($0 + 4) }
        for index in 0..<32 {
            var bits: UInt8 = 0
            for part in 0..<8 { bits |= (levels[part * 32 + index] >> 2) << UInt8(part) }
            out[index] = bits
        }
        for index in 0..<64 {
            let first = index / 32 * 128 + index % 32
            out[32 + index] =
                levels[first] & 3 | (levels[first + 32] & 3) << 2 | (levels[first + 64] & 3) << 4
                | (levels[first + 96] & 3) << 6
        }
        for index in 0..<12 { out[96 + index] = 0 }
        for index in 0..<16 {
            let scale = UInt8(packed.scales[index] + 32)
            out[96 + index % 8] |= (scale & 15) << (index < 8 ? 0 : 4)
            out[104 + index % 4] |= (scale >> 4) << UInt8(2 * (index / 4))
        }
        store(packed.d, out + 108)
    }

    /// 6 bits in two places, 8-bit scales.
    static func q6_k(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, _ out: UnsafeMutablePointer<UInt8>
    ) {
        let packed = fit(x, w, levels: 32, limit: 128)
        let levels = packed.levels.map { UInt8($0 + 32) }
        for half in 0..<2 {
            for index in 0..<32 {
                let first = half * 128 + index
                let (a, b, c, d) = (levels[first], levels[first + 32], levels[first + 64], levels[first + 96])
                out[half * 64 + index] = a & 15 | (c & 15) << 4
                out[half * 64 + 32 + index] = b & 15 | (d & 15) << 4
                out[128 + half * 32 + index] = a >> 4 | (b >> 4) << 2 | (c >> 4) << 4 | (d >> 4) << 6
            }
        }
        for index in 0..<16 { out[192 + index] = UInt8(bitPattern: Int8(packed.scales[index])) }
        store(packed.d, out + 208)
    }

    private static func fit(
        _ x: UnsafePointer<Float>, _ w: UnsafePointer<Float>?, levels: Float, limit: Float
    ) -> Packed {
        let blocks = (0..<16).map { index in SubBlock(x + index * 16, 16, w.map { $0 + index * 16 }) }
        let targets = blocks.map { SymmetricFit.search($0, levels: levels).scale }
        // The scale of largest magnitude takes -limit, the end that reaches one further.
        let largest = targets.max { abs($0) < abs($1) } ?? 0
        var packed = Packed(d: stored(-largest / limit))
        var best = Float.infinity
        var kept = packed
        for _ in 0..<3 where packed.d != 0 {
            let error = roundScales(&packed, targets, blocks, levels: levels, limit: limit)
            if error >= best { break }
            best = error
            kept = packed
            refit(&packed, blocks, levels: levels)
        }
        for (index, block) in blocks.enumerated() {
            let fit = SymmetricFit(scale: kept.d * kept.scales[index], levels: levels)
            block.forEachLevel({ fit.level($0) }) { kept.levels[index * 16 + $0] = Int8($1) }
        }
        return kept
    }

    /// Chooses each sub-block's whole scale among the nearest; the error of all.
    private static func roundScales(
        _ packed: inout Packed, _ targets: [Float], _ blocks: [SubBlock], levels: Float, limit: Float
    ) -> Float {
        var total: Float = 0
        for (index, block) in blocks.enumerated() {
            let scale = (targets[index] / packed.d).rounded()
            var best = Float.infinity
            for step in -2...2 {
                let candidate = min(limit - 1, max(-limit, scale + Float(step)))
                let error = SymmetricFit(scale: packed.d * candidate, levels: levels).error(block)
                if error < best {
                    best = error
                    packed.scales[index] = candidate
                }
            }
            total += best
        }
        return total
    }

    /// The d of least squared error for the levels and scales there are.
    private static func refit(_ packed: inout Packed, _ blocks: [SubBlock], levels: Float) {
        var (uu, ux): (Float, Float) = (0, 0)
        for (index, block) in blocks.enumerated() {
            let scale = packed.scales[index]
            let fit = SymmetricFit(scale: packed.d * scale, levels: levels)
            let (_, q2, qx) = block.moments { fit.level($0) }
            uu += scale * scale * q2
            ux += scale * qx
        }
        if uu > 0 { packed.d = stored(ux / uu) }
    }
}
