import Calibration
import FileFormats
import Foundation
import RoutingMetrics
import Traces
import Tracing

/// Counts of a simulation, kept in a JSON Lines file from which a stopped run goes on. One program at a time holds the file.
struct KeptRates {
    /// Everything that decides the counts but the scenario and the traces.
    struct Settings: Codable, Equatable {
        var permutations: Int
        var bootstrap: Int
        var moescope = Version.current
    }

    /// One line of the file: counts of some traces of a scenario.
    private struct Line: Codable {
        var settings: Settings
        /// Number of the first trace.
        var first: Int
        var traces: Int
        var rates: [Rate]
    }

    /// Traces whose counts are written together.
    private static let block = 50

    private let file: URL?
    private let lock: FolderLock?
    private let settings: Settings
    private var lines: [String: [Line]] = [:]

    /// - Throws: where the file cannot be read, holds something else or counts of other settings, or another program has it.
    init(_ path: String?, _ settings: Settings) throws {
        self.settings = settings
        file = path.map { URL(filePath: $0) }
        lock = try file.map { try FolderLock(file: $0) }
        guard let path, let file, FileManager.default.fileExists(atPath: file.path) else { return }
        for (place, text) in try Data(contentsOf: file).split(separator: UInt8(ascii: "\n")).enumerated() {
            let line = try TraceCoding.decode(Line.self, from: text, file: path, place: "line \(place + 1)")
            guard line.settings == settings else {
                throw FileError.trace(
                    .mismatch, file: path, field: "line \(place + 1), field settings", expected: "\(settings)",
                    found: "\(line.settings)",
                    hint: "a run is continued with the same settings; choose another --output")
            }
            lines[line.rates.first?.scenario ?? "", default: []].append(line)
        }
    }

    /// Sums over traces 0..<traces of a scenario; what is not in the file is counted.
    mutating func rates(
        _ name: String, traces: Int, count: (Range<Int>) throws -> [Rate], progress: (Int) -> Void
    ) throws -> [Rate] {
        var sums: [Rate] = []
        for first in stride(from: 0, to: traces, by: Self.block) {
            progress(first)
            let size = min(Self.block, traces - first)
            var found = lines[name]?.first { $0.first == first && $0.traces == size }?.rates ?? []
            if found.isEmpty {
                found = try count(first..<first + size)
                try append(Line(settings: settings, first: first, traces: size, rates: found))
            }
            for rate in found {
                if let place = sums.firstIndex(where: { $0.subject == rate.subject }) {
                    sums[place].count += rate.count
                    sums[place].hits += rate.hits
                } else {
                    sums.append(rate)
                }
            }
        }
        progress(traces)
        return sums
    }

    private mutating func append(_ line: Line) throws {
        guard let name = line.rates.first?.scenario else { return }
        lines[name, default: []].append(line)
        guard let file else { return }
        var text = FileManager.default.fileExists(atPath: file.path) ? try Data(contentsOf: file) : Data()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        text += try encoder.encode(line) + Data("\n".utf8)
        try AtomicFileWriter.write(text, to: file)
    }
}
