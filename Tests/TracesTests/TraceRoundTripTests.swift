import Foundation
import Testing
import Traces

/// A small run made by hand: what a writer is given must come back, whole or after interruptions.
struct SmallRun {
    static let documentLengths = [3, 5, 1, 4, 2, 6]
    var manifest: TraceManifest

    init(
        logits: TraceManifest.Capture.LogitFormat? = .f32, attention: Bool = true, patterns: [[Int]] = [[2, 1]],
        experts: Int = 4
    ) {
        manifest = TraceManifest(
            model: .init(
                name: "small", architecture: "mixtral", layers: 3, experts: experts, expertsPerToken: 2, heads: 2,
                kvHeads: 1, hiddenSize: 8, vocabSize: 100, quantization: "F32", parametersTotal: 10,
                parametersActive: 5, sha256: "a"),
            tokenizer: .init(kind: .noTokenizer, sha256: "b"),
            capture: .init(
                routerLogits: logits, attentionSummary: attention, attentionPattern: patterns, layers: [0, 2]),
            compute: .init(precision: "exact", isa: "scalar", threads: 1, version: "0"),
            corpus: .init(
                source: "none", sha256: "c", documents: 6, tokens: Self.documentLengths.reduce(0, +),
                groups: ["even": 3, "odd": 3]))
    }

    /// Two documents per shard, values a function of document and row alone.
    func shard(_ number: Int) -> TraceShard {
        let layout = TraceLayout(manifest)
        let indices = [2 * number, 2 * number + 1]
        let documents = indices.map {
            TraceDocument(
                id: "d\($0)", group: $0 % 2 == 0 ? "even" : "odd", textSHA256: "t\($0)",
                tokens: Self.documentLengths[$0],
                parallelID: $0 < 2 ? "p" : nil, cluster: $0 == 3 ? "manual" : nil)
        }
        let shard = TraceShard(layout: layout, documents: documents)
        var row = 0
        for (place, index) in indices.enumerated() {
            for position in 0..<documents[place].tokens {
                shard.tokens[row] = Int32(10 * index + position)
                if position > 0 { shard.logprobs[row] = -Float(row) / 7 }
                for layer in 0..<layout.layerCount {
                    let base = Float(index * 100 + position * 10 + layer)
                    if layout.routerLogits != nil {
                        for e in 0..<layout.experts {
                            shard.routerLogits(layerIndex: layer)[row * layout.experts + e] = base / 8 + Float(e)
                        }
                    }
                    let chosen = [Int32((index + layer) % layout.experts), Int32((index + layer + 1) % layout.experts)]
                    chosen.withUnsafeBufferPointer { shard.setExpertIndices($0, layerIndex: layer, row: row) }
                    shard.expertWeights(layerIndex: layer)[2 * row] = 0.75
                    shard.expertWeights(layerIndex: layer)[2 * row + 1] = 0.25
                    if layout.attentionSummary {
                        let values = (0..<10).map { base / 64 + Float($0) }
                        values.withUnsafeBufferPointer { shard.setAttentionSummary($0, layerIndex: layer, row: row) }
                    }
                }
                row += 1
            }
            let t = documents[place].tokens
            for pattern in manifest.capture.attentionPattern {
                // Above the diagonal the engine may leave anything.
                let values = (0..<t * t).map { Float($0) / 16 }
                values.withUnsafeBufferPointer {
                    shard.addPattern($0, document: place, layer: pattern[0], head: pattern[1])
                }
            }
        }
        return shard
    }
}

/// A folder of its own, gone afterwards.
func withTemporaryFolder<R>(_ body: (URL) throws -> R) throws -> R {
    let url = FileManager.default.temporaryDirectory.appending(path: "traces-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    return try body(url)
}

@Suite struct TraceRoundTripTests {
    @Test(arguments: [TraceManifest.Capture.LogitFormat.f32, .f16, nil], [4, 300])
    func whatIsWrittenComesBack(logits: TraceManifest.Capture.LogitFormat?, experts: Int) throws {
        try withTemporaryFolder { folder in
            let run = SmallRun(logits: logits, experts: experts)
            let writer = try TraceWriter(creating: folder, manifest: run.manifest)
            for number in 0..<3 { try writer.append(run.shard(number)) }
            try writer.finish()

            #expect(try Trace.verify(folder) == [])
            let trace = try Trace(folder: folder)
            #expect(trace.manifest.status == .complete && trace.documents.count == 6 && trace.shardCount == 3)
            #expect(trace.documents.map(\.index) == Array(0..<6))
            #expect(trace.documents.map(\.firstRow) == [0, 3, 0, 1, 0, 2])
            #expect(trace.documents[1].parallelID == "p" && trace.documents[2].parallelID == nil)
            #expect(trace.documents.map(\.cluster) == [nil, nil, nil, "manual", nil, nil])
            for number in 0..<3 {
                let expected = run.shard(number)
                let shard = try trace.shard(number)
                #expect(shard.rowCount == expected.rowCount)
                #expect(shard.token == Array(expected.tokens))
                for document in shard.documents {
                    #expect(shard.logprob[document.firstRow].isNaN)
                    #expect(shard.position[document.rows].elementsEqual(0..<Int32(document.tokens)))
                    #expect(shard.document[document.rows].allSatisfy { Int($0) == document.index })
                }
                #expect(zip(shard.logprob, expected.logprobs).allSatisfy { $0.isNaN && $1.isNaN || $0 == $1 })
                for layer in 0..<2 {
                    var chosen: [UInt16] = []
                    shard.readExpertIndices(layerIndex: layer, into: &chosen)
                    #expect(chosen == Array(expected.expertIndices(layerIndex: layer)))
                    var values: [Float] = []
                    shard.readExpertWeights(layerIndex: layer, into: &values)
                    #expect(values == Array(expected.expertWeights(layerIndex: layer)))
                    if logits != nil {
                        shard.readRouterLogits(layerIndex: layer, into: &values)
                        // Eighths below 64 are exact in half precision; with 300 experts they are rounded to it.
                        let tolerance: Float = logits == .f16 ? 0.25 : 0
                        #expect(
                            zip(values, expected.routerLogits(layerIndex: layer)).allSatisfy {
                                abs($0 - $1) <= tolerance
                            })
                    }
                    for statistic in AttentionStatistic.allCases {
                        shard.readAttention(statistic, layer: trace.layout.layers[layer], into: &values)
                        let bits = expected.attention(statistic, layerIndex: layer)
                        #expect(zip(values, bits).allSatisfy { Float16($0).bitPattern == $1 })
                    }
                }
            }
            let pattern = try #require(try trace.attentionPattern(document: 3, layer: 2, head: 1))
            #expect(pattern[0..<4] == [0, 0, 0, 0] && pattern[4..<8] == [0.25, 0.3125, 0, 0])
            #expect(try trace.attentionPatterns().count == 6)
            #expect(try trace.attentionPattern(document: 3, layer: 0, head: 1) == nil)
        }
    }

    /// A corpus without clusters gives the lines that it gave before there were any.
    @Test func linesSayTheClusterWhereThereIsOne() throws {
        try withTemporaryFolder { folder in
            let run = SmallRun()
            let writer = try TraceWriter(creating: folder, manifest: run.manifest)
            for number in 0..<3 { try writer.append(run.shard(number)) }
            try writer.finish()
            let lines = try String(contentsOf: folder.appending(path: "documents.jsonl"), encoding: .utf8)
                .split(separator: "\n")
            #expect(
                lines[2] == """
                    {"first_row":0,"group":"even","id":"d2","index":2,"parallel_id":null,"shard":1,\
                    "text_sha256":"t2","tokens":1,"truncated":false}
                    """)
            #expect(
                lines[3] == """
                    {"cluster":"manual","first_row":1,"group":"odd","id":"d3","index":3,"parallel_id":null,"shard":1,\
                    "text_sha256":"t3","tokens":4,"truncated":false}
                    """)
        }
    }

    @Test func projectedSizeIsTheSizeOnDisk() throws {
        for logits in [TraceManifest.Capture.LogitFormat.f32, .f16, nil] {
            try withTemporaryFolder { folder in
                let run = SmallRun(logits: logits, patterns: [])
                let writer = try TraceWriter(creating: folder, manifest: run.manifest)
                try writer.append(run.shard(1))
                let file = try Data(contentsOf: folder.appending(path: "shards/000000.safetensors"))
                let header = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
                #expect(file.count - 8 - header == 5 * TraceLayout(run.manifest).bytesPerToken)
            }
        }
    }
}
