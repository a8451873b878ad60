import CPython
import Foundation
import ReportGenerator
import Traces

/// `_moescope.report`.
enum ReportFunction {
    /// `report(trace, html or None, csv folder or None, title or None) -> advice or None`
    ///
    /// The advice says what is missing where the page shows its figures as tables.
    static func run(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 4...4)
        let trace = try types.trace.payload(of: try arguments[0]).trace
        func text(_ index: Int, _ name: String) throws(PythonError) -> String? {
            try FromPython.optional(try arguments[index]) { (object) throws(PythonError) in
                try FromPython.string(object, name)
            }
        }
        let html = try text(1, "html")
        let csv = try text(2, "csv").map { URL(fileURLWithPath: $0, isDirectory: true) }
        let title = try text(3, "title")
        let hasFigures = try ReleasedInterpreter.run { _ in
            let report = Report(trace: trace, metrics: try ReportMetrics(trace), title: title)
            if let csv { try report.writeTables(to: csv) }
            return try html.map { try report.writePage(to: URL(fileURLWithPath: $0), tables: csv) } ?? true
        }
        return hasFigures ? ToPython.none() : try ToPython.string(VegaBundle.advice).release()
    }
}
