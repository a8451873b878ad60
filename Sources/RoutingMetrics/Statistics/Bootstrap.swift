import Foundation
import Tensors

/// Intervals from resampling units with replacement within their stratum (Efron 1979; BCa: Efron 1987). A unit is a document, or
/// the documents that belong together (`SamplingDesign`): tokens of one document, and documents of one text or source, are not
/// independent. Only units are resampled, and whatever is in them comes along: resampling their parts as well would count the
/// parts' variance twice (Davison & Hinkley 1997, section 3.8).
///
/// Quantiles are expanded for few units, as Hesterberg, "What teachers should know about the bootstrap"
/// (arXiv 1411.5279), section 4.3: replicates of n units spread less than samples of n units do. Where the expanded quantile lies
/// beyond what the replicates can tell, the distance of the usual one from the value is expanded instead. An interval is
/// widened to hold its value.
package struct Bootstrap: Sendable {
    package enum Interval: Sendable {
        case percentile
        /// Bias-corrected and accelerated: for skewed statistics.
        case accelerated
        /// Quantiles moved down by twice the bootstrap's bias: for what is zero only where things are equal, and grows with
        /// noise: information, divergences, squared imbalances. The documents' noise adds to the value once, and to a
        /// replicate twice; where the truth is near zero, percentile and BCa intervals miss it far too often (63 and 84 %
        /// coverage where this has 96 %). For plug-in values only: a replicate repeats documents, so that a correction for
        /// the number of tokens takes off too little. The value itself is less the jackknife's bias (Quenouille 1949), which is that of the
        /// noise once.
        case debiased
    }

    /// The statistics of the documents as they are.
    package let values: [Double]
    /// Sorted replicates of each statistic; empty where no interval is possible.
    private let replicates: [[Double]]
    private let intervals: [Interval]
    /// The jackknife's bias of each debiased result.
    private let biases: [Double]
    /// Accelerations of BCa intervals; empty where no interval is one.
    private let accelerations: [Double]
    /// How much wider an interval is than what replicates say.
    private let expansion: Expansion
    /// Share of intervals that hold the truth.
    private let level: Double

    /// Factors of an interval's width for few units.
    private struct Expansion: Sendable {
        /// nil: there are no units to tell.
        let freedom: Double?
        /// √(n / (n − 1)): replicates of n units spread less than samples do.
        let spread: Double

        /// - Parameter sizes: units of each stratum; the smallest decides.
        init(_ sizes: [Int]) {
            let n = sizes.filter { $0 > 1 }.min().map(Double.init)
            freedom = n.map { $0 - 1 }
            spread = n.map { ($0 / ($0 - 1)).squareRoot() } ?? 1
        }

        /// Student's quantile over the normal one.
        func student(_ z: Double) -> Double { freedom.map { studentScale(z, freedom: $0) / z } ?? 1 }
    }

    /// - Parameters:
    ///   - stream: which random numbers. The same stream draws the same documents.
    ///   - width: how many results the statistic writes.
    ///   - interval: the kind of interval of the result at a place.
    package init(
        _ table: DocumentTable, settings: MetricSettings, stream: UInt64 = 0, width: Int,
        interval: (Int) -> Interval = { _ in .percentile }, _ statistic: @escaping TableStatistic
    ) {
        values = Self.evaluate(table.sums, width: width, statistic)
        intervals = (0..<width).map(interval)
        let strata = table.strata
        level = settings.level
        expansion = Expansion(strata.strata.map(\.count))
        // The bias is that of the units: clusters that are resampled may be few and of very different size, where a jackknife corrects
        // nothing.
        if intervals.contains(.debiased) {
            let units = ResampledUnits(table, table.design.unit, table.design.unitCount)
            biases = Self.biases(
                values, Self.jackknife(table, units, threads: settings.threads, width: width, statistic), units,
                intervals)
        } else {
            biases = [Double](repeating: 0, count: width)
        }
        guard settings.bootstrap > 0, strata.strata.contains(where: { $0.count > 1 }) else {
            replicates = []
            accelerations = []
            return
        }
        let size = table.groupCount * table.columns
        let drawnRows = DrawnRows(table)
        let rows = Parallel.rows(settings.bootstrap, width: width, threads: settings.threads) { replicate, results in
            let drawn = Self.draw(strata, seed: settings.seed, stream: stream, replicate: replicate)
            withUnsafeTemporaryAllocation(of: Double.self, capacity: size) { sums in
                sums.initialize(repeating: 0)
                drawnRows.add(drawn: drawn, into: sums)
                statistic(UnsafeBufferPointer(sums), results)
            }
        }
        replicates = Self.sorted(rows, width: width, threads: settings.threads)
        accelerations =
            intervals.contains(.accelerated)
            ? Self.accelerations(
                Self.jackknife(table, strata, threads: settings.threads, width: width, statistic), strata, width: width)
            : []
    }

    /// One statistic, whose replicates were made from documents drawn by `draw`.
    init(value: Double, replicates: [Double], interval: Interval, sizes: [Int], level: Double) {
        precondition(interval != .accelerated, "acceleration needs the documents")
        values = [value]
        self.replicates = [replicates.filter(\.isFinite).sorted()]
        intervals = [interval]
        biases = [0]
        accelerations = []
        self.level = level
        expansion = Expansion(sizes)
    }

    /// How much the replicates of the `index`-th result are above it, on average.
    func bias(_ index: Int) -> Double {
        let replicates = replicates[index]
        return replicates.isEmpty ? 0 : replicates.reduce(0, +) / Double(replicates.count) - values[index]
    }

    /// Where fewer replicates than this lie beyond an expanded quantile, the distance of the usual one is expanded instead.
    private static let leastBeyond = 5.0

    /// Below which a share of further replicates would fall.
    private static func bound(_ sorted: [Double], _ probability: Double) -> Double {
        quantile(sorted, (probability * Double(sorted.count + 1) - 1) / Double(sorted.count - 1))
    }

    /// The `index`-th result with its interval.
    /// - Parameters:
    ///   - value: reported in place of the result's own; nil: the result, less its bias where it is a debiased one.
    ///   - range: what the quantity can be: value and bounds are cut there.
    ///   - count: intervals that hold at once (Bonferroni), where one of them is quoted because it is the largest.
    ///   - transform: rising or falling; applied to the result and its bounds.
    package func estimate(
        _ index: Int, value reported: Double? = nil,
        within range: ClosedRange<Double> = -Double.infinity...Double.infinity, among count: Int = 1,
        through transform: (Double) -> Double = { $0 }
    ) -> Estimate {
        let value = values[index]
        let shown = reported ?? transform(value - biases[index])
        guard !replicates.isEmpty, value.isFinite, replicates[index].count > 1 else {
            return Estimate(shown).cut(to: range)
        }
        let sorted = replicates[index]
        var (shift, center) = (0.0, value)
        let wanted = normalQuantile(1 - (1 - level) / (2 * Double(max(1, count))))
        var wide = wanted * expansion.student(wanted) * expansion.spread
        if intervals[index] == .debiased {
            shift = 2 * bias(index)
            center -= bias(index)
            // Replicates have the documents' noise twice already: with all of Student's factor 98 % of intervals held the truth, and with
            // none of it 90 % (five units; `moescope calibrate --coverage`).
            wide = wanted * expansion.student(wanted).squareRoot() * expansion.spread
        }
        let isFarOut = normalCDF(-wide) * Double(sorted.count + 1) < Self.leastBeyond
        let used = isFarOut ? min(wide, normalQuantile((1 + level) / 2)) : wide
        var tails = [normalCDF(-used), normalCDF(used)]
        if intervals[index] == .accelerated {
            let below = Double(sorted.prefix { $0 < value }.count)
            let equal = Double(sorted.prefix { $0 <= value }.count) - below
            // A value outside all replicates would give an infinite correction.
            let all = Double(sorted.count)
            let bias = normalQuantile(min(max((below + equal / 2) / all, 0.5 / all), 1 - 0.5 / all))
            tails = tails.map { probability in
                let z = bias + normalQuantile(probability)
                // Towards 0 the correction has left where it means anything.
                return normalCDF(bias + z / max(0.1, 1 - accelerations[index] * z))
            }
        }
        let bounds = tails.map { transform(center + wide / used * (Self.bound(sorted, $0) - shift - center)) }
        return Estimate(shown, lower: min(bounds[0], bounds[1], shown), upper: max(bounds[0], bounds[1], shown))
            .cut(to: range)
    }

    /// The finite replicates of each result, rising.
    /// - Parameter rows: [replicates, width]
    private static func sorted(_ rows: [Double], width: Int, threads: Int?) -> [[Double]] {
        guard width > 0 else { return [] }
        let count = rows.count / width
        var columns = [[Double]](repeating: [], count: width)
        columns.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let places = buffer
            // A few columns are sorted sooner than threads are woken.
            Parallel.forEach(width, threads: width < 64 ? 1 : threads) { column in
                var values: [Double] = []
                values.reserveCapacity(count)
                for replicate in 0..<count {
                    let value = rows[replicate * width + column]
                    if value.isFinite { values.append(value) }
                }
                values.sort()
                places[column] = values
            }
        }
        return columns
    }

    static func evaluate(_ sums: [Double], width: Int, _ statistic: TableStatistic) -> [Double] {
        var results = [Double](repeating: 0, count: width)
        sums.withUnsafeBufferPointer { sums in results.withUnsafeMutableBufferPointer { statistic(sums, $0) } }
        return results
    }

    /// How often each unit is drawn in a replicate: every stratum keeps its number of units.
    static func draw(_ units: ResampledUnits, seed: UInt64, stream: UInt64, replicate: Int) -> [Int32] {
        var generator = SeededGenerator(seed: seed &+ stream, stream: UInt64(replicate))
        var drawn = [Int32](repeating: 0, count: units.unitCount)
        for stratum in units.strata {
            for _ in 0..<stratum.count { drawn[stratum[generator.below(stratum.count)]] += 1 }
        }
        return drawn
    }

    /// The statistic without each unit: [units, width].
    private static func jackknife(
        _ table: DocumentTable, _ units: ResampledUnits, threads: Int?, width: Int,
        _ statistic: @escaping TableStatistic
    ) -> [Double] {
        let sums = table.sums
        let members = units.documents
        return Parallel.rows(units.unitCount, width: width, threads: threads) { unit, results in
            withUnsafeTemporaryAllocation(of: Double.self, capacity: sums.count) { without in
                _ = without.initialize(from: sums)
                for document in members[unit] {
                    for column in 0..<table.columns {
                        without[table.group[document] * table.columns + column] -=
                            table.values[document * table.columns + column]
                    }
                }
                statistic(UnsafeBufferPointer(without), results)
            }
        }
    }

    /// (n − 1) times how much the statistics without a unit are above the statistic, on average, for every stratum.
    private static func biases(
        _ values: [Double], _ rows: [Double], _ units: ResampledUnits, _ intervals: [Interval]
    ) -> [Double] {
        intervals.enumerated().map { column, interval in
            guard interval == .debiased else { return 0 }
            var bias = 0.0
            for stratum in units.strata where stratum.count > 1 {
                let found = stratum.map { rows[$0 * values.count + column] }.filter(\.isFinite)
                guard !found.isEmpty else { continue }
                let mean = found.reduce(0, +) / Double(found.count)
                bias += Double(stratum.count - 1) * (mean - values[column])
            }
            return bias
        }
    }

    /// Skewness of the jackknife over units, over 6.
    private static func accelerations(_ rows: [Double], _ units: ResampledUnits, width: Int) -> [Double] {
        (0..<width).map { column in
            // Within strata of different size, a unit moves the statistic by its influence over the stratum's size.
            var squares = 0.0
            var cubes = 0.0
            for stratum in units.strata where stratum.count > 1 {
                // Without its only unit, a share of nothing is no number.
                let values = stratum.map { rows[$0 * width + column] }.filter(\.isFinite)
                let mean = values.reduce(0, +) / Double(values.count)
                for value in values {
                    let influence = (Double(stratum.count) - 1) * (mean - value) / Double(stratum.count)
                    squares += influence * influence
                    cubes += influence * influence * influence
                }
            }
            return squares > 0 ? cubes / (6 * squares * squares.squareRoot()) : 0
        }
    }
}
