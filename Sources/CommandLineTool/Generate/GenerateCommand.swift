import ArgumentParser
import FileFormats
import Foundation
import MoEModel
import ReportGenerator
import Tokenizers
import Traces
import Tracing

struct GenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continue a text, or converse, token by token.",
        discussion: """
            Greedy by default: the same prompt gives the same text. A temperature above 0 samples, and --seed makes \
            that repeatable.

            --chat puts what you write into the format the model was trained on. Without --prompt it goes on turn by turn, \
            each line of standard input one, and reads only what is new; /new starts again, /help lists this, Ctrl-C stops an answer, \
            Ctrl-D ends.

            --trace records how every token routes. Metrics count the tokens that were read and those that were generated \
            apart: `moescope metrics FOLDER --positions generated`.

            Examples:
              moescope generate polyglot --prompt "Der Rauch" --max-tokens 60
              moescope generate polyglot --prompt "def main" --temperature 0.7 --top-p 0.9 --seed 3
              moescope generate polyglot --prompt "Le fichier" --show-experts 3
              moescope generate ~/Mixtral-8x7B-Instruct-v0.1 --chat
              moescope generate polyglot --corpus prompts.jsonl --trace traces/generated
            """)

    @Argument(help: .model)
    var model: String

    @Option(help: ArgumentHelp("Text to continue; - reads it from standard input.", valueName: "text"))
    var prompt: String?

    @Option(
        help: ArgumentHelp(
            "Continue every document of a JSON Lines file or folder; prints JSON Lines.", valueName: "path"))
    var corpus: String?

    @Option(help: ArgumentHelp("Read this many tokens of each document of --corpus at most.", valueName: "n"))
    var promptTokens: Int?

    @Flag(help: "Converse, in the model's own format.")
    var chat = false

    @Option(help: ArgumentHelp("What the model is told before the conversation (--chat).", valueName: "text"))
    var system: String?

    @OptionGroup var sampling: SamplingOptions

    @Option(help: .precision)
    var precision: Precision = .fast

    @Option(help: "Keys and values of earlier tokens: f32, f16 or q8_0 (default: f16; f32 with exact).")
    var cache: CacheType?

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Option(
        help: ArgumentHelp("On a terminal: colour each token by its first expert in this layer.", valueName: "layer"))
    var showExperts: Int?

    @Option(help: ArgumentHelp("Record the routing of every token read and generated.", valueName: "folder"))
    var trace: String?

    @Flag(help: "Print JSON objects with text, tokens and speeds.")
    var json = false

    func validate() throws {
        guard !(prompt != nil && corpus != nil) else { throw ValidationError("--prompt or --corpus, not both") }
        guard chat || prompt != nil || corpus != nil else {
            throw ValidationError("expected a text to continue: give --prompt or --corpus, or talk with --chat")
        }
        if chat, corpus != nil { throw ValidationError("--chat answers a person: give --prompt, or nothing") }
        if chat, prompt == nil, trace != nil {
            throw ValidationError("--trace records one answer of a conversation: give --prompt")
        }
        if system != nil, !chat { throw ValidationError("--system is for --chat") }
        if let promptTokens, promptTokens < 1 {
            throw ValidationError("--prompt-tokens: expected at least 1, found \(promptTokens)")
        }
        if let threads, threads < 1 { throw ValidationError("--threads: expected at least 1, found \(threads)") }
    }

    func run() throws {
        if let trace, let found = try? FileManager.default.contentsOfDirectory(atPath: trace), !found.isEmpty {
            throw ValidationError("--trace: \(trace) is not empty; choose another folder")
        }
        let loaded = try LoadedModel(model, precision: precision, threads: threads).sayingNotices()
        guard let tokenizer = loaded.tokenizer else {
            throw ModelError.unsupported("\(loaded.model.checkpoint.name) has no tokenizer, so it cannot read a prompt")
        }
        if !tokenizer.frame.suffix.isEmpty, !chat {
            say(
                "tokenizer: it puts \(tokenizer.frame.suffix) after every text (add_eos_token), so prompts end with it as well"
            )
        }
        let session = try Session(loaded.model, cache: cache)
        let recording = try trace.map { _ in
            try GenerationTrace(
                model: loaded.model, tokenizer: tokenizer,
                source: corpus.map { URL(filePath: $0).lastPathComponent } ?? "prompt",
                version: Moescope.version)
        }
        var generation = try Generation(loaded, session: session, tokenizer: tokenizer, options: sampling)
        generation.watcher = try GenerationWatcher(showing: showExperts, trace: recording, model: loaded.model)

        let before = InterruptFlag.install()
        defer { InterruptFlag.restore(before) }
        if chat {
            let conversation = Chat(
                try ChatFormat(loaded.model.checkpoint, tokenizer: tokenizer), generation, system: system)
            try converse(conversation, recording)
        } else if let corpus {
            try continueCorpus(try readCorpus(corpus), &generation, recording)
        } else {
            try continueText(try given(prompt ?? ""), &generation, recording)
        }
        if let trace, let recording, !recording.isEmpty {
            try recording.write(into: URL(filePath: trace), generation: sampling.record(cache: session.cacheType))
            say("\(trace): complete. Next: moescope metrics \(trace) --positions generated")
        }
        if InterruptFlag.isSet { throw ExitCode(InterruptFlag.exitCode) }
    }

    /// A text of the command line, or standard input.
    private func given(_ text: String) throws -> String {
        guard text == "-" else { return text }
        return String(decoding: try StandardStreams.read(), as: UTF8.self)
    }

    private func continueText(
        _ prompt: String, _ generation: inout Generation, _ recording: GenerationTrace?
    ) throws {
        let tokens = generation.tokenizer.tokens(of: prompt)
        guard !tokens.isEmpty else { throw ValidationError("--prompt: expected a text, found an empty one") }
        let printer = AnswerPrinter(isSilent: json)
        try printer.show(prompt, expert: nil)
        let answer = try generation.answer(reading: tokens, joining: tokens) { try printer.show($0, expert: $1) }
        record(answer, id: "prompt", prompt: prompt, tokens: tokens, generation, recording)
        try printer.finish(layer: showExperts)
        try report(Output(answer, prompt: prompt, promptTokens: tokens.count), answer, generation)
    }

    private func continueCorpus(
        _ corpus: Corpus, _ generation: inout Generation, _ recording: GenerationTrace?
    ) throws {
        let line = ProgressLine("generating", unit: "documents")
        for (index, document) in corpus.documents.enumerated() where !InterruptFlag.isSet {
            let all: [Int32]
            let text: String
            switch document.content {
            case .tokens(let given), .read(let given, _, _): (all, text) = (given, generation.tokenizer.decode(given))
            case .text(let given): (all, text) = (generation.tokenizer.tokens(of: given), given)
            }
            let tokens = Array(all.prefix(promptTokens ?? .max))
            let prompt = tokens.count < all.count ? generation.tokenizer.decode(tokens) : text
            generation.session.truncate(to: 0)
            generation.sampler = sampling.sampler
            let answer: Generation.Answer
            do {
                answer = try generation.answer(reading: tokens, joining: tokens) { _, _ in }
            } catch let error as ModelError {
                throw CorpusError(file: corpus.source, reason: "document \"\(document.id)\": \(error)")
            }
            guard answer.ending != .interrupted else { break }
            record(
                answer, id: document.id, group: document.group, parallelID: document.parallelID,
                cluster: document.cluster, prompt: prompt, tokens: tokens, generation, recording)
            var output = Output(answer, prompt: prompt, promptTokens: tokens.count)
            (output.id, output.group) = (document.id, document.group)
            try print(try output.line())
            line.update(index + 1, of: corpus.documents.count)
        }
        line.finish()
    }

    /// Adds an answer to the trace, where there is one.
    private func record(
        _ answer: Generation.Answer, id: String, group: String = "", parallelID: String? = nil, cluster: String? = nil,
        prompt: String, tokens: [Int32], _ generation: Generation, _ recording: GenerationTrace?
    ) {
        guard let recording, let routing = generation.watcher?.takeRecording(), answer.readTokens == tokens.count else {
            return
        }
        recording.add(
            GeneratedText(
                id: id, group: group, parallelID: parallelID, cluster: cluster, prompt: prompt,
                tokens: tokens + answer.tokens, promptTokens: tokens.count, logprobs: answer.logprobs,
                routing: routing))
    }

    /// JSON, or what is worth saying beside the text.
    private func report(_ output: Output, _ answer: Generation.Answer, _ generation: Generation) throws {
        if json {
            try print(chat ? try output.line() : try output.prettyJSON())
            return
        }
        if answer.ending == .context {
            say("the model's context of \(Prose.count(generation.session.model.config.contextLength)) tokens is full")
        }
        say(
            String(format: "prefill %.0f tokens/s · decode %.1f tokens/s", answer.prefillSpeed, answer.decodeSpeed)
                + (output.reused_tokens.map { $0 > 0 ? " · \(Prose.plural($0, "token")) reused" : "" } ?? ""))
    }
}

extension GenerateCommand {
    /// One turn where there is a prompt, otherwise turn by turn.
    private func converse(_ conversation: Chat, _ recording: GenerationTrace?) throws {
        var chat = conversation
        let printer = AnswerPrinter(isSilent: json)
        func turn(_ text: String) throws {
            let turn = try chat.say(text) { try printer.show($0, expert: $1) }
            record(turn.answer, id: "prompt", prompt: text, tokens: turn.prompt, chat.generation, recording)
            try printer.finish(layer: showExperts)
            var output = Output(turn.answer, prompt: text, promptTokens: turn.prompt.count)
            output.reused_tokens = turn.reused
            try report(output, turn.answer, chat.generation)
        }
        if let prompt { return try turn(try given(prompt)) }

        let isTerminal = isatty(STDIN_FILENO) != 0
        while let line = Self.ask(isTerminal) {
            if line.allSatisfy(\.isWhitespace) { continue }
            switch line.trimmingCharacters(in: .whitespaces) {
            case "/new":
                chat.restart()
                continue
            case "/help":
                say(Self.chatHelp)
                continue
            default: break
            }
            let before = InterruptFlag.install()
            defer { InterruptFlag.restore(before) }
            do {
                try turn(line)
            } catch let error as ModelError where isTerminal {
                // The conversation stays what it was; a full context is the usual reason.
                say("\(error)\n/new starts again")
            }
            if InterruptFlag.isSet {
                guard isTerminal, InterruptFlag.exitCode == 128 + SIGINT else { return }
                // It ended the answer; the conversation goes on.
                InterruptFlag.clear()
            }
        }
    }

    private static let chatHelp = """
        /new starts a new conversation
        /help shows this
        Ctrl-C stops an answer; Ctrl-D ends
        Anything else is said to the model.
        """

    /// The next line; while it waits, Ctrl-C ends the process as usual.
    private static func ask(_ isTerminal: Bool) -> String? {
        if isTerminal { say("> ", terminator: "") }
        return InterruptFlag.ending { readLine() }
    }

    /// What --json prints.
    private struct Output: Encodable {
        var id: String?
        var group: String?
        let prompt: String
        let text: String
        let tokens: [Int32]
        let prompt_tokens: Int
        /// Tokens of the prompt that an earlier turn had read.
        var reused_tokens: Int?
        let stopped_by: String
        let prefill_tokens_per_second: Double
        let decode_tokens_per_second: Double

        init(_ answer: Generation.Answer, prompt: String, promptTokens: Int) {
            self.prompt = prompt
            text = answer.text
            tokens = answer.tokens
            prompt_tokens = promptTokens
            stopped_by = answer.ending.rawValue
            prefill_tokens_per_second = answer.prefillSpeed
            decode_tokens_per_second = answer.decodeSpeed
        }

        func line() throws -> String {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}
