import FileFormats

/// The metadata of one architecture (`llama.block_count`, …), with getters that say which file and key is wrong.
struct GGUFFields {
    let path: String
    let architecture: String
    let metadata: [String: GGUFValue]

    func key(_ field: String) -> String { "\(architecture).\(field)" }

    subscript(field: String) -> GGUFValue? { metadata[key(field)] }

    func missing(_ field: String) -> FileError {
        FileError(
            .missing, file: path, field: "metadata \(key(field))", expected: "a value", found: "nothing",
            hint: "the model cannot be built without it")
    }

    func wrong(_ field: String, expected: String) -> FileError {
        FileError(
            .mismatch, file: path, field: "metadata \(key(field))", expected: expected,
            found: self[field]?.kindDescription ?? "nothing")
    }

    /// A size, or an array of the same size for every layer.
    func optionalSize(_ field: String) throws(FileError) -> Int? {
        guard let value = self[field] else { return nil }
        var size = value.int
        if let list = value.integers, let first = list.first {
            guard list.allSatisfy({ $0 == first }) else {
                throw FileError(
                    .unsupported, file: path, field: "metadata \(key(field))", expected: "one value for all layers",
                    found: value.kindDescription)
            }
            size = Int(first)
        }
        guard let size, size >= 1, size <= 1 << 31 else {
            throw wrong(field, expected: "a whole number from 1 to 2³¹")
        }
        return size
    }

    func size(_ field: String) throws(FileError) -> Int {
        guard let size = try optionalSize(field) else { throw missing(field) }
        return size
    }

    func optionalNumber(_ field: String) throws(FileError) -> Float? {
        guard let value = self[field] else { return nil }
        guard let number = value.double, number.isFinite else { throw wrong(field, expected: "a number") }
        return Float(number)
    }

    func flag(_ field: String, default fallback: Bool) throws(FileError) -> Bool {
        guard let value = self[field] else { return fallback }
        guard let flag = value.bool else { throw wrong(field, expected: "true or false") }
        return flag
    }

    /// A token id of the vocabulary, `tokenizer.ggml.…`.
    func token(_ name: String, vocabularySize: Int) throws(FileError) -> Int32? {
        guard let value = metadata["tokenizer.ggml.\(name)"] else { return nil }
        guard let id = value.int, 0..<vocabularySize ~= id else {
            throw FileError(
                .mismatch, file: path, field: "metadata tokenizer.ggml.\(name)",
                expected: "a token id below \(vocabularySize)", found: value.kindDescription)
        }
        return Int32(id)
    }
}
