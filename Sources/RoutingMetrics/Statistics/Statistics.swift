import Foundation

/// Quantile by linear interpolation between order statistics (numpy's default).
/// - Parameter sorted: rising, not empty.
package func quantile(_ sorted: [Double], _ probability: Double) -> Double {
    let place = min(max(probability, 0), 1) * Double(sorted.count - 1)
    let below = Int(place)
    guard below + 1 < sorted.count else { return sorted[sorted.count - 1] }
    return sorted[below] + (place - Double(below)) * (sorted[below + 1] - sorted[below])
}

/// Benjamini–Hochberg q-values (1995): the smallest false discovery rate at which each test would be called.
package func benjaminiHochberg(_ pValues: [Double]) -> [Double] {
    let order = pValues.indices.sorted { (pValues[$0], $0) < (pValues[$1], $1) }
    var result = [Double](repeating: 1, count: pValues.count)
    var smallest = 1.0
    for (rank, index) in order.enumerated().reversed() {
        smallest = min(smallest, pValues[index] * Double(pValues.count) / Double(rank + 1))
        result[index] = smallest
    }
    return result
}

/// x log x; integers come from a table: entropies of counts ask for the same small ones millions of times.
enum CountLogarithm {
    private static let table: [Double] = (0..<8192).map { $0 > 0 ? Double($0) * log(Double($0)) : 0 }

    /// - Parameter body: gets x log x as a function of x > 0.
    @inline(__always)
    static func with<Result>(_ body: ((Double) -> Double) -> Result) -> Result {
        table.withUnsafeBufferPointer { table in
            body { x in
                if x < 8192 {
                    let whole = Int(x)
                    if Double(whole) == x { return table[whole] }
                }
                return x * log(x)
            }
        }
    }
}

/// Shannon entropy in nats of non-negative counts; 0 where all are 0.
func entropy(_ counts: some Sequence<Double>) -> Double {
    var total = 0.0
    var sum = 0.0
    CountLogarithm.with { xlogx in
        for count in counts where count > 0 {
            total += count
            sum += xlogx(count)
        }
    }
    return total > 0 ? max(0, log(total) - sum / total) : 0
}

/// A count's share with half a count added to it, and half a count to the others' (Haldane 1956): never 0 or 1.
func halvedShare(_ count: Double, of size: Double) -> Double { (count + 0.5) / (size + 1) }

/// Logarithm of the odds of a share, natural.
func logit(_ share: Double) -> Double { log(share / (1 - share)) }

/// Standard normal distribution function.
package func normalCDF(_ x: Double) -> Double { 0.5 * erfc(-x / 2.0.squareRoot()) }

/// Inverse of `normalCDF`: Acklam's rational approximation, then one step of Halley's method (error below 1e-15).
package func normalQuantile(_ p: Double) -> Double {
    guard p > 0 else { return -.infinity }
    guard p < 1 else { return .infinity }
    let a = [
        -3.969683028665376e+01, 2.209460984245205e+02, -2.759285104469687e+02, 1.383577518672690e+02,
        -3.066479806614716e+01, 2.506628277459239e+00,
    ]
    let b = [
        -5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01,
        -1.328068155288572e+01,
    ]
    let c = [
        -7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00, -2.549732539343734e+00,
        4.374664141464968e+00, 2.938163982698783e+00,
    ]
    let d = [7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00]
    func polynomial(_ terms: [Double], _ x: Double) -> Double { terms.reduce(0) { $0 * x + $1 } }
    func tail(_ p: Double) -> Double {
        let q = (-2 * log(p)).squareRoot()
        return polynomial(c, q) / polynomial(d + [1], q)
    }
    var x: Double
    if p < 0.02425 {
        x = tail(p)
    } else if p > 1 - 0.02425 {
        x = -tail(1 - p)
    } else {
        let q = p - 0.5
        x = polynomial(a, q * q) * q / polynomial(b + [1], q * q)
    }
    let error = normalCDF(x) - p
    let step = error * (2 * Double.pi).squareRoot() * exp(x * x / 2)
    x -= step / (1 + x * step / 2)
    return x
}
