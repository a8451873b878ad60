/// The Jinja template that turns a conversation into a prompt, and what kind it is.
public struct ChatTemplate: Sendable, Equatable {
    /// File, or GGUF key, that holds it.
    public let source: String
    public let text: String

    /// The prompt format, by the markers it writes; nil for one that is not known here.
    public var kind: String? {
        let known = [
            ("[INST]", "Mistral [INST]"), ("<|im_start|>", "ChatML"), ("<|start_header_id|>", "Llama 3"),
            ("<|start_of_role|>", "Granite"), ("<|endoftext|><|user|>", "OLMo"), ("[gMASK]", "GLM"),
            ("<|start|>", "Harmony"), ("<|user|>", "Phi or Zephyr"),
        ]
        return known.first { text.contains($0.0) }?.1
    }
}
