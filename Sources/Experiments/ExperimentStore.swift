import Foundation
import MoEModel
import Traces

/// Sums of negative log-likelihood (nats) of every document, first tokens left out.
public struct ExperimentLikelihoods: Sendable {
    /// Of every document.
    public let tokens: [Int]
    public let baseline: [Double]
    /// By arm's name.
    public let arms: [String: [Double]]

    public init(tokens: [Int], baseline: [Double], arms: [String: [Double]]) {
        self.tokens = tokens
        self.baseline = baseline
        self.arms = arms
    }
}

/// The folder of an experiment: what was asked (`plan.json`), and what came of it, a line per pass (`nll.jsonl`).
final class ExperimentStore {
    /// What must be the same for a run to be continued.
    private struct Recorded: Codable, Equatable {
        var format = "moescope-experiment"
        var version = 1
        var model: String
        var corpus: String
        var documents: Int
        var precision: String
        var plan: ExperimentPlan
    }

    private struct Line: Codable {
        var arm: String
        var first_document: Int
        var nll: [Double]
        var tokens: [Int]
    }

    private let file: URL
    private var handle: FileHandle
    private var lines: [String: [Int: Line]] = [:]

    init(
        _ folder: URL, plan: ExperimentPlan, model: String, corpus: String, documents: Int, precision: String,
        resume: Bool
    ) throws {
        let planFile = folder.appending(path: "plan.json")
        file = folder.appending(path: "nll.jsonl")
        let recorded = Recorded(model: model, corpus: corpus, documents: documents, precision: precision, plan: plan)
        let manager = FileManager.default
        let isThere = manager.fileExists(atPath: planFile.path)
        if isThere {
            guard resume else {
                throw ExperimentError(
                    file: folder.path,
                    reason: "an experiment is there already; continue it with --resume, or choose another --output")
            }
            let present = try? JSONDecoder().decode(Recorded.self, from: Data(contentsOf: planFile))
            guard present == recorded else {
                throw ExperimentError(
                    file: planFile.path,
                    reason: "model, corpus, precision or plan differ from this run's; choose another --output")
            }
        } else {
            do {
                try manager.createDirectory(at: folder, withIntermediateDirectories: true)
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
        for text in whole.split(separator: UInt8(ascii: "\n")) {
            if let line = try? JSONDecoder().decode(Line.self, from: text) {
                lines[line.arm, default: [:]][line.first_document] = line
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

    func add(_ arm: String, _ wave: Range<Int>, _ batch: TokenBatch, _ logprob: [Float]) throws {
        guard !has(arm, wave.lowerBound) else { return }
        var line = Line(arm: arm, first_document: wave.lowerBound, nll: [], tokens: [])
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
        lines[arm, default: [:]][wave.lowerBound] = line
    }

    func likelihoods(arms: [String], documents: Int) -> ExperimentLikelihoods {
        func collect(_ arm: String) -> (nll: [Double], tokens: [Int]) {
            let parts = (lines[arm] ?? [:]).sorted { $0.key < $1.key }.map(\.value)
            return (parts.flatMap(\.nll), parts.flatMap(\.tokens))
        }
        let untouched = collect(ExperimentRun.baseline)
        return ExperimentLikelihoods(
            tokens: untouched.tokens, baseline: untouched.nll,
            arms: arms.reduce(into: [:]) { $0[$1] = collect($1).nll })
    }
}
