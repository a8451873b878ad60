import Foundation
import Traces

/// What the attention viewer shows: captured patterns, sparse, as base64 of bytes.
///
/// Per query row: a count, then so many times (key as two bytes, little-endian; weight in 255ths), by falling weight.
/// Weights below 1/255 and past the largest 48 of a row are left out.
struct AttentionData: Sendable {
    let json: JSON
    /// Indices into the trace's documents.
    let documents: [Int]
    let headCount: Int

    static let entriesPerRow = 48
    static let longestDocument = 2048

    /// - Parameter budget: bytes for all patterns together, base64 not counted; documents come in order until it is spent.
    /// - Returns: nil where the trace has no patterns.
    init?(_ trace: Trace, budget: Int) throws(TraceError) {
        let captured = try trace.attentionPatterns()
        var entries: [JSON] = []
        var documents: [Int] = []
        var heads = 0
        var spent = 0
        let byDocument = Dictionary(grouping: captured, by: \.document).sorted { $0.key < $1.key }
        for (document, members) in byDocument where trace.documents[document].tokens <= Self.longestDocument {
            var packed: [JSON] = []
            var size = 0
            for member in members {
                guard
                    let pattern = try trace.attentionPattern(
                        document: document, layer: member.layer, head: member.head)
                else { continue }
                let bytes = Self.sparse(pattern, tokens: trace.documents[document].tokens)
                size += bytes.count
                packed.append([
                    "layer": .integer(member.layer), "head": .integer(member.head), "data": BrowserData.packed(bytes),
                ])
            }
            guard entries.isEmpty || spent + size <= budget else { continue }
            spent += size
            heads = max(heads, packed.count)
            documents.append(document)
            entries.append(["document": .integer(document), "heads": .array(packed)])
        }
        guard !entries.isEmpty else { return nil }
        json = ["documents": .array(entries)]
        self.documents = documents
        headCount = heads
    }

    private static func sparse(_ pattern: [Float], tokens t: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var row: [(key: Int, weight: UInt8)] = []
        for query in 0..<t {
            row.removeAll(keepingCapacity: true)
            for key in 0...query {
                let weight = UInt8(min(255, max(0, (pattern[query * t + key] * 255).rounded())))
                if weight > 0 { row.append((key, weight)) }
            }
            row.sort { ($1.weight, $0.key) < ($0.weight, $1.key) }
            let kept = row.prefix(entriesPerRow)
            bytes.append(UInt8(kept.count))
            for (key, weight) in kept {
                bytes.append(UInt8(truncatingIfNeeded: key))
                bytes.append(UInt8(truncatingIfNeeded: key >> 8))
                bytes.append(weight)
            }
        }
        return bytes
    }
}
