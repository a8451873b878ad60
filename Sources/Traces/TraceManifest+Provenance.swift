extension TraceManifest.Capture {
    /// Said in `absent` of a record that has each token's experts, but not which of them has the largest weight.
    public static let choiceOrder = "choice_order"
    /// What `absent` may name, in its order: columns, then the order of a token's experts.
    public static let omissible = TraceColumn.omissible.map(\.name) + [choiceOrder]
}

extension TraceManifest {
    /// Where a trace's documents come from that no run of this program wrote into it.
    public struct Provenance: Codable, Sendable, Equatable {
        public enum Kind: String, Codable, Sendable {
            /// Joined from whole traces.
            case merged
            /// Some documents of one trace.
            case subset
            /// Another program recorded the routing.
            case imported
        }

        public struct Source: Codable, Sendable, Equatable {
            /// The trace's folder, or the record's file, without the path to it.
            public var name: String
            public var documents: Int
            public var tokens: Int
            /// `manifest_sha256` of a trace, or the hash of the record's file.
            public var sha256: String?

            public init(name: String, documents: Int, tokens: Int, sha256: String?) {
                self.name = name
                self.documents = documents
                self.tokens = tokens
                self.sha256 = sha256
            }
        }

        public var kind: Kind
        /// The writer of an imported record: "vllm", "sglang", …
        public var format: String?
        /// In the order of the documents.
        public var sources: [Source]

        public init(kind: Kind, format: String? = nil, sources: [Source]) {
            self.kind = kind
            self.format = format
            self.sources = sources
        }
    }

    /// The first field by which two traces are not of the same model, tokenizer, capture, interventions and precision.
    /// - Returns: its path in the manifest, this one's value and the other's; nil where there is none.
    func identityDifference(_ other: TraceManifest) -> (field: String, mine: String, theirs: String)? {
        let (mine, theirs) = (model.config ?? [:], other.model.config ?? [:])
        let configs = Set(mine.keys).union(theirs.keys).sorted().map { key in
            FieldPair(
                field: "model.config.\(key)", differs: mine[key] != theirs[key], mine: mine[key] ?? "nothing",
                theirs: theirs[key] ?? "nothing")
        }
        func pair<Value: Equatable>(_ field: String, _ path: KeyPath<TraceManifest, Value>) -> FieldPair {
            let (mine, theirs) = (self[keyPath: path], other[keyPath: path])
            return FieldPair(
                field: field, differs: mine != theirs, mine: Self.text(mine), theirs: Self.text(theirs))
        }
        let fields =
            [
                pair("version", \.version), pair("model.name", \.model.name), pair("model.sha256", \.model.sha256),
                pair("model.architecture", \.model.architecture), pair("model.layers", \.model.layers),
                pair("model.experts", \.model.experts), pair("model.experts_per_token", \.model.expertsPerToken),
                pair("model.heads", \.model.heads), pair("model.kv_heads", \.model.kvHeads),
                pair("model.hidden_size", \.model.hiddenSize), pair("model.vocab_size", \.model.vocabSize),
                pair("model.quantization", \.model.quantization), pair("model.moe_layers", \.model.moeLayers),
                pair("model.router", \.model.router),
            ] + configs + [
                pair("model", \.model), pair("tokenizer", \.tokenizer),
                pair("capture.router_logits", \.capture.routerLogits),
                pair("capture.attention_summary", \.capture.attentionSummary),
                pair("capture.attention_pattern", \.capture.attentionPattern),
                pair("capture.layers", \.capture.layers),
                pair("capture.experts_per_token", \.capture.expertsPerToken),
                pair("capture.predicted", \.capture.predicted), pair("capture.speculative", \.capture.speculative),
                pair("capture.absent", \.capture.absent), pair("capture", \.capture),
                pair("interventions", \.interventions), pair("compute.precision", \.compute.precision),
                pair("generation", \.generation),
            ]
        return fields.first(where: \.differs).map { (field: $0.field, mine: $0.mine, theirs: $0.theirs) }
    }

    private struct FieldPair {
        var field: String
        var differs: Bool
        var mine, theirs: String
    }

    /// A value as an error names it: without the word Optional.
    private static func text(_ value: Any) -> String {
        let mirror = Mirror(reflecting: value)
        guard mirror.displayStyle == .optional else { return "\(value)" }
        return mirror.children.first.map { "\($0.value)" } ?? "nothing"
    }
}
