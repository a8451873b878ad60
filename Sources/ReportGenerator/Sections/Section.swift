import FileFormats
import RoutingMetrics

/// One part of the page: what is seen in one sentence, its figures, and how it was measured.
struct Section: Sendable {
    let id: String
    let title: String
    let lead: String
    var paragraphs: [String] = []
    var control: LayerControl?
    var figures: [Figure] = []
    /// What figures cannot show.
    var body: Body?
    /// Names of tables that are printed by themselves, without a figure.
    var printed: [String] = []
    let method: String
    /// Names of the tables whose files are linked.
    var downloads: [String] = []
    /// Tables that only this section has; those of the metrics are there anyway.
    var tables: [MetricTable] = []

    /// A slider that sets the parameter `layer` of figures, and says which cards are shown.
    struct LayerControl: Sendable {
        var figures: [String]
        var layers: ClosedRange<Int>
        var value: Int
    }

    /// A part with a template of its own.
    struct Body: Sendable {
        /// Name of the file in Reports/Templates/, without ".mustache".
        var template: String
        /// What the template is filled with.
        var values: JSON = [:]
        /// Name of the file of its script.
        var script: String?
        /// A member of the page's data that the script works on.
        var data: (key: String, value: JSON)?
    }
}
