import Tracing
import Foundation
import Testing

/// What corpora are read from, and what is read of them.
@Suite struct CorpusTests {
    let folder: URL
    private let line = "{\"id\": \"a\", \"group\": \"de\", \"text\": \"Der Rauch steigt auf.\"}\n"

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "corpus-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    private func write(_ data: Data, _ name: String) throws -> String {
        let file = folder.appending(path: name)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try data.write(to: file)
        return file.path
    }

    private func read(_ text: String) throws(CorpusError) -> Corpus {
        guard let file = try? write(Data(text.utf8), "c.jsonl") else {
            throw CorpusError(file: "", reason: "unwritten")
        }
        return try Corpus.read(file)
    }

    private func complaint(_ text: String) -> String {
        do throws(CorpusError) {
            _ = try read(text)
            return ""
        } catch {
            return error.description
        }
    }

    /// A pipe gives what the file gives.
    @Test func aPipeIsRead() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let pipe = folder.appending(path: "pipe").path
        #expect(mkfifo(pipe, 0o600) == 0)
        let text = line
        let writer = Thread { try? FileHandle(forWritingAtPath: pipe)?.write(contentsOf: Data(text.utf8)) }
        writer.start()
        let corpus = try Corpus.read(pipe)
        #expect(
            corpus.documents == [.init(id: "a", group: "de", content: .text("Der Rauch steigt auf."))])
        #expect(corpus.sha256 == (try read(line)).sha256)
    }

    /// Made with Python's gzip.compress(…, mtime=0), a member for each line; the hash is hashlib's of the two lines.
    @Test func gzipIsRead() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let members = [
            "H4sIAAAAAAACA6tWykxRslJQSlTSUVBKL8ovLQDxUlJB3JLUihIQzyW1SCEosTQ5Q6G4JDUzvUQhsTRNT6mWCwDe8LglPAAAAA==",
            "H4sIAAAAAAACA6tWykxRslJQSlLSUVAqyc9OzSsGcqMNdRRMY2u5APg+t2QeAAAA",
        ]
        let data = members.compactMap { Data(base64Encoded: $0) }.reduce(Data(), +)
        let corpus = try Corpus.read(try write(data, "c.jsonl.gz"))
        #expect(corpus.documents.map(\.id) == ["a", "b"])
        #expect(corpus.documents.last?.content == .tokens([1, 5]))
        #expect(corpus.sha256 == "aeb3c99e1002a600543f153a903dc76df66515a0fea078d9a33be46233862c10")
        for damaged in [data.dropLast(12), data.prefix(40) + Data([0xFF, 0xFF]) + data.dropFirst(42)] {
            let file = try write(Data(damaged), "damaged.jsonl.gz")
            #expect {
                try Corpus.read(file)
            } throws: {
                "\($0)".hasPrefix("\(file): cannot be read: ")
            }
        }
    }

    /// As Python's os.walk(followlinks=True) sees the folder, without what begins with a dot.
    @Test func foldersWithoutWhatIsHidden() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in [
            "texts/de/a.txt": "Der Rauch steigt auf.", "texts/en/b.txt": "The smoke rises.",
            "texts/.ipynb_checkpoints/x-checkpoint.txt": "old", "texts/de/.ipynb_checkpoints/a.txt": "old",
            "texts/.git/description.txt": "unnamed", "texts/notes.md": "no text", "elsewhere/c.txt": "La fumée monte.",
        ] {
            _ = try write(Data(text.utf8), name)
        }
        // macOS writes such files beside others.
        _ = try write(Data([0, 5, 0x16, 7, 0xFF]), "texts/de/._a.txt")
        let manager = FileManager.default
        for (link, target) in [("texts/fr", "../elsewhere"), ("texts/en/around", "../../texts")] {
            try manager.createSymbolicLink(
                atPath: folder.appending(path: link).path, withDestinationPath: target)
        }
        let corpus = try Corpus.read(folder.appending(path: "texts").path)
        #expect(corpus.documents.map(\.id) == ["de/a.txt", "en/b.txt", "fr/c.txt"])
        #expect(corpus.documents.map(\.group) == ["de", "en", "fr"])
        #expect(corpus.remarks.count == 3, "\(corpus.remarks)")
        let said = corpus.remarks.joined(separator: "\n")
        for part in [
            "left out 4 hidden", ".git, .ipynb_checkpoints, de/._a.txt, …",
            "others (no .txt files, or links to nothing): notes.md",
            "links to a folder around them: en/around",
        ] {
            #expect(said.contains(part), "\(said)")
        }
    }

    /// Python's json.loads reads these lines: it writes NaN and halves of surrogate pairs itself.
    @Test func whatPythonWritesIsRead() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        #expect(try read("{\"id\": 7, \"tokens\": [1, 5], \"score\": NaN}\n").documents.first?.id == "7")
        #expect(try read("{\"tokens\": [1], \"group\": \"x\\ud83d\"}\n").documents.first?.group == "x\u{FFFD}")
        #expect(try read("\u{FEFF}{\"id\": null, \"tokens\": [1]}\r\n\r\n").documents.first?.id == "1")
    }

    /// Like parallel texts: an integer is its decimal form, null is nothing, and a folder names none.
    @Test func documentsSayTheirCluster() throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let lines = [
            "{\"text\": \"a\", \"parallel_id\": 5, \"cluster\": \"manual\"}", "{\"text\": \"b\", \"cluster\": 7}",
            "{\"text\": \"c\", \"cluster\": null}", "{\"text\": \"d\"}",
        ]
        let corpus = try read(lines.joined(separator: "\n"))
        #expect(corpus.documents.map(\.cluster) == ["manual", "7", nil, nil])
        #expect(corpus.documents.map(\.parallelID) == ["5", nil, nil, nil])
        _ = try write(Data("The smoke rises.".utf8), "texts/en/a.txt")
        #expect(try Corpus.read(folder.appending(path: "texts").path).documents.map(\.cluster) == [nil])
    }

    /// The first hash is hashlib's of "aen" + "p" + "The smoke rises.": traces begun before there were clusters go on.
    @Test func aClusterChangesTheHashOnlyWhereItIsGiven() {
        func hash(parallelID: String? = "p", cluster: String? = nil) -> String {
            let document = Corpus.Document(
                id: "a", group: "en", content: .text("The smoke rises."), parallelID: parallelID, cluster: cluster)
            return Corpus(source: "test", documents: [document]).sha256
        }
        #expect(hash() == "5b97c3ff41f82aac1e5ea5accc91a241adc871183aa3d26c9b87d0f1d4369d62")
        #expect(Set([hash(), hash(cluster: ""), hash(cluster: "p"), hash(parallelID: nil, cluster: "p")]).count == 4)
    }

    @Test func whatIsWrongIsNamed() {
        defer { try? FileManager.default.removeItem(at: folder) }
        for (text, parts) in [
            (
                "{\"tokens\": [1, 99999999999]}",
                ["line 1, field \"tokens\"", "integers from 0 to 2147483647, found 99999999999 at place 1"]
            ),
            ("{\"tokens\": [1, 2.5]}", ["found 2.5 at place 1"]), ("{\"tokens\": [true]}", ["found true at place 0"]),
            ("{\"tokens\": [-1]}", ["found -1 at place 0"]), ("{\"tokens\": \"12\"}", ["an array of token ids"]),
            ("{\"tokens\": [1], \"tokens\": [1, 5]}", ["line 1", "key \"tokens\" appears twice"]),
            ("{\"text\": 5}", ["field \"text\": expected a string, found 5"]),
            ("{\"text\": \"a\", \"id\": [1]}", ["field \"id\": expected a string or an integer, found an array of 1"]),
            (
                "{\"text\": \"a\"}\n{\"text\": \"b\", \"cluster\": 1.5}",
                ["c.jsonl, line 2, field \"cluster\": expected a string or an integer, found 1.5"]
            ),
            ("{\"text\": \"\u{1}\"}", ["line 1", "control character"]),
        ] {
            for part in parts { #expect(complaint(text).contains(part), "\(complaint(text))") }
        }
    }
}
