/// Tokens of one or more documents packed one after the other, without padding.
public struct TokenBatch: Sendable, Equatable {
    /// T token ids, documents in order.
    public private(set) var tokens: [Int32]
    /// Row range of each document; the ranges follow one another and cover all rows.
    public let documents: [Range<Int>]
    /// The group of each document (its language), where interventions ask for one; empty otherwise.
    public let groups: [String]
    /// Number of the first document in its corpus, so that seeded interventions do not depend on how a corpus is batched.
    public let firstDocument: Int

    /// - Parameter documents: the tokens of each document, at least one token each.
    public init(_ documents: [[Int32]], groups: [String] = [], firstDocument: Int = 0) {
        precondition(documents.allSatisfy { !$0.isEmpty }, "a document has at least one token")
        precondition(groups.isEmpty || groups.count == documents.count)
        var ranges: [Range<Int>] = []
        ranges.reserveCapacity(documents.count)
        var start = 0
        for document in documents {
            ranges.append(start..<start + document.count)
            start += document.count
        }
        tokens = documents.flatMap { $0 }
        self.documents = ranges
        self.groups = groups
        self.firstDocument = firstDocument
    }

    public var rowCount: Int { tokens.count }

    /// Another token in a batch of one.
    mutating func replaceOnly(with token: Int32) { tokens[0] = token }
}
