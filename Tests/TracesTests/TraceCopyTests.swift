import FileFormats
import Foundation
import Testing
import Traces

/// Traces made of documents of others: joined, cut, chosen from.
@Suite struct TraceCopyTests {
    /// The run of `SmallRun`, whole, on disk.
    private func whole(in folder: URL, _ run: SmallRun = SmallRun()) throws -> Trace {
        let url = folder.appending(path: "whole-\(UUID().uuidString)")
        let writer = try TraceWriter(creating: url, manifest: run.manifest)
        for number in 0..<3 { try writer.append(run.shard(number)) }
        try writer.finish()
        return try Trace(folder: url)
    }

    /// Every stored value of every column, document by document.
    private func values(_ trace: Trace) throws -> [String: [[UInt8]]] {
        var found: [String: [[UInt8]]] = [:]
        for document in trace.documents {
            let shard = try trace.shard(document.shard)
            for column in trace.layout.columns where column.name != "document" {
                let blocks = column.blocks(trace.layout)
                let size = blocks.width * column.dtype(trace.layout).blockBytes
                let bytes = try #require(shard.allBytes(column))
                var own: [UInt8] = []
                for block in 0..<blocks.count {
                    let first = block * shard.rowCount + document.firstRow
                    own += bytes[first * size..<(first + document.tokens) * size]
                }
                found[column.name, default: []].append(own)
            }
        }
        return found
    }

    private func withoutPlaces(_ documents: [TraceDocument]) -> [TraceDocument] {
        documents.map {
            var document = $0
            (document.shard, document.firstRow) = (0, 0)
            return document
        }
    }

    @Test(arguments: [TraceManifest.Capture.LogitFormat.f32, .f16, nil], [4, 300])
    func partsJoinedAreTheWhole(logits: TraceManifest.Capture.LogitFormat?, experts: Int) throws {
        try withTemporaryFolder { folder in
            var trace = try whole(in: folder, SmallRun(logits: logits, experts: experts))
            // A corpus of token ids that the manifest knows the hash of.
            trace = try copied(TraceCopy.subset(trace, documents: Array(0..<6)), folder)
            var parts: [Trace] = []
            for range in Waves.parts(trace.documents.map(\.tokens), 3) {
                parts.append(try copied(TraceCopy.subset(trace, documents: Array(range)), folder))
            }
            #expect(parts.map(\.documents.count).reduce(0, +) == 6 && parts.count == 3)
            let joined = try copied(TraceCopy.merge(parts), folder)
            #expect(try values(joined) == values(trace))
            #expect(withoutPlaces(joined.documents) == withoutPlaces(trace.documents))
            #expect(joined.manifest.corpus == trace.manifest.corpus)
            #expect(joined.manifest.model == trace.manifest.model && joined.manifest.capture == trace.manifest.capture)
            #expect(joined.manifest.provenance?.kind == .merged && joined.manifest.provenance?.sources.count == 3)
            for pair in try trace.attentionPatterns() {
                #expect(
                    try joined.attentionPattern(document: pair.document, layer: pair.layer, head: pair.head)
                        == trace.attentionPattern(document: pair.document, layer: pair.layer, head: pair.head))
            }
        }
    }

    /// Writes a copy and verifies it.
    private func copied(_ copy: TraceCopy, _ folder: URL) throws -> Trace {
        let url = folder.appending(path: "copy-\(UUID().uuidString)")
        try copy.write(to: url)
        #expect(try Trace.verify(url) == [])
        return try Trace(folder: url)
    }

    @Test func aSubsetHasItsDocumentsAlone() throws {
        try withTemporaryFolder { folder in
            let trace = try whole(in: folder)
            let chosen = try copied(TraceCopy.subset(trace, documents: [1, 4]), folder)
            #expect(chosen.documents.map(\.id) == ["d1", "d4"] && chosen.documents.map(\.index) == [0, 1])
            #expect(chosen.manifest.corpus.groups == ["even": 1, "odd": 1] && chosen.manifest.corpus.tokens == 7)
            let all = try values(trace)
            #expect(try values(chosen) == all.mapValues { [$0[1], $0[4]] })
            #expect(chosen.manifest.provenance?.sources[0].sha256 == trace.manifest.manifestSHA256)
            #expect(throws: FileError.self) { try TraceCopy.subset(trace, documents: []) }
        }
    }

    /// Each in its own words: the field, both values, and the trace that the first is of.
    @Test(arguments: [
        ("model.sha256", "a, as in", "other"), ("model.experts", "4, as in", "5"),
        ("tokenizer", "sha256: \"b\"", "\"t\""),
        ("capture.layers", "[0, 2], as in", "[0, 1]"), ("compute.precision", "exact, as in", "fast"),
        ("capture.router_logits", "f32, as in", "nothing"), ("model.config.k", "nothing, as in", "v"),
    ])
    func aDifferenceIsNamedByField(field: String, expected: String, found: String) throws {
        try withTemporaryFolder { folder in
            let first = try whole(in: folder)
            var run = SmallRun()
            switch field {
            case "model.sha256": run.manifest.model.sha256 = "other"
            case "model.experts": run.manifest.model.experts = 5
            case "tokenizer": run.manifest.tokenizer.sha256 = "t"
            case "capture.layers": run.manifest.capture.layers = [0, 1]
            case "compute.precision": run.manifest.compute.precision = "fast"
            case "model.config.k": run.manifest.model.config = ["k": "v"]
            default: run.manifest.capture.routerLogits = nil
            }
            let second = try whole(in: folder, run)
            let error = #expect(throws: FileError.self) { try TraceCopy.merge([first, second]) }
            #expect(error?.field == "field \(field)")
            #expect(error?.expected?.contains(expected) == true && error?.found?.contains(found) == true, "\(error)")
        }
    }

    @Test func oneIdInTwoTracesIsRefused() throws {
        try withTemporaryFolder { folder in
            let trace = try whole(in: folder)
            let one = try copied(TraceCopy.subset(trace, documents: [0, 1]), folder)
            let other = try copied(TraceCopy.subset(trace, documents: [1, 2]), folder)
            let error = #expect(throws: FileError.self) { try TraceCopy.merge([one, other]) }
            #expect(error?.field == "document \"d1\"")
        }
    }

    @Test func aPartialTraceIsNotJoined() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            let url = folder.appending(path: "partial")
            let writer = try TraceWriter(creating: url, manifest: run.manifest)
            try writer.append(run.shard(0))
            writer.release()
            let partial = try Trace(folder: url)
            let error = #expect(throws: FileError.self) { try TraceCopy.merge([partial, partial]) }
            #expect(error?.expected == "a complete trace")
            // What is there can be taken.
            #expect(try copied(TraceCopy.subset(partial, documents: [0, 1]), folder).documents.count == 2)
        }
    }

    @Test func whatFailsLeavesNothing() throws {
        try withTemporaryFolder { folder in
            let trace = try whole(in: folder)
            let target = folder.appending(path: "out/t")
            #expect(throws: CancellationError.self) {
                try TraceCopy.subset(trace, documents: [0]).write(to: target, isCancelled: { true })
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "out").path) == [])
            // Somebody's file is not written over, and what a killed writer left is removed.
            let left = folder.appending(path: "out/.t.999999.tmp")
            try FileManager.default.createDirectory(at: left, withIntermediateDirectories: true)
            try TraceCopy.subset(trace, documents: [0]).write(to: target)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder.appending(path: "out").path) == ["t"])
            let error = #expect(throws: FileError.self) {
                try TraceCopy.subset(trace, documents: [0]).write(to: target)
            }
            #expect(error?.problem == "the folder is not empty")
        }
    }

    /// What a record lacks is in no file of the trace.
    @Test func absentPartsAreAbsent() throws {
        try withTemporaryFolder { folder in
            var run = SmallRun(logits: nil, attention: false, patterns: [])
            run.manifest.capture.absent = ["token", "logprob", "expert_weights", "choice_order"]
            run.manifest.model.heads = 0
            run.manifest.model.vocabSize = 0
            let layout = TraceLayout(run.manifest)
            #expect(layout.columns.map(\.name) == ["document", "position", "expert_indices"])
            #expect(!layout.hasTokens && !layout.hasLogprobs && !layout.hasWeights && !layout.hasChoiceOrder)
            let url = folder.appending(path: "t")
            let writer = try TraceWriter(creating: url, manifest: run.manifest)
            let documents = SmallRun.documentLengths.enumerated().map {
                TraceDocument(id: "d\($0)", group: $0 % 2 == 0 ? "even" : "odd", textSHA256: "", tokens: $1)
            }
            let shard = TraceShard(layout: layout, documents: documents)
            shard.expertIndices(layerIndex: 1)[3] = 2
            try writer.append(shard)
            try writer.finish()
            #expect(try Trace.verify(url) == [])
            let trace = try Trace(folder: url)
            #expect(try trace.shard(0).token.isEmpty && trace.shard(0).rowCount == 21)
            let manifest = try String(contentsOf: url.appending(path: "manifest.json"), encoding: .utf8)
            #expect(!manifest.contains("\"heads\"") && !manifest.contains("vocab_size"))
            let part = try copied(TraceCopy.subset(trace, documents: [0]), folder)
            #expect(
                part.manifest.corpus.tokensSHA256 == nil && part.manifest.capture.absent == run.manifest.capture.absent)
        }
    }

    @Test(arguments: [["logprob", "token"], ["position"]]) func anAbsentPartThatIsNoneIsRefused(absent: [String]) throws
    {
        try withTemporaryFolder { folder in
            var run = SmallRun()
            run.manifest.capture.absent = absent
            let error = #expect(throws: FileError.self) { try TraceWriter(creating: folder, manifest: run.manifest) }
            #expect(error?.field == "field capture.absent")
        }
    }

    @Test func partsAreEven() {
        #expect(Waves.parts([5, 5, 5, 5], 2) == [0..<2, 2..<4])
        #expect(Waves.parts([1, 1, 1, 97], 2) == [0..<3, 3..<4])
        #expect(
            Waves.parts([97, 1, 1, 1], 3) == [0..<1, 1..<2, 2..<4]
                || Waves.parts([97, 1, 1, 1], 3) == [0..<1, 1..<3, 3..<4])
        #expect(Waves.parts([3], 1) == [0..<1])
    }
}
