import FileFormats
import Crypto
import Foundation

extension Corpus {
    /// Reads a folder of texts: every `.txt` or `.txt.gz` file in it and its subfolders is a document, in the order of
    /// their names. A document's id is its path in the folder; its group is the first folder of that path, "" for files at the top.
    /// A folder names no clusters and no parallel texts.
    ///
    /// Links to files and folders are followed. What begins with a dot is left out, as are files of other kinds; `remarks`
    /// says so.
    static func readFolder(
        _ path: String, keeping: (Document) throws(CorpusError) -> Document
    ) throws(CorpusError) -> Corpus {
        let root = URL(filePath: path, directoryHint: .isDirectory)
        var listing = FolderListing()
        try listing.visit(root.path, name: "", ancestors: [])
        guard !listing.texts.isEmpty else {
            throw CorpusError(
                file: path, reason: (["the folder holds no .txt file"] + listing.remarks).joined(separator: "; "))
        }
        var hash = SHA256()
        var documents: [Document] = []
        for name in listing.texts.sorted() {
            let file = root.appending(path: name).path
            let data = try InputFile.contents(file)
            guard let text = String(data: data, encoding: .utf8) else {
                throw CorpusError(file: file, reason: "expected UTF-8 text")
            }
            hash.update(data: Data(name.utf8))
            hash.update(data: data)
            let folder = name.split(separator: "/").dropLast()
            let document = Document(id: name, group: folder.first.map(String.init) ?? "", content: .text(text))
            documents.append(try keeping(document))
        }
        var corpus = Corpus(source: root.lastPathComponent, sha256: hash.finalize().hex, documents: documents)
        corpus.remarks = listing.remarks.map { "\(path): \($0)" }
        return corpus
    }
}

/// The texts in a folder and its subfolders, and what is there beside them.
private struct FolderListing {
    /// Paths in the folder.
    private(set) var texts: [String] = []
    private var hidden: [String] = []
    private var others: [String] = []
    private var loops: [String] = []

    /// What a file is: two paths with one identity are the same folder.
    struct Identity: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    var remarks: [String] {
        func remark(_ names: [String], _ what: String) -> String? {
            guard !names.isEmpty else { return nil }
            let shown = names.sorted().prefix(3).joined(separator: ", ") + (names.count > 3 ? ", …" : "")
            return "left out \(names.count) \(what): \(shown)"
        }
        return [
            remark(hidden, "hidden (the name begins with a dot)"),
            remark(others, "others (no .txt files, or links to nothing)"),
            remark(loops, "links to a folder around them"),
        ].compactMap(\.self)
    }

    /// - Parameters:
    ///   - path: the folder's own path.
    ///   - name: its path in the corpus, "" or ending in "/".
    ///   - ancestors: the folder's identity is not among them.
    /// - Throws: a folder that cannot be read.
    mutating func visit(_ path: String, name: String, ancestors: Set<Identity>) throws(CorpusError) {
        var inside = ancestors
        if let status = Self.status(path) { inside.insert(Self.identity(status)) }
        guard let entries = try? FileManager.default.contentsOfDirectory(atPath: path) else {
            throw CorpusError(file: path, reason: "the folder cannot be read")
        }
        for entry in entries {
            let (file, entryName) = (path + "/" + entry, name + entry)
            guard !entry.hasPrefix(".") else {
                hidden.append(entryName)
                continue
            }
            guard let status = Self.status(file) else {
                others.append(entryName)
                continue
            }
            switch status.st_mode & S_IFMT {
            case S_IFDIR where inside.contains(Self.identity(status)): loops.append(entryName)
            case S_IFDIR: try visit(file, name: entryName + "/", ancestors: inside)
            case S_IFREG where entry.hasSuffix(".txt") || entry.hasSuffix(".txt.gz"): texts.append(entryName)
            default: others.append(entryName)
            }
        }
    }

    /// The identity of what a link leads to; nil where that is nothing.
    private static func status(_ path: String) -> stat? {
        var status = stat()
        return stat(path, &status) == 0 ? status : nil
    }

    private static func identity(_ status: stat) -> Identity {
        Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}
