import Traces

/// Which documents a page carries in full, so that a large corpus does not make a large page.
///
/// Whole sets of parallel documents come first, spread evenly over the corpus, then documents of groups that have no
/// parallel ones. What a page carries is a choice for reading; every number of the page is computed from all documents.
struct DocumentSample: Sendable, Equatable {
    /// Indices into the trace's documents, in order.
    let documents: [Int]
    /// A document longer than this is shown up to here.
    let tokensPerDocument: Int
    /// Whether documents that belong to a parallel set are there with the whole set.
    let hasWholeSets: Bool

    /// - Parameters:
    ///   - required: documents that are in whatever they cost, in full.
    ///   - budget: bytes for all documents of the sample, as `bytesPerToken` counts them.
    init(_ trace: Trace, required: [Int], budget: Int, bytesPerToken: Int, tokensPerDocument: Int = 700) {
        self.tokensPerDocument = required.reduce(tokensPerDocument) { max($0, trace.documents[$1].tokens) }
        let limit = self.tokensPerDocument
        var left = max(0, budget / max(1, bytesPerToken) - required.reduce(0) { $0 + trace.documents[$1].tokens })
        var chosen = Set(required)

        func cost(_ document: Int) -> Int {
            chosen.contains(document) ? 0 : min(trace.documents[document].tokens, limit)
        }
        func take(_ set: [Int]) -> Bool {
            let total = set.reduce(0) { $0 + cost($1) }
            guard total <= left else { return false }
            left -= total
            chosen.formUnion(set)
            return true
        }

        var parallel: [String: [Int]] = [:]
        var order: [String] = []
        var single: [String: [Int]] = [:]
        for document in trace.documents {
            if let set = document.parallelID {
                if parallel[set] == nil { order.append(set) }
                parallel[set, default: []].append(document.index)
            } else {
                single[document.group, default: []].append(document.index)
            }
        }
        let sets = order.compactMap { parallel[$0] }
        let lonely = single.sorted { $0.key < $1.key }.map(\.value)
        // One set and one document of every other group at a time, until nothing more fits.
        let evenSets = Self.evenly(sets.count).map { sets[$0] }
        let evenLonely = lonely.map { documents in Self.evenly(documents.count).map { documents[$0] } }
        let rounds = max(evenSets.count, evenLonely.map(\.count).max() ?? 0)
        for round in 0..<rounds {
            var took = false
            if round < evenSets.count, take(evenSets[round]) { took = true }
            for documents in evenLonely where round < documents.count {
                if take([documents[round]]) { took = true }
            }
            if !took && !chosen.isEmpty { break }
        }
        // Of a set that is too large, as many documents as fit.
        hasWholeSets = !chosen.isEmpty
        if chosen.isEmpty { for document in evenSets.first ?? [] { _ = take([document]) } }
        if chosen.isEmpty, !trace.documents.isEmpty { chosen.insert(0) }
        documents = chosen.sorted()
    }

    /// Exactly these documents.
    init(documents: [Int], tokensPerDocument: Int = 4096) {
        self.documents = Set(documents).sorted()
        self.tokensPerDocument = tokensPerDocument
        hasWholeSets = true
    }

    /// 0 ..< count so that every beginning of the list is spread over the whole: bit-reversed order.
    static func evenly(_ count: Int) -> [Int] {
        guard count > 0 else { return [] }
        var bits = 0
        while 1 << bits < count { bits += 1 }
        return (0..<(1 << bits)).map { value in
            var reversed = 0
            for bit in 0..<bits where value & (1 << bit) != 0 { reversed |= 1 << (bits - 1 - bit) }
            return reversed
        }.filter { $0 < count }
    }
}
