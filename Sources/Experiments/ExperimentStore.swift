import FileFormats
import Foundation
import MoEModel
import RoutingMetrics
import Traces

/// The folder of an experiment: what was asked (`plan.json`), and what came of it, a line per pass (`nll.jsonl`).
final class ExperimentStore {
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

    private static let planName = "plan.json"
    private static let linesName = "nll.jsonl"

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
    /// - Throws: `FileError` where another process writes there; `ExperimentError` for a folder of another run, or of something else,
    ///   and for lines that do not belong to this one.
    init(
        _ folder: URL, identity: ExperimentIdentity, waves: [[Int]], lengths: [Int], resume: Bool
    ) throws {
        let planFile = folder.appending(path: Self.planName)
        file = folder.appending(path: Self.linesName)
        // Before the lock, which would be a file in a folder that is no experiment.
        _ = try Self.isContinued(folder, resumes: resume)
        try DurableFolder.make(folder)
        lock = try FolderLock(folder)
        // Another run may have been here between the first look and the lock.
        if try Self.isContinued(folder, resumes: resume) {
            let data: Data
            do { data = try Data(contentsOf: planFile) } catch {
                throw ExperimentError(file: planFile.path, reason: "cannot be read: \(TraceFolder.reason(error))")
            }
            let present = try TraceCoding.decode(ExperimentIdentity.self, from: data, file: planFile.path)
            if let difference = identity.difference(from: present) {
                throw ExperimentError(
                    file: planFile.path,
                    reason: "\(difference); --resume continues the same run, choose another --output for another one")
            }
        } else {
            try AtomicFileWriter.write(Data(), to: file, in: .ownFolder)
            try AtomicFileWriter.write(Data(try identity.prettyJSON().utf8), to: planFile, in: .ownFolder)
        }
        for name in Self.names(folder) where Self.isLeftover(name) {
            try? FileManager.default.removeItem(at: folder.appending(path: name))
        }
        // A line cut short by an interruption does not count, and makes way for its repetition.
        let data: Data
        do { data = try Data(contentsOf: file) } catch {
            throw ExperimentError(file: file.path, reason: "cannot be read: \(TraceFolder.reason(error))")
        }
        let whole = data.prefix((data.lastIndex(of: UInt8(ascii: "\n")) ?? -1) + 1)
        let arms = Set(identity.plan.arms.map(\.name) + [ExperimentRun.baseline])
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

    /// Whether there is a run to go on with, rather than one to begin: in an empty folder, or one in which a run was stopped before
    /// its plan was written.
    /// - Throws: where an experiment is there and is not to be continued, or something else is there.
    private static func isContinued(_ folder: URL, resumes: Bool) throws(ExperimentError) -> Bool {
        for name in [planName, linesName] where RegularFile.kind(folder.appending(path: name)) == S_IFLNK {
            throw ExperimentError(
                file: folder.appending(path: name).path,
                reason: "is a link, and what it leads to may be another's; choose another --output")
        }
        let present = names(folder)
        if present.contains(planName) {
            guard resumes else {
                throw ExperimentError(
                    file: folder.path,
                    reason: "an experiment is there already; continue it with --resume, or choose another --output")
            }
            return true
        }
        let foreign = present.filter { name in
            name == linesName
                ? !((try? Data(contentsOf: folder.appending(path: name)))?.isEmpty ?? false) : !isLeftover(name)
        }
        guard foreign.isEmpty else {
            throw ExperimentError(
                file: folder.path,
                reason:
                    "the folder is not empty (\(foreign.prefix(3).joined(separator: ", "))) and holds no experiment; "
                    + "choose another --output")
        }
        return false
    }

    /// Names in the folder, sorted, without the lock.
    private static func names(_ folder: URL) -> [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
            .filter { $0 != FolderLock.fileName }.sorted()
    }

    /// Whether a name is that of a temporary file of this store.
    private static func isLeftover(_ name: String) -> Bool {
        TemporaryFiles.target(of: name).map([planName, linesName].contains) ?? false
    }

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
