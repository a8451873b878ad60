import Tracing

extension LoadedModel {
    /// The model, after what is worth saying of its tokenizer has been said on standard error.
    func sayingNotices() -> LoadedModel {
        model.checkpoint.sayNotices()
        for notice in tokenizer?.frame.notices ?? [] { say("tokenizer: \(notice)") }
        return self
    }
}
