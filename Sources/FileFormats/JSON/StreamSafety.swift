/// Swift compares and hashes strings by their canonical form (Unicode, annex 15), for which the combining marks that follow a
/// character are put in order: that takes time that grows with the square of their number. Names from files are therefore held to
/// what the annex calls stream-safe text, with more room: it allows 30 marks, longest names of files can hold 127.
package enum StreamSafety {
    package static let mostMarks = 128
    package static let problem = "more than \(mostMarks) combining marks follow one character"

    /// - Cost: that of counting bytes for nearly every text.
    package static func isSafe(_ text: String) -> Bool {
        // Marks have two bytes or more.
        guard text.utf8.count > 2 * mostMarks else { return true }
        var marks = 0
        for scalar in text.unicodeScalars {
            // The first mark is U+0300.
            if scalar.value >= 0x300, scalar.properties.canonicalCombiningClass != .notReordered {
                marks += 1
                if marks > mostMarks { return false }
            } else {
                marks = 0
            }
        }
        return true
    }
}
