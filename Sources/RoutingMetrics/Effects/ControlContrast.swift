import Tensors

/// One change against controls, on the same n units, documents or what of them belongs together: what it costs beyond them, per token and per unit of routed weight.
///
/// Controls are fixed, or D random draws out of many that could have been drawn. Draws vary as documents do: a replicate of the
/// bootstrap resamples both, and the interval is about controls in general, not about the ones drawn (crossed resampling: Owen,
/// "The pigeonhole bootstrap", arXiv 0712.1111).
struct ControlContrast {
    /// Sums of a change per document.
    struct Change {
        /// [n]: NLL less the untouched model's, nats.
        var difference: [Double]
        /// [n]: the routed weight that it takes away; nil where it takes no experts away.
        var weight: [Double]?
    }

    struct Found {
        /// nats per token: the change's effect less the controls' mean effect.
        var difference: Estimate?
        var pValue: Double?
        /// Controls that cost the documents as much as the change, or more.
        var asHarmful: Int
        /// nats per unit of routed weight: the change's, the controls', and the first less the second.
        var own: Estimate?
        var control: Estimate?
        var perWeight: Estimate?
    }

    /// [n], without 0.
    let tokens: [Double]
    let own: Change
    /// [D]
    let controls: [Change]

    /// Places of a replicate's results.
    private enum Place {
        static let difference = 0
        static let own = 1
        static let control = 2
        static let perWeight = 3
        static let count = 4
    }

    /// - Parameters:
    ///   - areDrawn: whether the controls are random draws.
    ///   - stream: which random numbers.
    func found(areDrawn: Bool, settings: MetricSettings, stream: UInt64) -> Found {
        let (n, D) = (tokens.count, controls.count)
        let once = [Double](repeating: 1, count: n)
        let each = [Double](repeating: 1, count: D)
        let values = statistics(documents: once, draws: each)
        let total = own.difference.reduce(0, +)
        let asHarmful = controls.reduce(0) { $0 + ($1.difference.reduce(0, +) >= total ? 1 : 0) }
        let hasWeight = values[Place.own].isFinite && values[Place.control].isFinite
        func result(_ estimate: (Int) -> Estimate, _ pValue: Double?) -> Found {
            Found(
                difference: estimate(Place.difference), pValue: pValue, asHarmful: asHarmful,
                own: hasWeight ? estimate(Place.own) : nil, control: hasWeight ? estimate(Place.control) : nil,
                perWeight: hasWeight ? estimate(Place.perWeight) : nil)
        }
        guard n >= max(2, settings.minimumDocuments) else {
            return Found(
                difference: nil, pValue: nil, asHarmful: asHarmful, own: nil, control: nil, perWeight: nil)
        }
        // One draw says nothing about how draws vary.
        guard settings.bootstrap > 1, !areDrawn || D > 1 else { return result({ Estimate(values[$0]) }, nil) }
        let width = Place.count + 1
        let rows = Parallel.rows(settings.bootstrap, width: width, threads: settings.threads) { replicate, results in
            var numbers = SeededGenerator(
                seed: settings.seed &+ 0x636f_6e74 &+ stream &* 7_919, stream: UInt64(replicate))
            func drawn(_ count: Int) -> [Double] {
                var times = [Double](repeating: 0, count: count)
                for _ in 0..<count { times[numbers.below(count)] += 1 }
                return times
            }
            let documents = drawn(n)
            let draws = areDrawn ? drawn(D) : each
            let resampled = statistics(documents: documents, draws: draws)
            for place in 0..<Place.count { results[place] = resampled[place] }
            let error = standardError(documents: documents, draws: draws, difference: resampled[Place.difference])
            results[Place.count] = (resampled[Place.difference] - values[Place.difference]) / error
        }
        func replicates(_ place: Int) -> [Double] { (0..<settings.bootstrap).map { rows[$0 * width + place] } }
        let sizes = areDrawn ? [n, D] : [n]
        let pValue: Double
        if areDrawn {
            let error = standardError(documents: once, draws: each, difference: values[Place.difference])
            let studentized = abs(values[Place.difference] / error)
            let null = replicates(Place.count).filter(\.isFinite)
            let extreme = null.reduce(0) { $0 + (abs($1) >= studentized ? 1 : 0) }
            pValue = studentized.isFinite ? Double(1 + extreme) / Double(1 + null.count) : 1
        } else {
            let beyond = (0..<n).map { document in
                own.difference[document] - controls.reduce(0) { $0 + $1.difference[document] } / Double(D)
            }
            pValue = PairedEffect.signFlip(beyond, settings: settings, stream: stream)
        }
        return result(
            { place in
                Bootstrap(
                    value: values[place], replicates: replicates(place), interval: .percentile, sizes: sizes,
                    level: settings.level
                ).estimate(0)
            }, pValue)
    }

    /// [`Place.count`]; not a number where a weight is missing or 0.
    private func statistics(documents: [Double], draws: [Double]) -> [Double] {
        func sum(_ values: [Double]) -> Double { zip(values, documents).reduce(0) { $0 + $1.0 * $1.1 } }
        let count = draws.reduce(0, +)
        func mean(_ values: (Change) -> Double) -> Double {
            zip(controls, draws).reduce(0) { $1.1 > 0 ? $0 + $1.1 * values($1.0) : $0 } / count
        }
        let tokens = sum(tokens)
        let (changed, controlled) = (sum(own.difference), mean { sum($0.difference) })
        func ratio(_ difference: Double, _ weight: Double) -> Double { weight > 0 ? difference / weight : .nan }
        let ownPerWeight = ratio(changed, own.weight.map(sum) ?? 0)
        let controlPerWeight = ratio(controlled, mean { $0.weight.map(sum) ?? 0 })
        return [(changed - controlled) / tokens, ownPerWeight, controlPerWeight, ownPerWeight - controlPerWeight]
    }

    /// Of the difference: the documents' variance, and the draws' divided by their number.
    private func standardError(documents: [Double], draws: [Double], difference: Double) -> Double {
        let count = draws.reduce(0, +)
        let n = documents.reduce(0, +)
        let total = zip(tokens, documents).reduce(0) { $0 + $1.0 * $1.1 }
        var effects = [Double](repeating: 0, count: controls.count)
        var squares = 0.0
        for document in tokens.indices where documents[document] > 0 {
            var mean = 0.0
            for (draw, times) in draws.enumerated() where times > 0 {
                let value = controls[draw].difference[document]
                mean += times * value
                effects[draw] += documents[document] * value
            }
            let residual = own.difference[document] - mean / count - difference * tokens[document]
            squares += documents[document] * residual * residual
        }
        let byDocument = squares * n / (n - 1) / (total * total)
        let mean = zip(effects, draws).reduce(0) { $0 + $1.0 * $1.1 } / count
        let spread = zip(effects, draws).reduce(0) { $0 + $1.1 * ($1.0 - mean) * ($1.0 - mean) }
        let byDraw = count > 1 ? spread / (count - 1) / count / (total * total) : 0
        return (byDocument + byDraw).squareRoot()
    }
}
