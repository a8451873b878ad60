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
        guard model.experts <= 255 else { return [] }
        let attention = try AttentionData(trace, budget: Self.attentionBudget)
        let sample =
            shown.map { DocumentSample(documents: $0 + (attention?.documents ?? [])) }
            ?? DocumentSample(
                trace, required: attention?.documents ?? [], budget: Self.browserBudget,
                bytesPerToken: BrowserData.bytesPerToken(trace.layout))
        let browser = try BrowserData(trace, sample: sample, names: names)
        return [self.browser(browser)] + (attention.map { [self.attention($0)] } ?? [])
    }

    private func browser(_ data: BrowserData) -> Section {
        let all = trace.documents.count
        let which =
            data.documentCount == all
            ? "All \(Prose.plural(all, "document"))"
            : "\(Prose.count(data.documentCount)) of \(Prose.plural(all, "document")), whole sets of parallel texts spread evenly over the corpus"
        return Section(
            id: "tokens", title: "The tokens themselves",
            lead:
                "Each token in its text, coloured by its first expert at the layer of the slider. Point at one, or walk with the arrow keys, "
                + "to see what the router gave every expert; choose an expert to light up its tokens; search for a token to see every place it stands.",
            body: .init(
                template: "browser", script: "tokens.js",
                data: ("browser", data.json.merging(["start": .int(mostInformativeLayer)]))),
            method:
                "\(which) are in this page, \(Prose.plural(data.tokenCount, "token")); the numbers above are computed from all. Probabilities "
                + "and weights are shown to 1/255, surprise to an eighth of a bit.")
    }

    private func attention(_ data: AttentionData) -> Section {
        Section(
            id: "attention", title: "Attention and routing of the same tokens",
            lead:
                "Where each token looks, one head at a time, over text coloured by the first expert of the head's layer. "
                + "Choose a head, point at a token (click to hold it); lines lead to what it attends to most.",
            body: .init(template: "attention", script: "attention.js", data: ("attention", data.json)),
            method:
                "Patterns of \(Prose.plural(data.documents.count, "document")) and up to \(Prose.plural(data.headCount, "head"))"
                + (data.headCount < data.capturedHeads ? " of the \(Prose.count(data.capturedHeads)) that" : " that")
                + " the trace captured; documents of up to \(Prose.count(AttentionData.longestDocument)) tokens. Per token the "
                + "\(data.entriesPerRow) largest weights of at least 1/255 at most, so that the page stays small.")
    }
}
