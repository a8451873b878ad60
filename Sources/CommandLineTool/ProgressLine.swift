import Foundation
import ReportGenerator

/// Progress of a long command on standard error: one live line on a terminal, a plain line now and then elsewhere.
final class ProgressLine {
    private let label: String
    private let unit: String
    private let showsSpeed: Bool
    private let started = ContinuousClock.now
    private let isTerminal = isatty(STDERR_FILENO) != 0
    private var firstCount: Int?
    private var lastShown: ContinuousClock.Instant?
    private var width = 0

    /// - Parameter showsSpeed: false where one unit takes much longer than another, so that neither speed nor the time left can be told.
    init(_ label: String, unit: String, showsSpeed: Bool = true) {
        self.label = label
        self.unit = unit
        self.showsSpeed = showsSpeed
    }

    /// - Parameter detail: what else to show, such as "120/360 documents".
    func update(_ count: Int, of total: Int, detail: String = "") {
        let now = ContinuousClock.now
        if firstCount == nil { firstCount = count }
        let pause: Duration = isTerminal ? .milliseconds(100) : .seconds(10)
        if let lastShown, now - lastShown < pause, count < total { return }
        lastShown = now
        let seconds = Self.seconds(now - started)
        let done = count - (firstCount ?? 0)
        let speed = seconds > 0 ? Double(done) / seconds : 0
        let left = speed > 0 ? Double(total - count) / speed : nil
        let share = total > 0 ? Double(count) / Double(total) : 1
        let figures =
            "\(Prose.count(count))/\(Prose.count(total)) \(unit)"
            + (showsSpeed && done > 0 ? " · \(Prose.count(Int(speed))) \(unit)/s" : "")
            + (left.map { showsSpeed && count < total ? " · \(Self.clock($0)) left" : "" } ?? "")
            + (detail.isEmpty ? "" : " · \(detail)")
        if isTerminal {
            let filled = Int((share * 24).rounded(.down))
            let bar = String(repeating: "█", count: filled) + String(repeating: "░", count: 24 - filled)
            show("\(label) \(bar) \(Int(share * 100)) % · \(figures)")
        } else {
            say("\(label): \(Int(share * 100)) % · \(figures)")
        }
    }

    /// Ends the live line, so that what follows starts on a line of its own.
    func finish() {
        if isTerminal, width > 0 { say("") }
        width = 0
    }

    private func show(_ line: String) {
        let padding = String(repeating: " ", count: max(0, width - line.count))
        width = line.count
        sayOver(line + padding)
    }

    static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
    }

    static func clock(_ seconds: Double) -> String {
        let whole = Int(seconds.rounded(.up))
        return whole >= 3600
            ? "\(whole / 3600) h \(whole % 3600 / 60) min"
            : whole >= 60 ? "\(whole / 60) min \(whole % 60) s" : "\(whole) s"
    }
}

/// Binary units: "1.5 KiB", "20.0 MiB".
func byteText(_ bytes: Int) -> String { Inspection.bytes(bytes) }
