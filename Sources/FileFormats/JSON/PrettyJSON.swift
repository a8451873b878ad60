import Foundation

extension Encodable {
    /// As JSON for people and machines alike: a line for every member, members in order of their names.
    /// - Parameter keys: how members are named.
    package func prettyJSON(keys: JSONEncoder.KeyEncodingStrategy = .useDefaultKeys) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.keyEncodingStrategy = keys
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
