/// x ≈ scale · q + base with whole q from 0 to `top`.
struct AffineFit {
    var scale: Float
    var base: Float

    /// The level of each element under this fit.
    @inline(__always)
    func level(_ x: Lanes, top: Float) -> Lanes {
        x.plus(-base).times(scale > 0 ? 1 / scale : 0).level(0, top)
    }

    /// Sum of squared errors.
    @inline(__always)
    func error(_ x: SubBlock, top: Float) -> Float {
        x.sum { x in
            let difference = level(x, top: top).times(scale).plus(base) - x
            return difference * difference
        }
    }

    /// The fit of least squared error, weighted, that a search over scales finds: each candidate scale gives levels, and the levels
    /// give the best scale and base by least squares.
    /// - Parameter allowsPositiveBase: false for K-quants, whose base is stored as an unsigned minimum below zero.
    static func search(_ x: SubBlock, top: Float, allowsPositiveBase: Bool) -> AffineFit {
        let mass = x.mass
        var (low, high) = x.range
        if !allowsPositiveBase, low > 0 { low = 0 }
        guard high > low else { return AffineFit(scale: 0, base: low) }
        let sum = x.sum { $0 }
        let squares = x.sum { $0 * $0 }
        var best = AffineFit(scale: (high - low) / top, base: low)
        var bestError = Float.infinity

        for step in 0..<23 {
            // 21 scales around the one that spans the range, then twice the best fit so far.
            let trial =
                step < 21 ? AffineFit(scale: (high - low) / (top - 1 + 0.1 * Float(step)), base: low) : best
            let (q1, q2, qx) = x.moments { trial.level($0, top: top) }
            let determinant = mass * q2 - q1 * q1
            guard determinant > 0 else { continue }
            var fit = AffineFit(
                scale: (mass * qx - sum * q1) / determinant, base: (q2 * sum - q1 * qx) / determinant)
            if fit.base > 0, !allowsPositiveBase { fit = AffineFit(scale: qx / q2, base: 0) }
            guard fit.scale > 0 else { continue }
            let cross = fit.scale * qx + fit.base * sum
            let power = fit.scale * fit.scale * q2 + 2 * fit.scale * fit.base * q1 + mass * fit.base * fit.base
            let error = squares - 2 * cross + power
            if error < bestError {
                bestError = error
                best = fit
            }
        }
        return best
    }
}
