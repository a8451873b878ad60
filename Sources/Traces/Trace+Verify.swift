import FileFormats
import Foundation

extension Trace {
    /// Reads everything and reports what is wrong: hashes, shapes, values out of range, files that nothing lists.
    ///
    /// Opening a trace stops at the first problem; this goes on, a problem or more per file.
    /// - Returns: problems in the order of the files; empty for a sound trace.
    /// - Throws: what keeps manifest or documents from being read at all.
    public static func verify(
        _ url: URL, progress: (_ file: String) -> Void = { _ in }
    ) throws(FileError) -> [FileError] {
        let folder = TraceFolder(url: url)
        let (manifest, data, problem) = try parseManifest(folder)
        var problems = [problem].compactMap(\.self)
        problems += try manifest.unknownKeys(in: data, file: folder.manifest.path)
        var listed: Set<String> = []
        for shard in manifest.shards {
            for (file, sha256) in [(shard.file, shard.sha256)] + (shard.attention.map { [($0.file, $0.sha256)] } ?? [])
            {
                progress(file)
                listed.insert(file)
                if let problem = hashProblem(folder.file(file), expected: sha256) { problems.append(problem) }
            }
        }
        for subfolder in [TraceFolder.shardsName, TraceFolder.attentionName] {
            for name in folder.names(in: subfolder) where !listed.contains("\(subfolder)/\(name)") {
                problems.append(
                    FileError.trace(
                        .mismatch, file: folder.file("\(subfolder)/\(name)").path,
                        problem: "the manifest does not list it",
                        hint: manifest.status == .partial && TraceWriter.isInFlight(name, shard: manifest.shards.count)
                            ? "left by an interrupted run; --resume removes it" : nil))
            }
        }
        if let files = manifest.files, files[TraceVocabulary.fileName] == nil,
            folder.kind(TraceVocabulary.fileName) != nil
        {
            problems.append(
                FileError.trace(
                    .mismatch, file: folder.file(TraceVocabulary.fileName).path,
                    problem: "the manifest does not list it"))
        }
        do throws(FileError) {
            let trace = try Trace(opening: url, manifest: manifest)
            if let problem = trace.documentsProblem { problems.append(problem) }
            do throws(FileError) { _ = try trace.vocabulary() } catch { problems.append(error) }
            for index in manifest.shards.indices {
                if let problem = try trace.uncheckedShard(index).valueProblem(manifest) { problems.append(problem) }
            }
            for shard in manifest.shards { problems += try trace.patternProblems(shard) }
            if manifest.status == .complete, let problem = trace.corpusProblem { problems.append(problem) }
        } catch {
            // The hash has named a damaged file already; its header's error says more, so keep both.
            problems.append(error)
        }
        return problems
    }

    private static func hashProblem(_ url: URL, expected: String) -> FileError? {
        do throws(FileError) {
            let found = try FileHashes.sha256(of: [url])
            guard found != expected else { return nil }
            return FileError.trace(.mismatch, file: url.path, field: "sha256", expected: expected, found: found)
        } catch {
            return FileError.trace(error)
        }
    }

    private var corpusProblem: FileError? {
        let found = Dictionary(documents.map { ($0.group, 1) }, uniquingKeysWith: +)
        let tokens = manifest.tokens
        guard documents.count == manifest.corpus.documents, tokens == manifest.corpus.tokens,
            found == manifest.corpus.groups
        else {
            return FileError.trace(
                .mismatch, file: folder.manifest.path, field: "field corpus",
                expected:
                    "\(manifest.corpus.documents) documents, \(manifest.corpus.tokens) tokens, \(manifest.corpus.groups)",
                found: "\(documents.count) documents, \(tokens) tokens, \(found)")
        }
        return nil
    }
}

extension MappedShard {
    /// The first value that cannot be, or nil.
    func valueProblem(_ manifest: TraceManifest) -> FileError? {
        func problem(_ tensor: String, row: Int, layer: Int? = nil, expected: String, found: String) -> FileError {
            let place = layer.map { "layer \($0), row \(row)" } ?? "row \(row)"
            return FileError.trace(
                .mismatch, file: file.url.path, field: "tensor \(tensor), \(place)", expected: expected, found: found)
        }
        // Read once: they are asked for every row.
        let vocabulary = manifest.model.vocabSize
        let (hasTokens, hasLogprobs) = (layout.hasTokens, layout.hasLogprobs)
        for item in documents {
            for row in item.rows {
                let inDocument = row - item.firstRow
                if Int(document[row]) != item.index {
                    return problem("document", row: row, expected: "\(item.index)", found: "\(document[row])")
                }
                if Int(position[row]) != inDocument {
                    return problem("position", row: row, expected: "\(inDocument)", found: "\(position[row])")
                }
                if hasTokens, !(0..<vocabulary ~= Int(token[row])) {
                    return problem(
                        "token", row: row, expected: "0 to \(vocabulary - 1)", found: "\(token[row])")
                }
                guard hasLogprobs else { continue }
                let value = logprob[row]
                if inDocument == 0 ? !value.isNaN : !(value <= 0) {
                    return problem(
                        "logprob", row: row, expected: inDocument == 0 ? "NaN in a document's first row" : "0 or less",
                        found: "\(value)")
                }
            }
        }
        if layout.predicted {
            var predicted: [Int32] = []
            readPredicted(into: &predicted)
            if let row = predicted.firstIndex(where: { !(-1..<manifest.model.vocabSize ~= Int($0)) }) {
                return problem(
                    "predicted", row: row, expected: "-1 to \(manifest.model.vocabSize - 1)",
                    found: "\(predicted[row])")
            }
        }
        let allowsEmptySlots = !manifest.interventions.isEmpty
        let K = layout.expertsPerToken
        var indices: [UInt16] = []
        var values: [Float] = []
        for (layerIndex, layer) in layout.layers.enumerated() {
            readExpertIndices(layerIndex: layerIndex, into: &indices)
            if !allowsEmptySlots, let i = indices.firstIndex(where: { Int($0) >= layout.experts }) {
                return problem(
                    "expert_indices", row: i / K, layer: layer, expected: "0 to \(layout.experts - 1)",
                    found: "\(indices[i])")
            }
            if layout.hasWeights {
                readExpertWeights(layerIndex: layerIndex, into: &values)
                if let i = values.firstIndex(where: { !$0.isFinite }) {
                    return problem(
                        "expert_weights", row: i / K, layer: layer, expected: "a number", found: "\(values[i])")
                }
            }
            for ahead in layout.speculative {
                var guesses: [UInt16] = []
                guard readGuesses(ahead: ahead, layer: layer, into: &guesses) else { continue }
                if let i = guesses.firstIndex(where: { Int($0) >= layout.experts }) {
                    return problem(
                        TraceColumn.guesses(ahead: ahead).name, row: i / layout.expertsPerGuess, layer: layer,
                        expected: "0 to \(layout.experts - 1)", found: "\(guesses[i])")
                }
            }
            guard hasRouterLogits else { continue }
            readRouterLogits(layerIndex: layerIndex, into: &values)
            // Minus infinity is what an exclusion leaves.
            if let i = values.firstIndex(where: { $0.isNaN || $0 == .infinity }) {
                return problem(
                    "router_logits", row: i / layout.experts, layer: layer, expected: "a number", found: "\(values[i])")
            }
        }
        return nil
    }
}
