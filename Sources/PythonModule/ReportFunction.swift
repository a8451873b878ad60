import CPython
import Foundation
import ReportGenerator
import RoutingMetrics
import Traces

/// `_moescope.report`.
enum ReportFunction {
    /// `report(trace, html, csv folder, title, compared trace, earlier traces, experiment's folder) -> advice or None`
    ///
    /// All but the trace and the list of earlier ones may be None. The advice says what is missing where the page shows its
    /// figures as tables.
    static func run(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 7...7)
        let trace = try types.trace.payload(of: try arguments[0]).trace
        func text(_ index: Int, _ name: String) throws(PythonError) -> String? {
            try FromPython.optional(try arguments[index]) { (object) throws(PythonError) in
                try FromPython.string(object, name)
            }
        }
        func opened(_ object: PythonObject) throws(PythonError) -> Trace { try types.trace.payload(of: object).trace }
        let html = try text(1, "html")
        let csv = try text(2, "csv").map { URL(fileURLWithPath: $0, isDirectory: true) }
        let title = try text(3, "title")
        let other = try FromPython.optional(try arguments[4], opened)
        let earlier = try FromPython.list(try arguments[5], "series", opened)
        let experiment = try text(6, "experiment").map { URL(fileURLWithPath: $0, isDirectory: true) }
        let hasFigures = try ReleasedInterpreter.runInterruptibly { cancellation in
            var settings = MetricSettings()
            (settings.adaptsBootstrap, settings.adaptsPermutations) = (true, true)
            var report = Report(
                trace: trace,
                metrics: try ReportMetrics(
                    trace, comparedWith: other, earlier: earlier, settings: settings,
                    isCancelled: { cancellation.isSet }), title: title)
            report.experiment = try experiment.map { try RecordedExperiment(folder: $0, beside: trace) }
            try cancellation.check()
            if let csv { try report.writeTables(to: csv) }
            try cancellation.check()
            return try html.map { try report.writePage(to: URL(fileURLWithPath: $0), tables: csv) } ?? true
        }
        return hasFigures ? ToPython.none() : try ToPython.string(VegaBundle.advice).release()
    }
}
