import RoutingMetrics

extension Sections {
    /// Paths from layer to layer.
    var paths: Section? {
        guard let metric = metrics.result(PathMetric.self), let best = metric.paths.first else { return nil }
        return Section(
            id: "paths", title: "Paths from layer to layer",
            lead:
                "\(mostFrequent(best)) \(dependence(metric))",
            figures: [isDeep ? dependenceByLayer : flows(metric)],
            method: method(PathMetric.definition, sample: metric.sample),
            downloads: ["paths", "paths-layers", "paths-frequent"])
    }

    private func mostFrequent(_ path: PathMetric.Path) -> String {
        guard path.count >= Self.fewestTokens else {
            return
                "No path of first choices through the layers is taken by more than \(Prose.plural(path.count, "token"))."
        }
        return
            "The most frequent path of first choices through the layers is \(Self.steps(path.experts)). "
            + "\(Prose.percent(path.share)) of tokens take it. \(independence(path))\(token(path))"
    }

    /// "3–17–5"; of many layers the first and the last, since paths-frequent.csv has them all.
    private static func steps(_ experts: [Int]) -> String {
        func joined(_ part: some Sequence<Int>) -> String { part.map(String.init).joined(separator: "–") }
        return experts.count <= 16 ? joined(experts) : "\(joined(experts.prefix(6)))–…–\(joined(experts.suffix(3)))"
    }

    /// A path of fewer tokens is not spoken of.
    private static let fewestTokens = 10

    /// Between neighbouring layers, where it can be told.
    private func dependence(_ metric: PathMetric) -> String {
        let told = metric.layers.compactMap { layer in layer.information.map { (layer, $0) } }
        guard let (layer, information) = told.max(by: { $0.1.value < $1.1.value }) else {
            return "There are too few tokens to tell how neighbouring layers depend on each other."
        }
        guard (information.lower ?? 1) > layer.documentChance else {
            return "A dependence between neighbouring layers beyond the load of the documents was not found."
        }
        return
            "The dependence between neighbouring layers is strongest from layer \(layer.layer) to layer \(layer.nextLayer): "
            + "\(Prose.number(information.value)) bits\(Prose.interval(information)). The load of the documents alone would give "
            + "\(Prose.number(layer.documentChance)) bits."
    }

    /// Shares of products over many layers are too small to be read: how many times as many take the path.
    private func independence(_ path: PathMetric.Path) -> String {
        guard let ratio = path.ratio, ratio.lower.map({ $0 > 1 }) ?? true else { return "" }
        return
            "That is \(Prose.number(ratio.value)) times as many as if layers were independent within each document\(Prose.interval(ratio)). "
    }

    /// Which token takes a path most: a path may be no more than one token's.
    private func token(_ path: PathMetric.Path) -> String {
        let name =
            switch path.tokenText {
            case "⏎": "a line break"
            case "␣": "a space"
            case "⇥": "a tab"
            case let text?: "“\(text)”"
            case nil: "the token with id \(path.token)"
            }
        return path.tokenShare >= 0.5
            ? "\(Prose.percent(path.tokenShare)) of its tokens are \(name)."
            : "Its most frequent token is \(name), with \(Prose.percent(path.tokenShare)) of its tokens."
    }

    /// Whether a flow diagram would be more than can be read.
    private var isDeep: Bool { model.experts > Self.mostExperts || layers.count > 32 }

    /// How much neighbouring layers tell about each other, in place of a diagram.
    private var dependenceByLayer: Figure {
        let bits = Measure("bits")
        let rows = Rows("paths-layers")
        return Figure(
            id: "figure-paths", label: "Line of the information between neighbouring layers.",
            caption:
                "Information between the first choices of a layer and those of the next, by layer, with its 95 % interval. The dashed line is "
                + "what each document's load alone gives. All transitions are in paths.csv, the most frequent paths in paths-frequent.csv.",
            chart: Charts.lineWithBand(
                rows, x: Spec.layerAxis(depth), "information", bits,
                tooltip: [("layer", "from layer", nil), ("next_layer", "to layer", nil)]
                    + Spec.estimate("information", "bits", ".3f") + [("chance_document", "by the load alone", ".3f")],
                behind: [Marks.line(rows, "chance_document", bits, colour: "@muted", dash: .dashed)]),
            shown: "paths-layers")
    }

    /// First choices flowing from each layer to the next.
    private func flows(_ metric: PathMetric) -> Figure {
        // Every thin band of a deep model would make a large page of hair.
        let least = metric.layers.count >= 12 ? 0.02 : 0.005
        return Figure(
            id: "figure-paths", label: "Flow diagram of first choices from each layer to the next.",
            caption:
                "First choices from layer to layer. Every column is a layer. Every block is an expert, 0 on top, as tall as its share of "
                + "tokens. Every band is the tokens that go from one expert to another. Bands of less than \(Prose.percent(least)) of "
                + "tokens are left out.",
            chart: Charts.flows(
                metric.transitions.map {
                    .init(
                        column: $0.layer, block: $0.expert, nextColumn: $0.nextLayer, nextBlock: $0.nextExpert,
                        count: $0.count)
                }, blocks: model.experts, least: least, column: "layer", block: "expert", unit: "tokens"),
            shown: "paths-frequent")
    }
}
