import FileFormats
import Foundation
import RoutingMetrics
import Traces

/// One trace and what was computed from it, as a page, as tables and (later) as text in a terminal.
public struct Report: Sendable {
    let trace: Trace
    public var manifest: TraceManifest { trace.manifest }
    public let metrics: ReportMetrics
    public var title: String
    let names: GroupNames
    /// Documents whose tokens the page shows; nil: a sample.
    private var shown: [Int]?
    /// Shown in a section of its own and on the cards of the experts it took away.
    public var experiment: RecordedExperiment?

    /// - Parameter title: nil: a title that says model and corpus.
    public init(trace: Trace, metrics: ReportMetrics, title: String? = nil) {
        self.trace = trace
        let manifest = trace.manifest
        self.metrics = metrics
        names = GroupNames(groups: metrics.sample?.groups.map(\.name) ?? manifest.corpus.groups.keys.sorted())
        let spoken = names.spoken
        self.title =
            title ?? "How \(manifest.model.name) routes "
            + (2...7 ~= spoken.count ? Prose.list(spoken) : manifest.corpus.source)
    }

    /// Chooses the documents whose tokens the page shows.
    /// - Throws: `unknownDocument` naming the first id that the trace does not have.
    public mutating func showDocuments(_ ids: [String]) throws(ReportError) {
        var places: [Int] = []
        for id in ids {
            guard let document = trace.documents.first(where: { $0.id == id }) else {
                throw .unknownDocument(id, file: trace.url.appending(path: "documents.jsonl").relativePath)
            }
            places.append(document.index)
        }
        shown = places
    }

    /// The page's parts.
    var sections: Sections {
        Sections(trace: trace, metrics: metrics, names: names, experiment: experiment, shown: shown)
    }

    private var tables: [MetricTable] {
        metrics.tables + (sections.measured + [sections.rules].compactMap(\.self)).flatMap(\.tables)
    }

    /// One CSV file per table and the `datapackage.json` that describes them.
    public func writeTables(to folder: URL) throws(ReportError) {
        try Self.makeFolder(folder)
        let tables = tables
        var files: [String: Data] = [:]
        for table in tables {
            let file = table.csvFile()
            try Self.write(file, to: folder.appending(path: table.name + ".csv"))
            files[table.name] = file
        }
        let package = DataPackage(
            name: "moescope-report", title: title,
            description:
                "Routing metrics of \(manifest.model.name) over \(manifest.corpus.source), by MoEScope \(Version.current).",
            created: date, tables: tables, files: files, metrics: metrics, manifest: manifest)
        try Self.write(
            Data((package.json.serialized(.pretty) + "\n").utf8), to: folder.appending(path: "datapackage.json"))
    }

    /// The self-contained page.
    /// - Parameters:
    ///   - folder: where `writeTables` put the CSV files; the page links to them. nil: no links.
    ///   - embedsTables: whether the CSV files are in the page, so that its links need no other file.
    /// - Returns: whether figures could be drawn, or are shown as tables because the library is missing.
    @discardableResult
    public func writePage(to file: URL, tables folder: URL?, embedsTables: Bool = false) throws -> Bool {
        let vega = VegaBundle.load()
        var page = try page(csvFolder: folder.map { Self.relativePath(from: file.deletingLastPathComponent(), to: $0) })
        if embedsTables { page.embedded = EmbeddedTables(page.tables) }
        let text = try page.render(vega: vega)
        try trace.checkReadable()
        try Self.makeFolder(file.deletingLastPathComponent())
        try Self.write(Data(text.utf8), to: file)
        return vega != nil
    }

    /// The opening sentences, as plain text.
    public var findingTexts: [String] { Findings(metrics: metrics, names: names).all.map(\.claim) }

    func page(csvFolder: String?) throws -> Page {
        let model = manifest.model
        let findings = Findings(metrics: metrics, names: names)
        let groupFacts = metrics.sample?.groups.count ?? manifest.corpus.groups.count
        return Page(
            title: title,
            byline: byline,
            facts: [
                ("Layers", "\(model.layers)"), ("Experts per layer", "\(model.experts)"),
                ("Experts per token", "\(model.expertsPerToken)"), ("Documents", Prose.count(manifest.documents)),
                ("Tokens", Prose.count(manifest.tokens)), ("Groups", "\(groupFacts)"),
            ],
            findings: findings.all, findingsNote: Findings.note, sections: try sections.all(),
            tables: Dictionary(uniqueKeysWithValues: tables.map { ($0.name, $0) }),
            samples: Dictionary(
                zip(metrics.results, metrics.tablesByResult).flatMap { result, tables in
                    tables.map { ($0.name, Findings.sample(result.sample)) }
                }, uniquingKeysWith: { first, _ in first }),
            provenance: provenance, csvFolder: csvFolder)
    }

    private var byline: String {
        let model = manifest.model
        let total = model.parametersTotal > 0 ? " with \(Self.parameters(model.parametersTotal)) parameters" : ""
        let active =
            model.parametersActive > 0 ? ", \(Self.parameters(model.parametersActive)) of them active per token" : ""
        let made =
            manifest.provenance?.kind == .imported
            ? "It was imported on \(date.prefix(10))\(manifest.provenance?.format.map { " from a record of \($0)" } ?? "")."
            : "It was traced on \(date.prefix(10)) in \(manifest.compute.precision) precision."
        return
            "The model is \(model.name) (\(model.architecture))\(total)\(active). The corpus is \(manifest.corpus.source). \(made)"
    }

    /// When the trace was finished; SOURCE_DATE_EPOCH, where it is set, makes reports of equal traces equal bytes.
    private var date: String {
        guard let text = ProcessInfo.processInfo.environment["SOURCE_DATE_EPOCH"], let seconds = Double(text) else {
            return manifest.updated
        }
        return Date(timeIntervalSince1970: seconds).ISO8601Format()
    }

    private var provenance: [String] {
        let interventions =
            manifest.interventions.isEmpty ? "none" : manifest.interventions.map(\.kind).joined(separator: ", ")
        return [
            "MoEScope \(Version.current) made this page from a trace of \(date). Everything shown was computed from that trace. "
                + "The page makes no network request.",
            "Model: \(manifest.model.name), weights \(Self.known(manifest.model.quantization)), SHA-256 "
                + "\(Self.known(manifest.model.sha256)). Corpus: \(manifest.corpus.source), SHA-256 \(manifest.corpus.sha256). "
                + "Tokenizer: \(tokenizer).",
            "MoEScope \(manifest.compute.version) made the trace: \(arithmetic). Interventions: \(interventions). The trace is "
                + "\(manifest.status.rawValue).\(sources)",
        ]
    }

    private static func known(_ text: String) -> String { text.isEmpty ? "not known" : text }

    /// What was joined, chosen from or imported.
    private var sources: String {
        guard let provenance = manifest.provenance else { return "" }
        let verb =
            switch provenance.kind {
            case .merged: "joined from"
            case .subset: "chosen from"
            case .imported: "imported from"
            }
        return " It was \(verb) \(Prose.list(provenance.sources.map(\.name)))."
    }

    private var tokenizer: String {
        let facts = manifest.tokenizer
        return facts.sha256.isEmpty ? "none, the corpus gave token ids" : "\(facts.kind), SHA-256 \(facts.sha256)"
    }

    /// Exact results do not depend on the processor, so its name would only make equal reports differ.
    private var arithmetic: String {
        if manifest.provenance?.kind == .imported { return "the numbers are another program's, copied" }
        return manifest.compute.precision == "exact"
            ? "exact precision, the same bits on every processor"
            : "\(manifest.compute.isa), \(manifest.compute.precision) precision"
    }

    private static func parameters(_ count: Int) -> String {
        let value = Double(count)
        if value >= 1e9 { return String(format: "%.1f billion", value / 1e9) }
        return value >= 1e6 ? String(format: "%.1f million", value / 1e6) : Prose.count(count)
    }

    /// "csv" for a folder beside the page; the absolute path where they share no folder.
    static func relativePath(from base: URL, to target: URL) -> String {
        let from = base.standardizedFileURL.pathComponents
        let to = target.standardizedFileURL.pathComponents
        let shared = zip(from, to).prefix { $0 == $1 }.count
        let parts = Array(repeating: "..", count: from.count - shared) + to.dropFirst(shared)
        return parts.isEmpty ? "." : parts.joined(separator: "/")
    }

    static func makeFolder(_ folder: URL) throws(ReportError) {
        do throws(FileError) { try DurableFolder.make(folder) } catch {
            throw .cannotWrite(path: folder.path, reason: error.problem ?? error.reason.rawValue)
        }
    }

    static func write(_ data: Data, to file: URL) throws(ReportError) {
        do throws(FileError) { try AtomicFileWriter.write(data, to: file) } catch {
            throw .cannotWrite(
                path: file.path,
                reason: error.found == "a folder"
                    ? "it is a folder; give the name of a file in it" : error.problem ?? error.reason.rawValue)
        }
    }
}
