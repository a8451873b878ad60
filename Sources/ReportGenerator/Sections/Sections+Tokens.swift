import FileFormats
import RoutingMetrics
import Traces

extension Sections {
    /// Bytes of the token browser and of the attention viewer, before base64: what keeps a page small on any corpus.
    private static let browserBudget = 600_000
    private static let attentionBudget = 1_500_000

    /// The token browser and, where the trace has patterns, the attention viewer over the same documents. None where experts
    /// do not fit the byte that the browser has for them.
    func tokens() throws(FileError) -> [Section] {
        let layout = trace.layout
        guard model.experts <= 255, layout.hasTokens, layout.hasWeights, layout.hasLogprobs else { return [] }
        let attention = try AttentionData(trace, budget: Self.attentionBudget)
        let sample =
            shown.map { DocumentSample(documents: $0 + (attention?.documents ?? [])) }
            ?? DocumentSample(
                trace, required: attention?.documents ?? [], budget: Self.browserBudget,
                bytesPerToken: BrowserData.bytesPerToken(trace.layout))
        let browser = try BrowserData(trace, sample: sample, names: names)
        return [self.browser(browser, hasWholeSets: sample.hasWholeSets)]
            + (attention.map { [self.attention($0)] } ?? [])
    }

    private func browser(_ data: BrowserData, hasWholeSets: Bool) -> Section {
        let all = trace.documents.count
        let which =
            data.documentCount == all
            ? "All \(Prose.plural(all, "document"))"
            : "\(Prose.count(data.documentCount)) of \(Prose.plural(all, "document"))"
        let most = ShardRouting.mostWeight(trace.layout)
        let ofMost = most > 1 ? " (weights to \(Prose.number(Double(most)))/255)" : ""
        let spread =
            data.documentCount == all || !hasWholeSets
            ? "" : " They are whole sets of parallel texts, spread evenly over the corpus."
        return Section(
            id: "tokens", title: "Every token in its text",
            lead:
                "Each token is coloured by its first expert in the layer of the slider. Point at a token, or walk with the arrow keys, to see "
                + "the router's probabilities. Choose an expert to highlight its tokens. Search for a token to see every place where it occurs."
                + routerNote,
            body: .init(
                template: "browser", script: "tokens.js",
                data: ("browser", data.json.merging(["start": .int(mostInformativeLayer)]))),
            method:
                "\(which) are in this page, with \(Prose.plural(data.tokenCount, "token")).\(spread) The numbers above are computed from all "
                + "documents. Probabilities and weights are rounded to 1/255\(ofMost), surprisals to an eighth of a bit."
        )
    }

    private func attention(_ data: AttentionData) -> Section {
        Section(
            id: "attention", title: "Attention and routing of the same tokens",
            lead:
                "The attention of one head at a time is drawn over text that is coloured by the first expert in the head's layer. "
                + "Choose a head and point at a token; click to hold it. Lines lead to the tokens that it attends to most.",
            body: .init(template: "attention", script: "attention.js", data: ("attention", data.json)),
            method:
                "The page holds the patterns of \(Prose.plural(data.documents.count, "document")) and up to \(Prose.plural(data.headCount, "head"))"
                + (data.headCount < data.capturedHeads ? " of the \(Prose.count(data.capturedHeads)) that" : " that")
                + " the trace captured, for documents of up to \(Prose.count(AttentionData.longestDocument)) tokens. Of each token's weights "
                + "it holds at most the \(data.entriesPerRow) largest, and none below 1/255, so that it stays small.")
    }
}
