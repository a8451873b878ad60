import ArgumentParser
import Calibration
import FileFormats
import RoutingMetrics

struct CalibrateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "calibrate",
        abstract: "Count in simulation how often sentences are false, what they find, and what intervals hold.",
        discussion: """
            Draws traces in which groups do not differ, judges every sentence that a report could print of them, and counts. With --power
            it plants effects of several sizes, and says from which on a sentence is printed in four of five traces. With --coverage it
            counts how often intervals hold the truth.

            Examples:
              moescope calibrate --traces 100 --scenario iid
              moescope calibrate --traces 500 --output nulls.jsonl
              moescope calibrate --power --traces 200 --output power.jsonl
              moescope calibrate --coverage --scenario "5 documents"

            With --output a run that was stopped goes on where it was.
            """)

    @Option(help: .init("Traces of each scenario.", valueName: "n"))
    var traces = 500

    @Option(help: .init("Only this scenario; may be given several times. --list names them.", valueName: "name"))
    var scenario: [String] = []

    @Flag(help: "Name the scenarios and end.")
    var list = false

    @Flag(help: "Plant effects, and count how often they are found.")
    var power = false

    @Flag(help: "Count how often intervals hold the truth.")
    var coverage = false

    @Option(help: .init("Permutations of group labels.", valueName: "n"))
    var permutations = 199

    @Option(help: .init("Bootstrap replicates.", valueName: "n"))
    var bootstrap = 199

    @Option(
        help: .init("JSON Lines file that keeps counts, and that a stopped run is continued from.", valueName: "file"))
    var output: String?

    @Flag(help: "Print JSON.")
    var json = false

    /// What is counted in the traces of one scenario.
    private struct Study {
        let name: String
        let about: String
        /// Counts of the traces with these numbers.
        let rates: (Range<Int>) throws -> [Rate]
    }

    func validate() throws {
        guard traces > 0 else { throw ValidationError("--traces: expected 1 or more, found \(traces)") }
        guard permutations >= 19 else {
            throw ValidationError("--permutations: expected 19 or more, found \(permutations)")
        }
        guard !(power && coverage) else { throw ValidationError("--power and --coverage: give one of them") }
    }

    func run() throws {
        let studies = studies
        guard !list else {
            for study in studies { try print("\(study.name): \(study.about)") }
            return
        }
        for name in scenario where !studies.contains(where: { $0.name == name }) {
            throw ValidationError("no scenario \"\(name)\"; there are \(studies.map(\.name).joined(separator: ", "))")
        }
        let wanted = studies.filter { scenario.isEmpty || scenario.contains($0.name) }
        var kept = try KeptRates(output, .init(permutations: permutations, bootstrap: bootstrap))
        let progress = ProgressLine("calibrating", unit: "traces")
        var rates: [Rate] = []
        for (place, study) in wanted.enumerated() {
            rates += try kept.rates(study.name, traces: traces, count: study.rates) { done in
                progress.update(place * traces + done, of: wanted.count * traces, detail: study.name)
            }
        }
        progress.finish()
        let result = CalibrationResult(
            rates: rates, effects: power ? DetectableEffect.all(Scenario.powerStudies, rates) : [])
        if json {
            try print(result.prettyJSON())
        } else if coverage {
            try print(CalibrationTables.coverage(rates, columns: wanted.map(\.name)))
        } else {
            if power { try print(CalibrationTables.markdown(result.effects) + "\n") }
            try print(CalibrationTables.markdown(rates, name: power ? "planted" : "scenario"))
        }
    }

    private var studies: [Study] {
        if coverage {
            return KnownProcess.all.map { process in
                // The truth is drawn when the first traces are.
                var known: Coverage?
                return Study(name: process.name, about: process.about) { traces in
                    let coverage = try known ?? Coverage(process, bootstrap: bootstrap, permutations: permutations)
                    known = coverage
                    return try coverage.rates(traces: traces)
                }
            }
        }
        return (power ? Scenario.powerStudies : Scenario.nulls).map { scenario in
            let sentences = Sentence.allCases.filter { power ? scenario.isFound(by: $0) : scenario.isFalse($0) }
            let calibration = Calibration(permutations: permutations, bootstrap: bootstrap, sentences: sentences)
            return Study(name: scenario.name, about: scenario.about) {
                try calibration.rates(scenario, traces: $0).filter { $0.count > 0 }
            }
        }
    }
}
