/// Is the sum of a column over documents zero? For what is observed less what chance gives, chance being known of each document: how
/// often neighbours have the same expert less how often they have it in a random order of the document's tokens. Documents differ as
/// they like in what chance gives them; their differences have mean zero where there is nothing but chance.
///
/// Then documents are independent of each other, whatever else they share: text, source or group.
///
/// The statistic is Σ d / se, with d a document's difference and m its size. The variance is taken over documents, around the
/// mean difference per size and with a correction for each document's weight: the jackknife of Σ d / Σ m, or CR3 of
/// Bell & McCaffrey (Survey Methodology 28, 2002). Student's t has (Σ m²)² / Σ m⁴ − 1 degrees of freedom, so that documents of
/// unequal size count for fewer (Satterthwaite's for residuals that grow with the document; Carter, Schnepel & Steigerwald, Review of
/// Economics and Statistics 99, 2017), and is brought to the normal scale.
package struct ChanceTest: Sendable {
    /// Standard error of the sum.
    package let error: Double
    package let freedom: Double
    /// The sum over its standard error, on the normal scale.
    package let z: Double
    /// Two-sided.
    package let pValue: Double

    /// - Parameters:
    ///   - documents: the documents that take part.
    ///   - leastVariance: the variance of the sum that chance alone gives, where that is known: documents that chance makes alike,
    ///     as where a rare thing did not happen in any of them, would seem to have none.
    ///   - value: what is observed less what chance gives, and the size of what it was observed in; a document of size 0
    ///     says nothing.
    /// - Returns: nil where no variance can be seen: fewer than two documents, or documents that do not differ.
    package init?(
        _ documents: some Sequence<Int>, leastVariance: Double = 0,
        _ value: (Int) -> (difference: Double, size: Double)
    ) {
        let ordered = documents.map(value).filter { $0.size > 0 }
        guard ordered.count > 1 else { return nil }
        let count = Double(ordered.count)
        let sum = ordered.reduce(0) { $0 + $1.difference }
        let size = ordered.reduce(0) { $0 + $1.size }
        var (squares, second, fourth) = (0.0, 0.0, 0.0)
        for unit in ordered {
            let residual = (unit.difference - sum / size * unit.size) / (1 - unit.size / size)
            squares += residual * residual
            second += unit.size * unit.size
            fourth += unit.size * unit.size * unit.size * unit.size
        }
        let variance = (count - 1) / count * squares
        // Below this, differences are those of rounding.
        guard variance.squareRoot() > 1e-9 * size else { return nil }
        error = max(variance, leastVariance).squareRoot()
        freedom = degreesOfFreedom(squares: second, fourthPowers: fourth)
        z = normalScale(sum / error, freedom: freedom)
        pValue = min(1, 2 * normalCDF(-abs(z)))
    }
}

/// Holm's adjusted p-values (Scandinavian Journal of Statistics 6, 1979): the chance of a single false claim among all is kept,
/// whatever the tests have to do with each other. What has no p-value was not tested.
package func holm(_ pValues: [Double?]) -> [Double?] {
    let tested = pValues.indices.filter { pValues[$0] != nil }.sorted {
        (pValues[$0] ?? 1, $0) < (pValues[$1] ?? 1, $1)
    }
    var result = [Double?](repeating: nil, count: pValues.count)
    var largest = 0.0
    for (rank, place) in tested.enumerated() {
        largest = min(1, max(largest, (pValues[place] ?? 1) * Double(tested.count - rank)))
        result[place] = largest
    }
    return result
}
