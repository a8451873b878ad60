import Foundation
import FileFormats

extension Charts {
    /// What goes from one block of a column to one block of the next.
    struct Flow {
        var column: Int
        var block: Int
        var nextColumn: Int
        var nextBlock: Int
        var count: Int
    }

    /// Bands flowing from column to column, as wide as their share of the column they leave. A column's blocks stand one
    /// below the other, block 0 on top, each as tall as its share.
    /// - Parameters:
    ///   - blocks: how many a column has at most.
    ///   - least: the share below which a band is left out.
    static func flows(
        _ flows: [Flow], blocks: Int, least: Double, column: String, block: String, unit: String
    ) -> Chart {
        let diagram = FlowDiagram(flows)
        return Chart(
            Spec.wide(
                height: 340,
                [
                    "encoding": [
                        "x": [
                            "field": "x", "type": "quantitative", "title": .string(column),
                            "scale": ["nice": false, "padding": 14],
                            "axis": ["grid": false, "format": "d", "tickMinStep": 1],
                        ]
                    ],
                    "layer": [
                        [
                            "data": ["values": diagram.bands(least: least)],
                            "mark": ["type": "area", "opacity": 0.45, "line": false],
                            "encoding": [
                                "y": [
                                    "field": "high", "type": "quantitative", "axis": .null,
                                    "scale": ["domain": [0, 1.0]],
                                ],
                                "y2": ["field": "low"],
                                "detail": [
                                    ["field": "column", "type": "nominal"], ["field": "block", "type": "nominal"],
                                    ["field": "next", "type": "nominal"],
                                ],
                                "color": blockColour(blocks, title: block),
                                "tooltip": Spec.tooltip([
                                    ("column", "from \(column)", nil), ("block", block, nil),
                                    ("next", "to \(block)", nil),
                                    ("share", "of all \(unit)", ".1%"),
                                ]),
                            ],
                        ],
                        [
                            "data": ["values": diagram.blocks],
                            "mark": ["type": "bar", "width": 9, "opacity": 1, "stroke": "@paper", "strokeWidth": 1],
                            "encoding": [
                                "y": ["field": "high", "type": "quantitative"], "y2": ["field": "low"],
                                "color": blockColour(blocks, title: block),
                                "tooltip": Spec.tooltip([
                                    ("x", column, nil), ("block", block, nil), ("share", "of all \(unit)", ".1%"),
                                ]),
                            ],
                        ],
                    ],
                ]), layout: .init(margin: 24))
    }

    private static func blockColour(_ blocks: Int, title: String) -> JSON {
        [
            "field": "block", "type": "nominal",
            "scale": ["range": "@category", "domain": .array((0..<blocks).map { .int($0) })],
            "legend": blocks <= 16 ? ["title": .string(title), "columns": 8] : .null,
        ]
    }
}

/// Where the blocks and bands of a flow diagram lie, in a square of side 1.
private struct FlowDiagram {
    let flows: [Charts.Flow]
    /// Per column and block: its lower edge, and its share of the column.
    private let stacks: [Int: [Int: (low: Double, share: Double)]]

    private static let gap = 0.008

    init(_ flows: [Charts.Flow]) {
        self.flows = flows.sorted { ($0.column, $0.block, $0.nextBlock) < ($1.column, $1.block, $1.nextBlock) }
        var counts: [Int: [Int: Int]] = [:]
        let last = flows.map(\.nextColumn).max()
        for flow in flows {
            counts[flow.column, default: [:]][flow.block, default: 0] += flow.count
            if flow.nextColumn == last {
                counts[flow.nextColumn, default: [:]][flow.nextBlock, default: 0] += flow.count
            }
        }
        stacks = counts.mapValues { column in
            let total = Double(max(1, column.values.reduce(0, +)))
            let room = Self.room(column.count)
            var top = 1.0
            var result: [Int: (low: Double, share: Double)] = [:]
            for (block, count) in column.sorted(by: { $0.key < $1.key }) {
                let height = Double(count) / total * room
                result[block] = (top - height, Double(count) / total)
                top -= height + Self.gap
            }
            return result
        }
    }

    /// The height that so many blocks share.
    private static func room(_ blocks: Int) -> Double { 1 - gap * Double(max(0, blocks - 1)) }

    var blocks: JSON {
        .array(
            stacks.sorted { $0.key < $1.key }.flatMap { column, blocks in
                blocks.sorted { $0.key < $1.key }.map { block, place -> JSON in
                    let high = place.low + place.share * Self.room(blocks.count)
                    return [
                        "x": .int(column), "block": .int(block), "low": .double(place.low.rounded(significant: 5)),
                        "high": .double(high.rounded(significant: 5)),
                        "share": .double(place.share.rounded(significant: 4)),
                    ]
                }
            })
    }

    /// Bands as areas sampled along a smooth step, so that Vega-Lite can draw them.
    func bands(least: Double) -> JSON {
        var used: [[Int]: Double] = [:]
        var values: [JSON] = []
        let totals = Dictionary(grouping: flows, by: \.column).mapValues { $0.reduce(0) { $0 + $1.count } }
        for flow in flows {
            guard let from = stacks[flow.column], let to = stacks[flow.nextColumn], let start = from[flow.block],
                let end = to[flow.nextBlock]
            else { continue }
            let share = Double(flow.count) / Double(max(1, totals[flow.column] ?? 1))
            let (fromRoom, toRoom) = (Self.room(from.count), Self.room(to.count))
            let out = used[[flow.column, flow.block, 0], default: 0]
            let into = used[[flow.nextColumn, flow.nextBlock, 1], default: 0]
            used[[flow.column, flow.block, 0]] = out + share * fromRoom
            used[[flow.nextColumn, flow.nextBlock, 1]] = into + share * toRoom
            guard share >= least else { continue }
            let startHigh = start.low + start.share * fromRoom - out
            let endHigh = end.low + end.share * toRoom - into
            for step in 0...8 {
                let t = Double(step) / 8
                let ease = t * t * (3 - 2 * t)
                let high = startHigh + (endHigh - startHigh) * ease
                let height = share * (fromRoom + (toRoom - fromRoom) * ease)
                let x = Double(flow.column) + Double(flow.nextColumn - flow.column) * t
                values.append([
                    "x": .double(x.rounded(significant: 5)), "high": .double(high.rounded(significant: 5)),
                    "low": .double((high - height).rounded(significant: 5)), "column": .int(flow.column),
                    "block": .int(flow.block), "next": .int(flow.nextBlock),
                    "share": .double(share.rounded(significant: 4)),
                ])
            }
        }
        return .array(values)
    }
}
