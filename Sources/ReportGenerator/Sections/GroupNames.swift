/// What groups are called in prose. A trace's groups are any names; where they are language codes, the reader gets the
/// language's name, and the text of documents its `lang`.
struct GroupNames: Sendable {
    let groups: [String]

    private static let languages: [String: String] = [
        "ar": "Arabic", "bn": "Bengali", "ca": "Catalan", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek",
        "en": "English", "es": "Spanish", "et": "Estonian", "fa": "Persian", "fi": "Finnish", "fr": "French",
        "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
        "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "nl": "Dutch", "no": "Norwegian", "pl": "Polish",
        "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sk": "Slovak", "sl": "Slovene", "sv": "Swedish",
        "sw": "Swahili", "ta": "Tamil", "th": "Thai", "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu",
        "vi": "Vietnamese", "zh": "Chinese",
    ]

    /// "German" for "de", the name itself for anything else.
    func prose(_ group: String) -> String { Self.languages[group] ?? group }

    /// All of them as prose, languages first.
    var spoken: [String] {
        let sorted = groups.sorted {
            (language($0) == nil ? 1 : 0, prose($0)) < (language($1) == nil ? 1 : 0, prose($1))
        }
        return sorted.map(prose)
    }

    /// BCP 47 tag of a group that is a language, nil for any other.
    func language(_ group: String) -> String? {
        if Self.languages[group] != nil { return group }
        return Self.languages.first { $0.value.lowercased() == group.lowercased() }?.key
    }

    /// "language" where most groups are, otherwise "group".
    var noun: String { 2 * groups.count { language($0) != nil } > groups.count ? "language" : "group" }
}
