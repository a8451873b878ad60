import FileFormats
import Foundation

/// The script that draws figures: Vega, Vega-Lite and vega-embed in one file, which the set-up takes out of PyPI's
/// `vl-convert-python`. Without it a report shows its numbers as tables.
public enum VegaBundle {
    public static let advice =
        "figures are shown as tables, because .cache/vega-bundle.js is missing: `Scripts/setup demo` in the checkout writes it, "
        + "or name a copy in MOESCOPE_VEGA_BUNDLE (made by `python -c 'import vl_convert; print(vl_convert.javascript_bundle())'`)"

    /// The places that are looked at, in this order.
    static func candidates(environment: [String: String] = ProcessInfo.processInfo.environment) -> [URL] {
        var places: [URL] = []
        if let named = environment["MOESCOPE_VEGA_BUNDLE"], !named.isEmpty { return [URL(filePath: named)] }
        // Beside an installed library; then in the checkout that the command was built in, even when it is called from elsewhere.
        places.append(ProgramFolder.url.appending(path: "vega-bundle.js"))
        places += checkouts.map { $0.appending(path: ".cache/vega-bundle.js") }
        if let home = environment["HOME"] {
            places.append(URL(filePath: home).appending(path: ".cache/moescope/vega-bundle.js"))
        }
        return places
    }

    /// Folders that may be the checkout: above the program, the working folder, and this source.
    static var checkouts: [URL] {
        ProgramFolder.withParentsAndWorkingFolder
            + ProgramFolder.parents(of: URL(filePath: #filePath).deletingLastPathComponent())
    }

    /// The script's text, or nil where no place has it or what it has could not stand inside a script element.
    public static func load() -> String? {
        for place in candidates() {
            guard let data = try? Data(contentsOf: place) else { continue }
            let text = String(decoding: data, as: UTF8.self)
            if !text.isEmpty, text.range(of: "</script", options: .caseInsensitive) == nil { return text }
        }
        return nil
    }
}
