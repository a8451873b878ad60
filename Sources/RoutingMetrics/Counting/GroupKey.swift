/// Whose documents a row of a result is about: all of them together, or those of one group. A corpus may call a group "all"; the
/// pooled row is another value.
public enum GroupKey: Sendable, Hashable {
    /// All documents together.
    case pooled
    /// The documents of the group of this name.
    case group(String)

    public var isPooled: Bool { self == .pooled }

    /// The group's name; nil for all documents together.
    public var name: String? {
        if case .group(let name) = self { return name }
        return nil
    }

    /// What tables show in the column `group`. The column `pooled` beside it tells the pooled row from a group called "all".
    public var label: String { name ?? "all" }
}

/// A group's name, or null for all documents together.
extension GroupKey: Codable {
    public init(from decoder: any Decoder) throws {
        let value = try decoder.singleValueContainer()
        self = value.decodeNil() ? .pooled : .group(try value.decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        if let name { try value.encode(name) } else { try value.encodeNil() }
    }
}

extension MetricColumn {
    /// The columns of `GroupKey.cells`.
    static let groupOrPooled = [
        MetricColumn("group", .text, "group of documents; \"all\" in the pooled row"),
        MetricColumn("pooled", .integer, "1: all documents together; 0: the documents of one group"),
    ]
}

extension GroupKey {
    var cells: [MetricCell] { [.text(label), .integer(isPooled ? 1 : 0)] }
}
