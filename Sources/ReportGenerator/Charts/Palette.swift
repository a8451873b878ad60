import FileFormats

/// Colours that stay apart for colour-blind readers, in a light and a dark version. A figure names them as "@ink";
/// the page puts in those of the reader's mode, an exported figure those of paper.
struct Palette: Sendable {
    let colours: JSON

    static let light = Palette(colours: [
        "paper": "#fdfcf9", "ink": "#1f1d1a", "muted": "#5d5850", "rule": "#ddd7ca",
        "accent": "#1b5e8c", "null": "#b9b2a5",
        "sequential": ["#f3f0e9", "#cfdee6", "#93bcd6", "#4a8db8", "#0c4a75"],
        "diverging": ["#8a4b08", "#d9a562", "#f1ece2", "#74abcf", "#0c4a75"],
        // Okabe and Ito's set, darkened where it would vanish on paper
        "category": [
            "#0072b2", "#d55e00", "#00855f", "#b5569b", "#a87b00", "#3d9bd4", "#5d5850", "#8c2d19", "#4b4fa8",
            "#6d8b00",
        ],
    ])

    static let dark = Palette(colours: [
        "paper": "#15171a", "ink": "#e9e5dc", "muted": "#a9a49a", "rule": "#363b42",
        "accent": "#85bdea", "null": "#5f6670",
        "sequential": ["#1d2126", "#1f435d", "#2b6d99", "#5aa6d6", "#c8e6fb"],
        "diverging": ["#f2b76c", "#94601f", "#272a2e", "#31719f", "#b4ddf8"],
        "category": [
            "#5ab0ea", "#ff9149", "#3fc79d", "#e39bcd", "#dcb03c", "#9ad4f7", "#b4aea4", "#e67f68", "#a3a6f0",
            "#b3cf4b",
        ],
    ])

    /// How every figure looks, whatever it shows.
    static let configuration: JSON = [
        "background": "transparent",
        "font":
            "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'Liberation Sans', 'DejaVu Sans', sans-serif",
        "view": ["stroke": "transparent"],
        "axis": [
            "labelColor": "@muted", "titleColor": "@muted", "domainColor": "@rule", "tickColor": "@rule",
            "gridColor": "@rule",
            "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": "normal", "titlePadding": 8,
            "gridOpacity": 0.6,
            "labelLimit": 120, "labelOverlap": true, "labelSeparation": 5,
        ],
        "header": [
            "labelColor": "@ink", "titleColor": "@muted", "labelFontSize": 12, "labelFontWeight": 600,
            "labelPadding": 6,
        ],
        "legend": [
            "labelColor": "@muted", "titleColor": "@muted", "labelFontSize": 11, "titleFontSize": 11,
            "titleFontWeight": "normal", "orient": "top", "titleLimit": 700, "labelLimit": 180,
            "columns": "@legendColumns",
        ],
        "title": ["color": "@ink", "subtitleColor": "@muted", "fontSize": 12, "anchor": "start"],
        "text": ["color": "@ink"],
        "range": ["category": "@category", "heatmap": "@sequential", "ramp": "@sequential", "diverging": "@diverging"],
    ]
}
