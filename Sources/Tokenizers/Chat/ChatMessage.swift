/// One turn of a conversation.
public struct ChatMessage: Codable, Sendable, Equatable {
    public enum Role: String, Codable, Sendable {
        case system
        case user
        case assistant
    }

    public var role: Role
    public var content: String
    /// The ids that a model answered with, where it did: kept as they are, since the text might be cut into others.
    public var tokens: [Int32]?

    public init(_ role: Role, _ content: String, tokens: [Int32]? = nil) {
        self.role = role
        self.content = content
        self.tokens = tokens
    }

    enum CodingKeys: String, CodingKey {
        case role, content
    }
}
