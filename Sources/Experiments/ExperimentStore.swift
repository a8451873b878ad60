import FileFormats
import Foundation
import MoEModel
import RoutingMetrics
import Traces

/// The folder of an experiment: what was asked (`plan.json`), and what came of it, a line per pass (`nll.jsonl`).
final class ExperimentStore {
    /// What must be the same for a run to be continued.
    private struct Recorded: Codable, Equatable {
        var format = "moescope-experiment"
        /// 2 holds the load of ablated experts, and the documents' ids where some choose and some are scored.
        var version = 2
        var model: String
        var corpus: String
        var documents: Int
        var choosing_ids: [String]?
        var scored_ids: [String]?
        var precision: String
        var plan: ExperimentPlan
    }

    private struct Line: Codable {
        var arm: String
        var first_document: Int
        var nll: [Double]
        var tokens: [Int]
        /// Where the arm takes experts away: as in `AblatedLoad`.
        var met: [Double]?
        var weight: [Double]?

        /// Why the line cannot be one of this run; nil where it can.
        /// - Parameter wave: the documents that are computed together, `first_document` first.
        func problem(arms: Set<String>, wave: [Int]?, lengths: [Int]) -> String? {
            guard arms.contains(arm) else { return "field arm: expected an arm of the plan, found \"\(arm)\"" }
            guard let wave else {
                return "field first_document: expected the first of a wave's documents, found \(first_document)"
            }
            guard nll.count == wave.count, tokens.count == wave.count else {
                return "fields nll and tokens: expected \(wave.count) values, one per document, found "
                    + "\(nll.count) and \(tokens.count)"
            }
            guard (met?.count ?? wave.count) == wave.count, (weight?.count ?? wave.count) == wave.count else {
                return "fields met and weight: expected \(wave.count) values, one per document"
            }
            for (place, document) in wave.enumerated() where tokens[place] != lengths[document] - 1 {
                return "field tokens: expected \(lengths[document] - 1) of document \(document), found "
                    + "\(tokens[place]); were documents cut to another length?"
            }
            return (nll + (met ?? []) + (weight ?? [])).allSatisfy(\.isFinite) ? nil : "field nll: expected numbers"
        }
    }

    private let file: URL
    /// Held for as long as the store is there.
    private let lock: FolderLock
    private var handle: FileHandle
    private var lines: [String: [Int: Line]] = [:]
    /// Documents computed together, by the first of them.
    private let waveOf: [Int: [Int]]

    /// - Parameters:
    ///   - waves: the scored documents that are computed together.
    ///   - lengths: tokens of every document.
    /// - Throws: `FileError` where another process writes there; `ExperimentError` for a folder of another run, and for lines
    ///   that do not belong to this one.
    init(
        _ folder: URL, plan: ExperimentPlan, model: String, corpus: String, waves: [[Int]], lengths: [Int],
        ids: [String], precision: String, resume: Bool
    ) throws {
        let planFile = folder.appending(path: "plan.json")
        file = folder.appending(path: "nll.jsonl")
        let recorded = Recorded(
            model: model, corpus: corpus, documents: lengths.count,
            choosing_ids: plan.split.map { $0.choosing.map { ids[$0] } },
            scored_ids: plan.split.map { $0.scored.map { ids[$0] } }, precision: precision, plan: plan)
        let manager = FileManager.default
        func isThere() throws -> Bool {
            let isThere = manager.fileExists(atPath: planFile.path)
            guard resume || !isThere else {
                throw ExperimentError(
                    file: folder.path,
                    reason: "an experiment is there already; continue it with --resume, or choose another --output")
            }
            return isThere
        }
        if try !isThere() {
            do {
                try manager.createDirectory(at: folder, withIntermediateDirectories: true)
            } catch {
                throw ExperimentError(file: folder.path, reason: "cannot be written: \(TraceFolder.reason(error))")
            }
        }
        lock = try FolderLock(folder)
        if try isThere() {
            let present = try? JSONDecoder().decode(Recorded.self, from: Data(contentsOf: planFile))
            guard present == recorded else {
                throw ExperimentError(
                    file: planFile.path,
                    reason: "model, corpus, precision or plan differ from this run's; choose another --output")
            }
        } else {
            do {
                let encoder = JSONEncoder()
                encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
                try Data().write(to: file)
                try encoder.encode(recorded).write(to: planFile, options: .atomic)
            } catch {
                throw ExperimentError(
                    file: folder.path, reason: "cannot be written: \(TraceFolder.reason(error))")
            }
        }
        // A line cut short by an interruption does not count, and makes way for its repetition.
        let data = (try? Data(contentsOf: file)) ?? Data()
        let whole = data.prefix((data.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1)
        let arms = Set(plan.arms.map(\.name) + [ExperimentRun.baseline])
        waveOf = Dictionary(waves.map { ($0[0], $0) }) { first, _ in first }
        for (index, text) in whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated()
        where !text.isEmpty {
            do {
                let line = try JSONDecoder().decode(Line.self, from: text)
                if let problem = line.problem(arms: arms, wave: waveOf[line.first_document], lengths: lengths) {
                    throw ExperimentError(file: file.path, reason: "line \(index + 1): \(problem)")
                }
                lines[line.arm, default: [:]][line.first_document] = line
            } catch let error as DecodingError {
                throw ExperimentError(
                    file: file.path,
                    reason:
                        "line \(index + 1): \(ExperimentPlan.describe(error)); remove the line and --resume computes it again"
                )
            }
        }
        guard let handle = try? FileHandle(forUpdating: file) else {
            throw ExperimentError(file: file.path, reason: "cannot be written")
        }
        try handle.truncate(atOffset: UInt64(whole.count))
        try handle.seekToEnd()
        self.handle = handle
    }

    deinit { try? handle.close() }

    func has(_ arm: String, _ firstDocument: Int) -> Bool { lines[arm]?[firstDocument] != nil }

    func add(
        _ arm: String, _ wave: [Int], _ batch: TokenBatch, _ logprob: [Float], load: AblatedLoad? = nil
    ) throws {
        guard !has(arm, wave[0]) else { return }
        var line = Line(
            arm: arm, first_document: wave[0], nll: [], tokens: [], met: load?.met, weight: load?.weight)
        for rows in batch.documents {
            line.nll.append(logprob[rows].dropFirst().reduce(0) { $0 - Double($1) })
            line.tokens.append(rows.count - 1)
        }
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = .sortedKeys
            try handle.write(contentsOf: try encoder.encode(line) + [UInt8(ascii: "\n")])
            try handle.synchronize()
        } catch {
            throw ExperimentError(
                file: file.path, reason: "cannot be written: \(TraceFolder.reason(error))")
        }
        lines[arm, default: [:]][wave[0]] = line
    }

    /// Of all documents of the corpus; those that are not scored have no tokens.
    func likelihoods(_ arms: [String], documents: Int) -> ExperimentLikelihoods {
        func collect<Value>(_ arm: String, _ missing: Value, _ values: (Line) -> [Value]?) -> [Value]? {
            var result = [Value](repeating: missing, count: documents)
            for (first, line) in lines[arm] ?? [:] {
                guard let values = values(line) else { return nil }
                for (document, value) in zip(waveOf[first] ?? [], values) { result[document] = value }
            }
            return result
        }
        return ExperimentLikelihoods(
            tokens: collect(ExperimentRun.baseline, 0, \.tokens) ?? [],
            baseline: collect(ExperimentRun.baseline, 0, \.nll) ?? [],
            arms: arms.reduce(into: [:]) { $0[$1] = collect($1, .nan, \.nll) },
            loads: arms.reduce(into: [:]) { loads, arm in
                guard let met = collect(arm, 0, \.met), let weight = collect(arm, 0, \.weight) else { return }
                loads[arm] = AblatedLoad(met: met, weight: weight)
            })
    }
}
