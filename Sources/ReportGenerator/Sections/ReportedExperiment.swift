import RoutingMetrics

/// What an experiment measured, as a report shows it. A report knows no models: who has run an experiment or read one fills this in.
public struct ReportedExperiment: Sendable {
    /// What one change did to one group.
    public struct Effect: Sendable {
        /// The change's name.
        public var arm: String
        /// "all" or a group's name.
        public var group: String
        /// nats per token: NLL less the untouched model's, paired by document.
        public var difference: Estimate?
        public var qValue: Double?
        /// The expert that was taken away, where the change is nothing else.
        public var ablated: Expert?

        public init(arm: String, group: String, difference: Estimate?, qValue: Double?, ablated: Expert?) {
            self.arm = arm
            self.group = group
            self.difference = difference
            self.qValue = qValue
            self.ablated = ablated
        }
    }

    /// What changing a group's own experts costs it beyond a control.
    public struct Contrast: Sendable {
        public var target: String
        /// "random", "other-layer" or "other-group".
        public var control: String
        /// nats per token.
        public var difference: Estimate?

        public init(target: String, control: String, difference: Estimate?) {
            self.target = target
            self.control = control
            self.difference = difference
        }
    }

    public struct Expert: Sendable, Hashable {
        public var layer: Int
        public var expert: Int

        public init(layer: Int, expert: Int) {
            self.layer = layer
            self.expert = expert
        }
    }

    /// "ablation", "steering", …
    public var kind: String
    public var documents: Int
    /// Tokens predicted.
    public var tokens: Int
    public var settings: MetricSettings
    public var effects: [Effect]
    public var contrasts: [Contrast]
    /// Their names begin with "experiment-", so that they stand apart from the trace's own.
    public let tables: [MetricTable]

    /// - Parameter tables: "effects", and "contrasts" where there are any.
    public init(
        kind: String, documents: Int, tokens: Int, settings: MetricSettings, effects: [Effect], contrasts: [Contrast],
        tables: [MetricTable]
    ) {
        self.kind = kind
        self.documents = documents
        self.tokens = tokens
        self.settings = settings
        self.effects = effects
        self.contrasts = contrasts
        self.tables = tables.map { table in
            var named = table
            named.name = "experiment-" + table.name
            return named
        }
    }

    /// Effects of taking away single experts.
    var ablations: [Expert: [Effect]] {
        Dictionary(grouping: effects.filter { $0.ablated != nil }) { $0.ablated ?? Expert(layer: 0, expert: 0) }
    }
}
