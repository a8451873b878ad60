import CPython
import CommandLineTool
import Foundation
import Tokenizers

extension ModelObject {
    /// `chat(messages as JSON, interpreter) -> list of token ids`, up to where the model is to answer.
    ///
    /// The interpreter renders the model's template, in a process of its own.
    static func chat(
        _ loaded: PythonModel, _ arguments: UnsafePointer<PythonObject?>?, _ count: Int
    ) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 2...2)
        let messages = try FromPython.json([ChatMessage].self, try arguments[0], "messages")
        let interpreter = try FromPython.string(try arguments[1], "interpreter")
        let tokenizer = try loaded.requireTokenizer()
        let ids = try ReleasedInterpreter.run { _ in
            do {
                return try ChatFormat(
                    loaded.model.checkpoint, tokenizer: tokenizer, python: PythonHost.current ?? PythonHost(interpreter)
                ).tokens(messages)
            } catch let error as TemplatePrompt.Failure {
                throw PythonError.value(error.description)
            }
        }
        return try ToPython.list(count: ids.count) { (index) throws(PythonError) in
            try ToPython.int(Int(ids[index])).release()
        }.release()
    }
}

extension PythonHost {
    /// The Python that has loaded this library, at the path of its program.
    init(_ interpreter: String) {
        self.init(isEmbedded: false, program: URL(filePath: interpreter), prefix: []) { arguments in
            var copies = ([interpreter] + arguments).map { strdup($0) } + [nil]
            execv(interpreter, &copies)
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .ENOEXEC)
        }
    }
}
