import FileFormats

extension TraceManifest {
    /// Most experts of a model that traces are read of; the largest published ones have some 2,000.
    static let mostExperts = 4096

    /// Checks every number that something is indexed, counted or allocated by, once, for all readers: afterwards sums do not
    /// overflow, layers and experts are in range, and files are those that a writer names.
    ///
    /// Whether the shards are as the manifest says is seen when they are opened.
    /// - Throws: `mismatch` naming the field.
    func check(file: String) throws(FileError) {
        func expect(_ field: String, _ range: ClosedRange<Int>, _ found: Int) throws(FileError) {
            guard range.contains(found) else {
                throw FileError.trace(
                    .mismatch, file: file, field: "field \(field)",
                    expected: range.upperBound == .max
                        ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)",
                    found: "\(found)")
            }
        }
        try expect("model.layers", 1...65_536, model.layers)
        try expect("model.experts", 1...Self.mostExperts, model.experts)
        try expect("model.experts_per_token", 1...model.experts, model.expertsPerToken)
        try expect("model.heads", 0...65_536, model.heads)
        try expect("model.kv_heads", 0...65_536, model.kvHeads)
        try expect("model.hidden_size", 0...Int(Int32.max), model.hiddenSize)
        try expect("model.vocab_size", 0...Int(Int32.max), model.vocabSize)
        try expect("model.parameters_total", 0...Int.max, model.parametersTotal)
        try expect("model.parameters_active", 0...Int.max, model.parametersActive)
        if let router = model.router {
            try expect("model.router.select.experts_per_token", 1...model.experts, router.expertsPerToken)
            if let groups = router.select.groups {
                try expect("model.router.select.groups.count", 1...model.experts, groups.count)
                try expect("model.router.select.groups.kept", 1...groups.count, groups.kept)
            }
        }
        let routed = model.layersWithRouter
        guard routed == Set(routed).sorted(), routed.allSatisfy({ 0..<model.layers ~= $0 }) else {
            throw FileError.trace(
                .mismatch, file: file, field: "field model.moe_layers",
                expected: "rising layers from 0 to \(model.layers - 1)", found: "\(routed)")
        }
        try checkCapture(file: file)
        try expect("corpus.documents", 0...Int(Int32.max), corpus.documents)
        try expect("corpus.tokens", 0...1 << 48, corpus.tokens)
        for (group, count) in corpus.groups { try expect("corpus.groups.\(group)", 0...corpus.documents, count) }
        for (name, recorded) in files ?? [:] {
            guard [TraceFolder.documentsName, TraceVocabulary.fileName].contains(name) else {
                throw FileError.trace(
                    .mismatch, file: file, field: "field files.\(name)",
                    expected: "\(TraceFolder.documentsName) or \(TraceVocabulary.fileName)", found: "another name")
            }
            try expect("files.\(name).bytes", 0...1 << 48, recorded.bytes)
        }
        var (tokens, documents) = (0, 0)
        for (index, shard) in shards.enumerated() {
            let place = "shards[\(index)]"
            try expect("\(place).documents", 1...max(1, corpus.documents - documents), shard.documents)
            try expect("\(place).tokens", shard.documents...max(shard.documents, corpus.tokens - tokens), shard.tokens)
            documents += shard.documents
            tokens += shard.tokens
            func expectFile(_ field: String, _ expected: String, _ found: String) throws(FileError) {
                guard found == expected else {
                    throw FileError.trace(
                        .mismatch, file: file, field: "field \(place).\(field)", expected: "\"\(expected)\"",
                        found: "\"\(found)\"")
                }
            }
            try expectFile("file", TraceFolder.shardFile(index), shard.file)
            if let attention = shard.attention {
                try expectFile("attention.file", TraceFolder.attentionFile(index), attention.file)
            }
        }
    }

    private func checkCapture(file: String) throws(FileError) {
        func wrong(_ field: String, expected: String, found: String) -> FileError {
            FileError.trace(.mismatch, file: file, field: "field capture.\(field)", expected: expected, found: found)
        }
        guard capture.layers == Set(capture.layers).sorted(), capture.layers.allSatisfy({ 0..<model.layers ~= $0 })
        else {
            throw wrong(
                "layers", expected: "rising layers from 0 to \(model.layers - 1)", found: "\(capture.layers)")
        }
        if let width = capture.expertsPerToken, !(1...model.experts ~= width) {
            throw wrong("experts_per_token", expected: "1 to \(model.experts)", found: "\(width)")
        }
        if let routed = model.moeLayers {
            guard routed == Set(routed).sorted(), routed.allSatisfy({ 0..<model.layers ~= $0 }) else {
                throw FileError.trace(
                    .mismatch, file: file, field: "field model.moe_layers",
                    expected: "rising layers from 0 to \(model.layers - 1)", found: "\(routed)")
            }
        }
        for pair in capture.attentionPattern
        where pair.count != 2 || !(0..<model.layers ~= pair[0]) || !(0..<model.heads ~= pair[1]) {
            throw wrong(
                "attention_pattern",
                expected: "[layer, head] from [0, 0] to [\(model.layers - 1), \(model.heads - 1)]", found: "\(pair)")
        }
        let absent = capture.absent ?? []
        let omissible = TraceManifest.Capture.omissible
        guard absent == omissible.filter(absent.contains) else {
            throw wrong("absent", expected: "some of \(omissible), in this order", found: "\(absent)")
        }
        // Ids are checked against the vocabulary; a summary of no heads would be empty.
        guard model.vocabSize > 0 || absent.contains(TraceColumn.token.name) && !(capture.predicted ?? false) else {
            throw FileError.trace(
                .mismatch, file: file, field: "field model.vocab_size",
                expected: "1 or more, where tokens are recorded",
                found: "nothing")
        }
        guard model.heads > 0 || !capture.attentionSummary && capture.attentionPattern.isEmpty else {
            throw FileError.trace(
                .mismatch, file: file, field: "field model.heads", expected: "1 or more, where attention is recorded",
                found: "nothing")
        }
        let ahead = capture.speculative ?? []
        guard Set(ahead).count == ahead.count, ahead.allSatisfy({ 1...65_536 ~= $0 }) else {
            throw wrong("speculative", expected: "different numbers of layers, 1 or more", found: "\(ahead)")
        }
    }
}
