import CPython
import Checkpoints
import Foundation
import Quantization

/// `_moescope.quantize`.
enum QuantizeFunction {
    /// `quantize(path, type, output) -> bytes written`
    static func run(_ arguments: UnsafePointer<PythonObject?>?, _ count: Int) throws(PythonError) -> PythonObject {
        let arguments = try Arguments(arguments, count, expected: 3...3)
        let model = try FromPython.string(try arguments[0], "model")
        let name = try FromPython.string(try arguments[1], "type")
        let output = try FromPython.string(try arguments[2], "output")
        guard let mix = QuantizationMix(rawValue: name.uppercased()) else {
            let known = QuantizationMix.allCases.map(\.rawValue).joined(separator: ", ")
            throw .value("type: expected one of \(known), found \"\(name)\"")
        }
        let size = try ReleasedInterpreter.runInterruptibly { cancellation in
            let checkpoint = try Checkpoint.open(try ModelLocator.resolve(model))
            return try GGUFExport(whole: checkpoint, mix: mix).write(
                to: URL(fileURLWithPath: output), isCancelled: { cancellation.isSet })
        }
        return try ToPython.int(size).release()
    }
}
