import Checkpoints
import Foundation
import Tracing
import MoEModel
import Tokenizers

/// How a model wants a conversation written.
package enum ChatFormat {
    case mistral(MistralInstruct)
    case template(TemplatePrompt)

    /// The template that the model brings; where it brings none, Mixtral's own format for models of its kind.
    /// - Parameter python: what templates are rendered by.
    package init(_ checkpoint: Checkpoint, tokenizer: any Tokenizer, python: PythonHost? = .current) throws {
        let isMistral = ["mixtral", "llama"].contains(checkpoint.config.architecture)
        if let template = try checkpoint.chatTemplate() {
            self = .template(TemplatePrompt(template: template, tokenizer: tokenizer, python: python))
        } else if isMistral, let format = MistralInstruct(tokenizer) {
            say(
                "warning: \(checkpoint.name) brings no chat template, so it may not be trained to converse; "
                    + "messages are written as Mixtral-Instruct reads them ([INST] … [/INST])")
            self = .mistral(format)
        } else {
            throw ModelError.unsupported(
                "\(checkpoint.name) brings no chat template, so it was hardly trained to converse; let it continue a text instead"
            )
        }
    }

    /// Ids of a conversation, up to where the model is to answer.
    package func tokens(_ messages: [ChatMessage]) throws -> [Int32] {
        switch self {
        case .mistral(let format): format.tokens(messages)
        case .template(let template): try template.tokens(messages)
        }
    }
}

/// A conversation over one session: each turn reads only what the session has not read yet.
struct Chat {
    let format: ChatFormat
    var generation: Generation
    private(set) var messages: [ChatMessage]
    private let system: [ChatMessage]

    init(_ format: ChatFormat, _ generation: Generation, system: String?) {
        self.format = format
        self.generation = generation
        self.generation.channels = AnswerChannels(generation.tokenizer)
        self.system = system.map { [ChatMessage(.system, $0)] } ?? []
        messages = self.system
    }

    /// What a turn took.
    struct Turn {
        var answer: Generation.Answer
        /// Tokens of the whole conversation up to the answer, and how many of them the session had read already.
        var prompt: [Int32]
        var reused: Int
    }

    /// Forgets everything that was said.
    mutating func restart() { messages = system }

    /// Says something and generates the answer. Where that throws, the conversation is what it was.
    mutating func say(_ text: String, show: (String, Int?) throws -> Void) throws -> Turn {
        let asked = messages + [ChatMessage(.user, text)]
        let prompt = try format.tokens(asked)
        let session = generation.session
        // The last token is read again where all are known: its logits are what comes next.
        let known = zip(prompt, session.tokens).prefix { $0 == $1 }.count
        let reused = min(known, prompt.count - 1)
        let limit = session.model.config.contextLength
        guard prompt.count <= limit else {
            throw ModelError.contextExceeded(document: 0, tokens: prompt.count, contextLength: limit)
        }
        session.truncate(to: reused)
        let answer = try generation.answer(reading: Array(prompt[reused...]), joining: [], show: show)
        messages = asked + [ChatMessage(.assistant, answer.text, tokens: answer.tokens)]
        return Turn(answer: answer, prompt: prompt, reused: reused)
    }
}
