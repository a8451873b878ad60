import Foundation

/// Where the committed fixtures and the repository's root are, found from this file's own place.
public enum Fixtures {
    public static let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    public static let folder = repository.appending(path: "Tests/Fixtures")
    public static let polyglot = repository.appending(path: "Models/polyglot")
}
