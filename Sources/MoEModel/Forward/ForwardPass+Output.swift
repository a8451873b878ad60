import Hooks
import Tensors

extension ForwardPass {
    /// The last norm and, where asked for, log-probabilities. The logits of all rows, [T, V], exist only where a hook asks
    /// for them.
    mutating func finish(logprobs: Bool) throws -> [Float] {
        try finalNorm()
        statistics?.add(.output, normed, backend)
        guard wantsLogits else { return logprobs ? try logProbabilities(nil) : [] }
        return try backend.withTemporary(rows: x.rows, columns: config.vocabularySize) { logits in
            try emitLogits(logits)
            return logprobs ? try logProbabilities(logits) : []
        }
    }

    /// The last norm and the logits, [V], after the last row.
    mutating func lastLogits(into result: inout [Float]) throws {
        try finalNorm()
        let last = x.rows - 1..<x.rows
        if wantsLogits {
            try backend.withTemporary(rows: x.rows, columns: config.vocabularySize) { logits in
                try emitLogits(logits)
                try read(logits.rows(last), into: &result)
            }
        } else {
            let logits = matrix(.logits, rows: 1, columns: config.vocabularySize)
            backend.logits(normed.rows(last), model.weights.tensors.output, transform, into: logits)
            try read(logits, into: &result)
        }
    }

    private mutating func finalNorm() throws {
        backend.norm(x, model.weights.finalNorm, config, into: normed)
        try hooks.emit(.finalNorm, nil, normed)
    }

    private var wantsLogits: Bool { hooks.wants(.logits, nil) || hooks.wants(.outputProjection, nil) }

    private var transform: LogitTransform {
        LogitTransform(bias: model.weights.outputBias, divisor: config.multipliers.logitDivisor)
    }

    private mutating func emitLogits(_ logits: Matrix) throws {
        var steps = (bias: transform, division: transform)
        (steps.bias.divisor, steps.division.bias) = (1, nil)
        backend.logits(normed, model.weights.tensors.output, steps.bias, into: logits)
        try hooks.emit(.outputProjection, nil, logits)
        backend.transform(logits, steps.division)
        try hooks.emit(.logits, nil, logits)
    }

    private func read(_ logits: Matrix, into result: inout [Float]) throws(ModelError) {
        try checkFinite(logits, nil)
        backend.read(logits, into: &result)
    }

    /// log p(token at row i | rows before it), from the logits of row i − 1 of the same document; [T], NaN in a document's
    /// first row.
    /// - Parameter logits: [T, V], where they exist already.
    func logProbabilities(_ logits: Matrix?) throws(ModelError) -> [Float] {
        var result = [Float](repeating: .nan, count: x.rows)
        let predicting = batch.documents.flatMap { $0.dropLast().map(Int32.init) }
        guard !predicting.isEmpty else { return result }
        let scores = backend.logProbabilities(
            of: predicting.map { batch.tokens[Int($0) + 1] }, rows: predicting, features: normed,
            output: model.weights.tensors.output, transform, logits: logits)
        guard scores.allSatisfy(\.isFinite) else { throw model.notFinite(layer: nil) }
        for (index, row) in predicting.enumerated() { result[Int(row) + 1] = scores[index] }
        return result
    }
}
