import Foundation
import FileFormats

/// A report's figures as SVG and PNG for papers, drawn by PyPI's vl-convert-python out of the same specifications as the page's.
public struct FigureFiles {
    let report: Report
    /// Width in pixels a figure may take.
    static let room = 680

    public init(_ report: Report) { self.report = report }

    /// Writes NAME.vl.json, NAME.svg and NAME.png of every figure.
    /// - Returns: the names.
    public func write(to folder: URL) throws -> [String] {
        try Report.makeFolder(folder)
        let page = try report.page(csvFolder: nil)
        var names: [String] = []
        for figure in page.sections.flatMap(\.figures) {
            let name = figure.id.replacing("figure-", with: "")
            try Report.write(
                Data((specification(of: figure, in: page).serialized(.pretty) + "\n").utf8),
                to: folder.appending(path: name + ".vl.json"))
            names.append(name)
        }
        try draw(names, in: folder)
        return names
    }

    /// The page's specification with data, colours and sizes filled in for paper.
    private func specification(of figure: Figure, in page: Page) -> JSON {
        let layout = figure.chart.layout
        let columns = max(1, min(layout.columns, Self.room / max(1, layout.cell)))
        let sizes: [String: JSON] = [
            "columns": .int(columns), "cellWidth": .int(Self.room / columns - layout.margin),
            "room": .int(Self.room - layout.margin), "legendColumns": 6,
            "gap": .double(min(1.5, Double(Self.room - layout.margin) / Double(8 * columnsOfCells(figure, in: page)))),
        ]
        let fill: (String) -> JSON = { text in
            guard text.hasPrefix("@") else { return .string(text) }
            let name = String(text.dropFirst())
            return sizes[name] ?? Palette.light.colours.object?[name] ?? .string(text)
        }
        let data = JSONObject(
            figure.chart.tables.compactMap { name in page.tables[name].map { (name, $0.records()) } })
        return figure.chart.spec.mappingStrings(fill).merging([
            "config": Palette.configuration.mappingStrings(fill).merging(["background": "#ffffff"]),
            "datasets": .object(data),
        ])
    }

    /// How many values the horizontal axis has, where it is a column of the table; else 1.
    private func columnsOfCells(_ figure: Figure, in page: Page) -> Int {
        let x = figure.chart.spec.object?["encoding"]?.object?["x"]?.object
        guard let name = figure.chart.tables.first, let table = page.tables[name], let field = x?["field"]?.string,
            let column = table.columns.firstIndex(where: { $0.name == field })
        else { return 1 }
        return max(1, Set(table.rows.map { "\($0[column])" }).count)
    }

    private static let script = """
        import pathlib, sys
        import vl_convert
        folder = pathlib.Path(sys.argv[1])
        for name in sys.argv[2:]:
            spec = (folder / f"{name}.vl.json").read_text(encoding="utf-8")
            (folder / f"{name}.svg").write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
            (folder / f"{name}.png").write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
        """

    private func draw(_ names: [String], in folder: URL) throws(ReportError) {
        let process = Process()
        let errors = Pipe()
        guard let python = Self.python() else { throw .figuresNeedPython(reason: "no python3 was found") }
        process.executableURL = python
        process.arguments = ["-c", Self.script, folder.path] + names
        process.standardError = errors
        do {
            try process.run()
        } catch {
            throw .figuresNeedPython(reason: "\(python.path): \(error.localizedDescription)")
        }
        let said = errors.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let last = String(decoding: said, as: UTF8.self).split(separator: "\n").last ?? "no reason given"
            throw .figuresNeedPython(reason: "\(python.path): \(last)")
        }
    }

    /// An active virtual environment's interpreter, else the checkout's, else the first in PATH.
    private static func python() -> URL? {
        let environment = ProcessInfo.processInfo.environment
        var candidates: [URL] = []
        if let active = environment["VIRTUAL_ENV"] {
            candidates.append(URL(filePath: active).appending(path: "bin/python"))
        }
        candidates += VegaBundle.checkouts.map { $0.appending(path: ".venv/bin/python") }
        for folder in (environment["PATH"] ?? "").split(separator: ":") {
            candidates.append(URL(filePath: String(folder)).appending(path: "python3"))
        }
        return candidates.first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }
}
