import ArgumentParser

extension ArgumentHelp {
    /// What a model can be named by.
    static let model: ArgumentHelp = """
        A Hugging Face folder, a .gguf file, polyglot (built in), or a name on the Hub (mistralai/Mixtral-8x7B-v0.1) that is in \
        this machine's Hugging Face cache.
        """
}
