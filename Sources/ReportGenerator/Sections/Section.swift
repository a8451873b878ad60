/// One part of the page: what is seen in one sentence, its figures, and how it was measured.
struct Section: Sendable {
    let id: String
    let title: String
    let lead: String
    var paragraphs: [String] = []
    var control: LayerControl?
    var figures: [Figure] = []
    /// Shown as it is, where a figure would say less than the numbers.
    var table: String?
    let method: String
    /// Names of the tables whose files are linked.
    var downloads: [String] = []
    var part: Part = .plain
    var cards: [ExpertCard] = []

    /// Parts with templates of their own.
    enum Part: Sendable {
        case plain, cards, browser, attention
    }

    /// A slider that sets the parameter `layer` of figures.
    struct LayerControl: Sendable {
        var figures: [String]
        var layers: ClosedRange<Int>
        var value: Int
    }
}
