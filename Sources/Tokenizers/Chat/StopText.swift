/// Ends a text before the first of some texts in it, wherever tokens begin and end.
///
/// What may be the start of a stop text is held back until it is known to be none.
public struct StopText: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []

    /// - Parameter stops: none of them empty.
    public init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// Takes more of the text; gives what is certain to come before any stop text, and whether one has come.
    public mutating func feed(_ bytes: [UInt8]) -> (bytes: [UInt8], isStopped: Bool) {
        guard !stops.isEmpty else { return (bytes, false) }
        held += bytes
        for place in held.indices where stops.contains(where: { held[place...].starts(with: $0) }) {
            defer { held = [] }
            return (Array(held[..<place]), true)
        }
        let pending = held.indices.first { place in
            stops.contains { $0.count > held.count - place && $0.starts(with: held[place...]) }
        }
        let certain = Array(held[..<(pending ?? held.endIndex)])
        held.removeFirst(certain.count)
        return (certain, false)
    }

    /// What is still held back, at the end of the text.
    public mutating func finish() -> [UInt8] {
        defer { held = [] }
        return held
    }
}
