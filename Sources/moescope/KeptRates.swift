import ArgumentParser
import Calibration
import Foundation
import RoutingMetrics

/// Counts of a simulation, kept in a JSON Lines file from which a stopped run goes on.
struct KeptRates {
    /// One line of the file: counts of some traces of a scenario.
    private struct Line: Codable {
        /// Number of the first trace.
        var first: Int
        var traces: Int
        var rates: [Rate]
    }

    /// Traces whose counts are written together.
    private static let block = 50

    private let file: URL?
    private var lines: [String: [Line]] = [:]

    /// - Throws: where the file has something else.
    init(_ file: URL?) throws {
        self.file = file
        guard let file, let data = try? Data(contentsOf: file) else { return }
        for (place, text) in data.split(separator: UInt8(ascii: "\n")).enumerated() {
            guard let line = try? JSONDecoder().decode(Line.self, from: text), let name = line.rates.first?.scenario
            else {
                throw ValidationError(
                    "\(file.path), line \(place + 1): expected counts of an earlier run; give --output another file")
            }
            lines[name, default: []].append(line)
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
                try append(Line(first: first, traces: size, rates: found))
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
        var text = (try? Data(contentsOf: file)) ?? Data()
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        text += try encoder.encode(line) + Data("\n".utf8)
        try text.write(to: file, options: .atomic)
    }
}
