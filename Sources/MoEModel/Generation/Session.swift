import Hooks

/// One text that grows token by token: prefill, then decoding, over one key/value cache.
///
/// Prefill in pieces, or token by token, gives the numbers of one pass over the whole text, up to rounding.
/// Not for use from two threads at once.
public final class Session {
    public let model: Model
    private var cache: KeyValueCache
    /// Tokens that the text is known to reach.
    private var announced = 0
    /// The row of the token that is decoded, kept from one to the next.
    private var step: RowContext?
    /// The tokens read so far.
    public private(set) var tokens: [Int32] = []

    /// - Parameter cache: how keys and values are kept; nil: f32 where the model is exact, otherwise f16.
    /// - Throws: `ModelError.unsupported` where the model's heads do not fit the blocks of the type.
    public init(_ model: Model, cache: CacheType? = nil) throws(ModelError) {
        self.model = model
        self.cache = try KeyValueCache(model.config, type: cache ?? CacheType(for: model.precision))
    }

    public var cacheType: CacheType { cache.type }

    /// Tokens that can still be read before the model's context is full.
    public var remaining: Int { model.config.contextLength - tokens.count }

    /// Says that this many more tokens will be read before anything is generated, in however many pieces.
    ///
    /// LongRoPE turns all keys of a text by one of two sets of divisors, by how long the text is (transformers'
    /// `longrope_frequency_update`): pieces of a prompt must know the whole prompt's length.
    /// - Throws: `ModelError.contextExceeded` where they do not fit.
    public func announce(_ count: Int) throws(ModelError) {
        try checkRoom(for: count)
        announced = tokens.count + count
    }

    /// Reads more tokens and gives the logits, [V], that follow the last of them.
    ///
    /// - Parameter plan, observer, editor: as in `Model.forward`, over the new rows only; at `attn.scores` and
    ///   `attn.pattern` the shape is [heads, new rows, all rows so far].
    /// - Throws: `ModelError.contextExceeded` before any computation where the tokens do not fit; the session is then,
    ///   as after any error, what it was before the call.
    public func append(
        _ new: [Int32], plan: HookPlan = .none, observer: (any HookObserver)? = nil, editor: (any HookEditor)? = nil
    ) throws -> [Float] {
        try extend(new, plan: plan, observer: observer, editor: editor, logprobs: false).logits
    }

    /// As `append`, with the log-probability of each new token given those before it: [new], natural logs, the first NaN
    /// because it follows from the logits that the last call gave.
    /// - Cost: a product with the whole vocabulary for every new token.
    public func appendScored(
        _ new: [Int32], plan: HookPlan = .none, observer: (any HookObserver)? = nil
    ) throws -> (logits: [Float], logprob: [Float]) {
        try extend(new, plan: plan, observer: observer, editor: nil, logprobs: true)
    }

    private func extend(
        _ new: [Int32], plan: HookPlan, observer: (any HookObserver)?, editor: (any HookEditor)?, logprobs: Bool
    ) throws -> (logits: [Float], logprob: [Float]) {
        guard !new.isEmpty else { throw ModelError.unsupported("a session needs at least one token to read") }
        try checkRoom(for: new.count)
        try turnAnew(for: new.count, plan: plan, editor: editor)
        var logits: [Float] = []
        let logprob = try model.extend(
            cache, with: RowContext(TokenBatch([new]), startPosition: tokens.count), plan: plan, observer: observer,
            editor: editor, into: &logits, logprobs: logprobs)
        tokens += new
        tokens.reserveCapacity(cache.capacity)
        return (logits, logprob)
    }

    /// Reads one more token; `logits`, which should come from `append`, become those that follow it. Allocates nothing
    /// but what hooks ask for, except where the cache grows.
    public func decode(
        _ token: Int32, into logits: inout [Float], plan: HookPlan = .none, observer: (any HookObserver)? = nil,
        editor: (any HookEditor)? = nil
    ) throws {
        try checkRoom(for: 1)
        try turnAnew(for: 1, plan: plan, editor: editor)
        if step == nil { step = RowContext(TokenBatch([[token]]), startPosition: tokens.count) }
        step?.replace(with: token, at: tokens.count)
        guard let step else { return }
        _ = try model.extend(
            cache, with: step, plan: plan, observer: observer, editor: editor, into: &logits)
        if tokens.capacity < cache.capacity { tokens.reserveCapacity(cache.capacity) }
        tokens.append(token)
    }

    private func checkRoom(for count: Int) throws(ModelError) {
        guard count <= remaining else {
            throw .contextExceeded(
                document: 0, tokens: tokens.count + count, contextLength: model.config.contextLength)
        }
    }

    /// Tokens read at a time where a text is read again.
    private static let rereadPiece = 512

    /// Makes the cache one of a text as long as this one becomes with `count` more tokens. Where the text crosses the
    /// original context of LongRoPE, everything before is read again with the other divisors, as transformers does
    /// (`PhimoeForCausalLM.prepare_inputs_for_generation`), with the call's interventions and edits; observers have seen those
    /// rows and do not see them again.
    private func turnAnew(for count: Int, plan: HookPlan, editor: (any HookEditor)?) throws {
        let isLong = RotaryTable.isLong(model.config, positions: max(announced, tokens.count + count))
        guard isLong != cache.isLong else { return }
        guard !tokens.isEmpty else {
            cache.isLong = isLong
            return
        }
        var again = plan
        again.observed = []
        // Into a cache of its own, so that an error leaves the session as it was.
        let fresh = try KeyValueCache(model.config, type: cache.type)
        fresh.isLong = isLong
        var ignored: [Float] = []
        for start in stride(from: 0, to: tokens.count, by: Self.rereadPiece) {
            let piece = Array(tokens[start..<min(start + Self.rereadPiece, tokens.count)])
            _ = try model.extend(
                fresh, with: RowContext(TokenBatch([piece]), startPosition: start), plan: again, observer: nil,
                editor: editor,
                into: &ignored)
        }
        cache = fresh
        step = nil
    }

    /// Goes back to the first `count` tokens; what follows can be read anew.
    public func truncate(to count: Int) {
        tokens.removeLast(max(0, tokens.count - count))
        cache.truncate(to: tokens.count)
        announced = 0
    }
}
