import FileFormats
import Foundation
import Traces

/// What the attention viewer shows: captured patterns, sparse, as base64 of bytes.
///
/// Per query row: a count, then so many times (key as two bytes, little-endian; weight in 255ths), by falling weight.
/// Weights below 1/255 and past the largest of a row are left out: 48 a row, fewer in long documents with many heads.
struct AttentionData: Sendable {
    let json: JSON
    /// Indices into the trace's documents.
    let documents: [Int]
    let headCount: Int
    /// The count in the document that has most.
    let capturedHeads: Int
    /// At most this many weights of a row are here.
    let entriesPerRow: Int

    static let mostEntries = 48
    /// A long document loses heads before a row loses more than this.
    static let fewestEntries = 8
    static let longestDocument = 2048

    /// - Parameter budget: bytes for all patterns together, base64 not counted. Documents come in order until it is spent; of
    ///   one that is too long alone, a row's largest weights, then heads spread evenly over those captured.
    /// - Returns: nil where the trace has no patterns.
    init?(_ trace: Trace, budget: Int) throws(FileError) {
        let captured = try trace.attentionPatterns()
        var entries: [JSON] = []
        var documents: [Int] = []
        var heads = 0
        var most = 0
        var longestRow = 0
        var spent = 0
        let byDocument = Dictionary(grouping: captured, by: \.document).sorted { $0.key < $1.key }
        for (document, members) in byDocument where trace.documents[document].tokens <= Self.longestDocument {
            let tokens = trace.documents[document].tokens
            let rowLimit = min(
                Self.mostEntries, max(Self.fewestEntries, (budget / max(1, members.count * tokens) - 1) / 3))
            var packed: [(place: Int, json: JSON)] = []
            var size = 0
            for place in DocumentSample.evenly(members.count) {
                let member = members[place]
                guard
                    let pattern = try trace.attentionPattern(
                        document: document, layer: member.layer, head: member.head)
                else { continue }
                let bytes = Self.sparse(pattern, tokens: tokens, entries: rowLimit)
                guard packed.isEmpty || size + bytes.count <= budget else { break }
                size += bytes.count
                packed.append(
                    (
                        place,
                        [
                            "layer": .int(member.layer), "head": .int(member.head),
                            "data": BrowserData.packed(bytes),
                        ]
                    ))
            }
            guard entries.isEmpty || spent + size <= budget else { continue }
            spent += size
            heads = max(heads, packed.count)
            most = max(most, members.count)
            longestRow = max(longestRow, rowLimit)
            documents.append(document)
            entries.append([
                "document": .int(document), "heads": .array(packed.sorted { $0.place < $1.place }.map(\.json)),
            ])
        }
        guard !entries.isEmpty else { return nil }
        json = ["documents": .array(entries)]
        self.documents = documents
        headCount = heads
        capturedHeads = most
        entriesPerRow = longestRow
    }

    private static func sparse(_ pattern: [Float], tokens t: Int, entries: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        var row: [(key: Int, weight: UInt8)] = []
        for query in 0..<t {
            row.removeAll(keepingCapacity: true)
            for key in 0...query {
                let weight = UInt8(min(255, max(0, (pattern[query * t + key] * 255).rounded())))
                if weight > 0 { row.append((key, weight)) }
            }
            row.sort { ($1.weight, $0.key) < ($0.weight, $1.key) }
            let kept = row.prefix(entries)
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
