import Tracing
import Foundation
import Hooks
import MoEModel
import Tokenizers

/// A text that a model goes on with: reads new tokens, then generates until something ends it.
struct Generation {
    enum Ending: String {
        case endOfText = "end_of_text"
        case stop
        case maxTokens = "max_tokens"
        case context
        case interrupted
    }

    struct Answer {
        /// What was answered; of an answer in channels the last, "final", alone.
        var text = ""
        var tokens: [Int32] = []
        var ending = Ending.maxTokens
        /// Tokens read before the first was generated.
        var readTokens = 0
        /// Log-probabilities of the tokens read and generated, where a trace is recorded.
        var logprobs: [Float] = []
        var prefillSeconds = 0.0
        var decodeSeconds = 0.0

        var prefillSpeed: Double { Double(readTokens) / max(prefillSeconds, 1e-9) }
        var decodeSpeed: Double { Double(tokens.count) / max(decodeSeconds, 1e-9) }
    }

    let session: Session
    let tokenizer: any Tokenizer
    let options: SamplingOptions
    /// Ids that end a text.
    let ends: Set<Int32>
    var sampler: Sampler
    /// What to observe of every token, and who does.
    var watcher: GenerationWatcher?
    /// Where answers are written in channels: what tells them apart. nil: the text is taken as it is.
    var channels: AnswerChannels?

    init(_ loaded: LoadedModel, session: Session, tokenizer: any Tokenizer, options: SamplingOptions) throws {
        self.session = session
        self.tokenizer = tokenizer
        self.options = options
        sampler = options.sampler
        ends = EndTokens.all(declared: try loaded.model.checkpoint.endTokens(), tokenizer)
    }

    /// Tokens read at a time: between pieces Ctrl-C is heard.
    private static let prefillPiece = 512

    /// - Parameters:
    ///   - new: what to read first; at least one token.
    ///   - context: the tokens before the answer that its first text joins on to; empty for an answer on its own.
    ///   - show: called with text as it becomes certain, and the first expert of its last token where one is watched.
    mutating func answer(
        reading new: [Int32], joining context: [Int32], show: (String, Int?) throws -> Void
    ) throws -> Answer {
        try session.announce(new.count)
        var answer = Answer()
        var bytes: [UInt8] = []
        var stream = TokenStream(tokenizer, after: context)
        var stop = StopText(options.stops)
        var channels = channels
        func give(_ fresh: [UInt8], _ expert: Int?) throws {
            guard !fresh.isEmpty else { return }
            if channels?.isFinal ?? true { bytes += fresh }
            try show(String(decoding: fresh, as: UTF8.self), expert)
        }

        let clock = ContinuousClock()
        let started = clock.now
        var logits: [Float] = []
        for start in stride(from: 0, to: new.count, by: Self.prefillPiece) where answer.ending != .interrupted {
            let piece = Array(new[start..<min(start + Self.prefillPiece, new.count)])
            logits = try read(piece, after: logits, &answer)
            answer.readTokens += piece.count
            if InterruptFlag.isSet { answer.ending = .interrupted }
        }
        let prefilled = clock.now
        while answer.ending == .maxTokens, answer.tokens.count < options.maxTokens {
            let token = sampler.next(logits, seen: session.tokens)
            guard !ends.contains(token) else {
                answer.ending = .endOfText
                break
            }
            guard session.remaining > 0 else {
                answer.ending = .context
                break
            }
            answer.tokens.append(token)
            if watcher == nil {
                try session.decode(token, into: &logits)
            } else {
                logits = try read([token], after: logits, &answer)
            }
            let part = channels?.feed(token) ?? .text
            if case .opens(let name) = part {
                stream = TokenStream(tokenizer, after: [])
                try show(name == "final" ? "\n" : "[\(name)] ", nil)
            }
            let (fresh, isStopped) = stop.feed(part == .text ? stream.append(token) : [])
            try give(fresh, watcher?.expert)
            if isStopped { answer.ending = .stop }
            if InterruptFlag.isSet { answer.ending = .interrupted }
        }
        if answer.ending != .stop {
            let (fresh, isStopped) = stop.feed(stream.finish())
            try give(isStopped ? fresh : fresh + stop.finish(), watcher?.expert)
        }
        answer.text = String(decoding: bytes, as: UTF8.self)
        answer.prefillSeconds = ProgressLine.seconds(prefilled - started)
        answer.decodeSeconds = ProgressLine.seconds(clock.now - prefilled)
        return answer
    }

    /// Reads tokens, and their log-probabilities where a trace wants them.
    private func read(_ tokens: [Int32], after logits: [Float], _ answer: inout Answer) throws -> [Float] {
        guard let watcher else { return try session.append(tokens) }
        guard watcher.records else { return try session.append(tokens, plan: watcher.plan, observer: watcher) }
        answer.logprobs.append(logits.isEmpty ? .nan : Self.logProbability(of: tokens[0], logits))
        guard tokens.count > 1 else { return try session.append(tokens, plan: watcher.plan, observer: watcher) }
        let result = try session.appendScored(tokens, plan: watcher.plan, observer: watcher)
        answer.logprobs += result.logprob.dropFirst()
        return result.logits
    }

    /// log softmax(logits)[token]
    private static func logProbability(of token: Int32, _ logits: [Float]) -> Float {
        let largest = logits.max() ?? 0
        let sum = logits.reduce(0) { $0 + Double(exp($1 - largest)) }
        return min(0, logits[Int(token)] - largest - Float(log(sum)))
    }
}

/// Sees every token's routing: the first expert in one layer, or everything for a trace.
final class GenerationWatcher: HookObserver {
    private(set) var plan = HookPlan()
    /// The first expert of the last token in the layer that is shown.
    private(set) var expert: Int?
    private let shownLayer: Int?
    private var recorder: HookRecorder?

    /// nil where there is nothing to watch.
    init?(showing layer: Int?, trace: GenerationTrace?, model: Model) throws {
        guard layer != nil || trace != nil else { return nil }
        shownLayer = layer
        if let layer {
            plan = try HookPlan(
                observing: ["blocks.\(layer).expert_indices"], layerCount: model.config.layerCount,
                expertLayers: model.config.expertLayers)
        }
        if let trace {
            plan.observed.formUnion(trace.plan.observed)
            recorder = HookRecorder()
        }
    }

    var records: Bool { recorder != nil }

    /// What was recorded since the last call.
    func takeRecording() -> HookRecorder? {
        defer { if recorder != nil { recorder = HookRecorder() } }
        return recorder
    }

    func observe(_ point: HookPoint, _ value: borrowing HookValue) throws {
        if point.site == .expertIndices, point.layer == shownLayer {
            let width = value.shape.last ?? 1
            expert = value.withIndices { $0.count >= width ? Int($0[$0.count - width]) : nil }
        }
        recorder?.observe(point, value)
    }
}
