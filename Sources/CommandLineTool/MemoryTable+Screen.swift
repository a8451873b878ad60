import Foundation
import ReportGenerator

extension MemoryTable {
    /// The table for people.
    var screen: String {
        var lines = [
            "\(name): \(Inspection.count(parameters_total)) parameters, \(Inspection.count(parameters_active)) active "
                + "per token (\(experts_per_token) of \(experts) experts), \(layers) layers",
            "",
        ]
        lines += table
        lines.append("")
        lines += notes
        if let fits_bytes { lines += ["", verdict(fits_bytes)] }
        if types.contains(where: { !$0.published_files.isEmpty }) { lines += [""] + publishedFiles }
        return lines.joined(separator: "\n")
    }

    /// Numbers in one unit, so that columns compare.
    private var unit: (name: String, bytes: Double) {
        let largest = types.map(\.weight_bytes).max() ?? 0
        return largest >= 1 << 30 ? ("GiB", 0x1p30) : ("MiB", 0x1p20)
    }

    private func amount(_ bytes: Int) -> String {
        let value = Double(bytes) / unit.bytes
        return String(format: value < 100 ? "%.2f" : value < 1000 ? "%.1f" : "%.0f", value)
    }

    private static func padded(_ text: String, _ width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private var table: [String] {
        let contexts = types.first?.contexts.map(\.context) ?? []
        var lines: [String] = []
        let total = "total, \(unit.name), for a context of"
        lines.append("                  weights  read per  \(total)")
        lines.append(
            "  type     bits  \(Self.padded(unit.name, 7))     token"
                + contexts.map { Self.padded(Self.tokens($0), 8) }.joined())
        for row in types {
            let name = row.type + String(repeating: " ", count: max(0, 7 - row.type.count))
            let cells = row.contexts.map { cell in
                // What fits is marked after the number, so that the mark survives copying and needs no colour.
                Self.padded(amount(cell.total_bytes), 7) + (cell.fits == true ? "✓" : " ")
            }
            lines.append(
                "  \(name) \(Self.padded(String(format: "%.2f", row.bits_per_weight), 5))  "
                    + "\(Self.padded(amount(row.weight_bytes), 7))  "
                    + Self.padded(amount(row.weight_bytes_per_token), 8) + cells.joined())
        }
        return lines.map { line in
            var line = line
            while line.last == " " { line.removeLast() }
            return line
        }
    }

    private var notes: [String] {
        guard let first = types.first, let low = first.contexts.first, let high = first.contexts.last else { return [] }
        let texts = batch == 1 ? "" : " for each of \(batch) texts"
        let piece = min(rows_at_once, high.context)
        return [
            "cache    \(cache), \(Inspection.bytes(cache_bytes_per_token)) a token\(texts): "
                + "\(Inspection.bytes(low.cache_bytes)) at \(Self.tokens(low.context)), "
                + "\(Inspection.bytes(high.cache_bytes)) at \(Self.tokens(high.context)); "
                + "the next token reads all of it",
            "working  \(Inspection.bytes(high.working_bytes)) for \(Prose.count(piece)) tokens read at once "
                + "(--rows) with \(precision) precision on \(threads) threads;",
            "         a prompt or document is read in one piece, so a longer one takes its own length",
        ]
    }

    /// What fits, and what to do where nothing does.
    private func verdict(_ memory: Int) -> String {
        let limit = Inspection.bytes(memory)
        let fitting = types.filter { $0.contexts.contains { $0.fits == true } }
        let streaming = types.filter { $0.streaming_bytes <= memory }
        let advice: String
        if let best = streaming.first(where: { $0.type != "stored" }) {
            advice =
                "`moescope trace` with --memory \(Self.option(memory)) still runs it, up to \(best.type): it "
                + "reads the weights from disk once per wave of tokens"
        } else {
            advice =
                "Even read from disk once per wave it takes at least "
                + Inspection.bytes(types.map(\.streaming_bytes).min() ?? 0)
        }
        guard let best = fitting.first else { return "Nothing fits \(limit). \(advice)." }
        let contexts = best.contexts.filter { $0.fits == true }.map(\.context)
        let all = contexts.count == best.contexts.count
        let reach = all ? "" : ", with a context of up to \(Prose.count(contexts.last ?? 0)) tokens"
        return "✓ fits \(limit). The most precise that does: \(best.type)\(reach)."
    }

    /// Sizes of the files that people download, beside ours.
    private var publishedFiles: [String] {
        var sources: [String] = []
        for file in types.flatMap(\.published_files) where !sources.contains(file.source) {
            sources.append(file.source)
        }
        var lines = ["Published files, GB of 10⁹ bytes, beside these sizes:"]
        for row in types where !row.published_files.isEmpty {
            let found = sources.map { source in
                row.published_files.first { $0.source == source }.map { "\($0.gigabytes)" } ?? "–"
            }
            let ours = String(format: "%.2f", Double(row.weight_bytes) / 1e9)
            lines.append(
                "  \(row.type)" + String(repeating: " ", count: max(1, 9 - row.type.count)) + Self.padded(ours, 6)
                    + found.enumerated().map { Self.padded($0.element, 9) + " [\($0.offset + 1)]" }.joined())
        }
        for (index, source) in sources.enumerated() { lines.append("  [\(index + 1)] \(source)") }
        return lines
    }

    /// 24 GiB as an option is written: "24G".
    private static func option(_ bytes: Int) -> String {
        bytes % (1 << 30) == 0 ? "\(bytes >> 30)G" : "\(max(1, bytes >> 20))M"
    }

    /// 1024 → "1 K"
    static func tokens(_ count: Int) -> String {
        count % 1024 == 0 ? "\(count >> 10) K" : Prose.count(count)
    }
}
