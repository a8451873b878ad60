import Foundation

/// What one contrast of a label's share with its rest's is made of.
struct Contrast {
    /// Sizes of the label and of its rest, and their shares.
    var own, rest, share, elsewhere: Double
    /// Variances of both over units of one row, and what Satterthwaite's degrees of freedom of these are divided by.
    var inside, outside, spread: Double
    /// Degrees of freedom of `inside`.
    var freedom: Double
    /// Variances over units of several rows: of the label's share, its rest's, and their difference.
    var ownCrossed, restCrossed, between: Double
    /// Degrees of freedom of these.
    var crossedFreedom: Double

    private var variance: Double { inside + outside + between }

    private var wholeSpread: Double { spread + between * between / crossedFreedom }

    private var wholeFreedom: Double {
        let (variance, spread) = (variance, wholeSpread)
        return spread > 0 ? variance * variance / spread : 1
    }

    /// The contrast on the normal scale.
    var z: Double {
        let variance = variance
        return variance > 0 ? normalScale((share - elsewhere) / variance.squareRoot(), freedom: wholeFreedom) : 0
    }

    var cell: ContrastTest.Cell {
        var cell = ContrastTest.Cell()
        (cell.size, cell.restSize, cell.share, cell.rest) = (own, rest, share, elsewhere)
        cell.freedom = wholeFreedom
        let restSpread = wholeSpread - inside * inside / freedom - between * between / crossedFreedom
        cell.shareFreedom = Self.freedom([(inside, freedom), (ownCrossed, crossedFreedom)])
        cell.restFreedom = Self.freedom(
            [(outside, restSpread > 0 ? outside * outside / restSpread : 1), (restCrossed, crossedFreedom)])
        cell.error = variance.squareRoot()
        cell.shareError = (inside + ownCrossed).squareRoot()
        cell.restError = (outside + restCrossed).squareRoot()
        cell.z = z
        return cell
    }

    /// Satterthwaite's degrees of freedom of a sum of variances.
    private static func freedom(_ parts: [(variance: Double, freedom: Double)]) -> Double {
        let sum = parts.reduce(0) { $0 + $1.variance }
        let spread = parts.reduce(0) { $0 + $1.variance * $1.variance / $1.freedom }
        return spread > 0 ? max(1, sum * sum / spread) : 1
    }
}
