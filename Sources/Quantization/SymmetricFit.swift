/// x ≈ scale · q with whole q from -`levels` to `levels` - 1; the scale may be negative.
struct SymmetricFit {
    var scale: Float
    let levels: Float

    /// The level of each element under this fit.
    @inline(__always)
    func level(_ x: Lanes) -> Lanes { x.times(scale != 0 ? 1 / scale : 0).level(-levels, levels - 1) }

    /// Sum of squared errors.
    @inline(__always)
    func error(_ x: SubBlock) -> Float {
        x.sum { x in
            let difference = level(x).times(scale) - x
            return difference * difference
        }
    }

    /// The scale of least squared error that a search finds: each candidate gives levels, the levels the best scale.
    static func search(_ x: SubBlock, levels: Float) -> SymmetricFit {
        let largest = x.largestMagnitude
        var best = SymmetricFit(scale: 0, levels: levels)
        guard largest > 0 else { return best }
        var bestGain: Float = 0
        for step in 0..<39 {
            // 19 scales around the one that spans the range, of both signs, then the best so far.
            let width = levels + 0.1 * Float(step / 2 - 9)
            let trial =
                step < 38
                ? SymmetricFit(scale: (step % 2 == 0 ? largest : -largest) / width, levels: levels) : best
            let (_, q2, qx) = x.moments { trial.level($0) }
            // The squared error is Σx² - (Σqx)² / Σq².
            guard q2 > 0, qx * qx > bestGain * q2 else { continue }
            bestGain = qx * qx / q2
            best.scale = qx / q2
        }
        return best
    }
}
