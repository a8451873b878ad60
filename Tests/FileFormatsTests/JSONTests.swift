import FileFormats
import Testing

/// What is written, and that it reads back as it was.
@Suite struct JSONTests {
    private static let value: JSON = [
        "b": [1, -2.5, 1e300, true, .null, "x"], "a": ["inner": [], "empty": [:]],
        "text": "<script>&\u{2028}\"\\\n\u{1}é🙂",
    ]

    @Test func embeddedTextCannotEndAScript() {
        let text = Self.value.serialized(.embedded)
        // Members keep their order, and what would end a script element is an escape.
        #expect(
            text == #"{"b":[1,-2.5,1e+300,true,null,"x"],"a":{"inner":[],"empty":{}},"#
                + #""text":"\u003cscript\u003e\u0026\u2028\"\\\n\u0001é🙂"}"#)
    }

    @Test func prettyTextIsIndented() {
        let value: JSON = ["list": [1, 2], "objects": [["a": 1]], "none": []]
        #expect(
            value.serialized(.pretty) == """
                {
                  "list": [1,2],
                  "objects": [
                    {
                      "a": 1
                    }
                  ],
                  "none": []
                }
                """)
    }

    @Test(arguments: [JSON.Style.embedded, .pretty])
    func whatIsWrittenReadsBack(style: JSON.Style) throws {
        let text = Self.value.serialized(style)
        let read = try JSON.parse(Array(text.utf8))
        #expect(read.serialized(style) == text)
        #expect(read.object?["text"]?.string == "<script>&\u{2028}\"\\\n\u{1}é🙂")
        #expect(read.object?.keys == ["b", "a", "text"])
    }

    @Test(arguments: [
        (0.1, "0.1"), (3, "3"), (-0.5e-12, "-5e-13"), (.nan, "null"), (.infinity, "null"), (1e16, "1e+16"),
    ])
    func numbers(value: Double, text: String) {
        #expect(JSON.double(value).serialized(.embedded) == text)
    }

    /// Keys that Swift's strings call equal are two keys: "é" in one scalar and in two.
    @Test func membersAreMergedByTheBytesOfTheirKeys() {
        let one: JSON = ["a": 1, "\u{E9}": 2]
        let other: JSON = ["e\u{301}": 3, "a": 4]
        let merged = one.merging(other).object
        #expect(merged?.keys.count == 3)
        #expect(merged?["a"]?.int == 4 && merged?["\u{E9}"]?.int == 2 && merged?["e\u{301}"]?.int == 3)
        #expect(merged?.keys.first == "a")
    }

    @Test func stringsAreMappedAndKeysStay() {
        let value: JSON = ["@a": ["@a", ["x": "@a"]], "n": 1]
        let mapped = value.mappingStrings { $0 == "@a" ? 5 : .string($0) }
        #expect(mapped.serialized(.embedded) == #"{"@a":[5,{"x":5}],"n":1}"#)
    }
}
