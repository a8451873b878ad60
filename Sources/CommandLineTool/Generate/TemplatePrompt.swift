import Checkpoints
import Foundation
import Tokenizers

/// A model's own Jinja template, rendered by Python in a process of its own: the template is code from a stranger,
/// and it runs in jinja2's sandbox, where it can neither reach this process nor stop it.
package struct TemplatePrompt {
    let template: ChatTemplate
    let tokenizer: any Tokenizer
    let python: PythonHost?

    /// Why a conversation cannot be put into the model's format.
    package struct Failure: Error, CustomStringConvertible {
        package var description: String
    }

    /// Ids of a conversation, up to where the model is to answer.
    func tokens(_ messages: [ChatMessage]) throws -> [Int32] {
        let guarded = GuardedText(tokenizer, messages: messages.map(\.content))
        let text = try render(
            messages.map { ChatMessage($0.role, guarded.guarded($0.content)) })
        let ids = guarded.encode(text, tokenizer)
        guard !ids.isEmpty else {
            throw Failure(
                description:
                    "the model's chat template (\(template.source)) writes nothing for this conversation, so there is "
                    + "nothing to answer")
        }
        return ids
    }

    /// What `chat.py` reads. Members of messages are lists of name and value, because templates see their order.
    private struct Request: Encodable {
        let template: String
        let messages: [[[String]]]
        /// By name; tokens that the model does not have are left out, as in transformers.
        let special_tokens: [[String]]
    }

    private func render(_ messages: [ChatMessage]) throws -> String {
        let request = Request(
            template: template.text,
            messages: messages.map { [["role", $0.role.rawValue], ["content", $0.content]] },
            special_tokens: tokenizer.frame.named.map { [$0.name, $0.piece] })
        guard let python, let script = PythonHost.package?.appending(path: "moescope/chat.py")
        else {
            throw Failure(
                description:
                    "the model's chat template needs Python/moescope/chat.py of this program's folder, which was not found"
            )
        }
        let process = Process()
        process.executableURL = python.program
        process.arguments = python.prefix + ["-P", script.path]
        let (input, output, errors) = (Pipe(), Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        // The script reads everything before it writes.
        try input.fileHandleForWriting.write(contentsOf: try JSONEncoder().encode(request))
        try input.fileHandleForWriting.close()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard
            process.terminationReason == .exit
                || process.terminationStatus != SIGXCPU && process.terminationStatus != SIGKILL
        else {
            throw Failure(description: "the model's chat template (\(template.source)) does not end")
        }
        guard process.terminationReason == .exit, process.terminationStatus == 0 else {
            let lines = complaint.split(separator: "\n")
            throw Failure(description: lines.last.map(String.init) ?? "the chat template could not be rendered")
        }
        return String(decoding: text, as: UTF8.self)
    }
}
