import ArgumentParser
import Checkpoints
import FileFormats
import Foundation
import MoEModel
import Tensors
import Tracing

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure prefill and decoding speed, beside what this machine can do at most.",
        discussion: """
            Tokens are random. Prefill runs --documents of -p tokens in one wave while the hooks that --capture asks \
            for are recorded in memory or, with --record, written to a trace; decoding is measured token by token. \
            --capture given several times is measured in turn, run by run, for what recording costs.

            Examples:
              moescope bench polyglot
              moescope bench mixtral.Q4_K_M.gguf -p 512 -n 64 --repeat 5 --json
              moescope bench polyglot --capture none --precision exact
              moescope bench polyglot -n 0 --record --capture none --capture router_logits,attention_summary
            """)

    @Argument(help: .model)
    var model: String

    @Option(name: .customShort("p"), help: ArgumentHelp("Tokens to prefill; 0 leaves it out.", valueName: "n"))
    var prefill = 512

    @Option(name: .customShort("n"), help: ArgumentHelp("Tokens to decode; 0 leaves it out.", valueName: "n"))
    var decode = 64

    @Option(help: ArgumentHelp("Documents of -p tokens in one wave.", valueName: "n"))
    var documents = 1

    @Option(help: ArgumentHelp("What to record during prefill, as in `moescope trace`.", valueName: "list"))
    var capture = ["router_logits"]

    @Flag(help: "Write what is recorded to a temporary trace too, within the time that is measured.")
    var record = false

    @Option(help: ArgumentHelp("Memory to use, e.g. 12G (default: three quarters of what is free).", valueName: "size"))
    var memory: ByteSize?

    @Flag(help: "Measure from the first run on, without a warm-up: for models that take minutes a run.")
    var cold = false

    @Option(
        name: .customLong("repeat"),
        help: ArgumentHelp("Runs of each after a warm-up; the median counts.", valueName: "n"))
    var repetitions = 5

    @Option(help: .precision)
    var precision: Precision = .fast

    @Option(help: "Decoding's cache of keys and values: f32, f16 or q8_0 (default: f16; f32 with exact).")
    var cache: CacheType?

    @Option(help: ArgumentHelp("Threads to compute with (default: all processors).", valueName: "n"))
    var threads: Int?

    @Flag(help: "Also compute every log-probability, as `moescope trace` does.")
    var logprobs = false

    @Flag(help: "Print JSON.")
    var json = false

    func validate() throws {
        guard prefill >= 0, decode >= 0, prefill + decode > 0, documents >= 1, repetitions >= 1 else {
            throw ValidationError("-p, -n: expected 0 or more and not both 0; --documents, --repeat: at least 1")
        }
    }

    struct Speed: Encodable {
        let tokens: Int
        let tokens_per_second: Double
        let slowest: Double
        let fastest: Double
        /// Seconds of every run, in order.
        let runs: [Double]
        /// Operations of the products with weights: two per multiply-add.
        let gflops: Double
        /// Weights read per second.
        let gigabytes_per_second: Double
        let share_of_arithmetic_peak: Double
        let share_of_memory_peak: Double
    }

    struct Output: Encodable {
        let model: String
        let quantization: String
        let precision: String
        let isa: String
        let threads: Int
        let peaks: MachinePeaks
        /// With the first --capture.
        let prefill: Speed?
        /// One for each --capture.
        let captures: [Captured]
        let decode: Speed?
    }

    func run() throws {
        let loaded = try LoadedModel(model, precision: precision, threads: threads, memory: memory?.bytes)
            .sayingNotices()
        let engine = loaded.model
        say(
            "measuring this machine: memory read, and f32, bf16 (vectors and AMX tiles), int16 and int8 arithmetic, \(engine.threadCount) threads"
        )
        let peaks = MachinePeaks.measure(threads: engine.threadCount)
        let captured = prefill > 0 ? try measurePrefill(engine, peaks) : []
        let decodeSpeed = decode > 0 ? try measureDecode(engine, peaks) : nil
        let output = Output(
            model: engine.checkpoint.name, quantization: engine.checkpoint.quantization,
            precision: precision.rawValue, isa: Model.instructionSet, threads: engine.threadCount,
            peaks: peaks, prefill: captured.first?.speed, captures: captured, decode: decodeSpeed)
        if json {
            try print(output.prettyJSON())
        } else {
            try show(output)
        }
    }

    private func show(_ output: Output) throws {
        try print(
            "\(output.model) · \(output.quantization) · \(output.precision) · \(output.isa) · \(output.threads) threads"
        )
        let peaks = output.peaks
        let units = [
            ("f32", peaks.f32, "GFLOP/s"), ("bf16", peaks.bf16, "GFLOP/s"), ("AMX bf16", peaks.amx, "GFLOP/s"),
            ("int16", peaks.int16, "GOP/s"), ("int8", peaks.int8, "GOP/s"),
        ]
        // A unit that the processor, or the instruction set in use, does not have is left out.
        let present = units.filter { $0.1 > 0 }.map { String(format: " · \($0.0) %.0f \($0.2)", $0.1 / 1e9) }
        try print(String(format: "machine: memory %.1f GB/s", peaks.memoryRead / 1e9) + present.joined())
        for (name, speed) in [("prefill", output.prefill), ("decode", output.decode)] {
            guard let speed else { continue }
            try print(
                String(
                    format: "%-8@ %6d tokens  %9.1f tokens/s (%.1f to %.1f)  %7.1f GFLOP/s, %.0f %% of peak  "
                        + "%6.2f GB/s, %.0f %% of peak", name, speed.tokens, speed.tokens_per_second, speed.slowest,
                    speed.fastest, speed.gflops, 100 * speed.share_of_arithmetic_peak, speed.gigabytes_per_second,
                    100 * speed.share_of_memory_peak))
        }
        for other in output.captures.dropFirst() {
            let cost = String(format: "%+.1f %%", 100 * other.added_time)
            let speed = String(format: "%.1f", other.speed.tokens_per_second)
            try print(
                "prefill with \(other.capture): \(speed) tokens/s, \(cost) time beside \(output.captures[0].capture)")
        }
    }

    private func measureDecode(_ engine: Model, _ peaks: MachinePeaks) throws -> Speed {
        var tokens = RandomTokens(vocabularySize: engine.config.vocabularySize)
        let session = try Session(engine, cache: cache)
        var logits = try session.append(tokens.next(max(1, min(prefill, 32))))
        let start = session.tokens.count
        var times: [Double] = []
        for run in runs {
            session.truncate(to: start)
            let next = tokens.next(decode)
            let time = try seconds { for token in next { try session.decode(token, into: &logits) } }
            if run > 0 { times.append(time) }
        }
        let perToken = Double(engine.matrixParametersActive)
        return speed(
            times, tokens: decode, operations: 2 * perToken * Double(decode),
            weightBytes: engine.matrixBytesActive * Double(decode), of: engine, peaks)
    }

    func speed(
        _ times: [Double], tokens: Int, operations: Double, weightBytes: Double, of engine: Model, _ peaks: MachinePeaks
    ) -> Speed {
        let sorted = times.sorted()
        let middle = sorted[sorted.count / 2]
        // The peak for the type of most of the weights.
        let arithmetic = peaks.arithmetic(engine.checkpoint.dtypes.first?.dtype ?? .f32, precision)
        return Speed(
            tokens: tokens, tokens_per_second: Double(tokens) / middle,
            slowest: Double(tokens) / (sorted.last ?? middle), fastest: Double(tokens) / sorted[0], runs: times,
            gflops: operations / middle / 1e9, gigabytes_per_second: weightBytes / middle / 1e9,
            share_of_arithmetic_peak: operations / middle / arithmetic,
            share_of_memory_peak: weightBytes / middle / peaks.memoryRead)
    }

    /// Round 0 is the warm-up.
    var runs: ClosedRange<Int> { (cold ? 1 : 0)...repetitions }

    func seconds(_ body: () throws -> Void) rethrows -> Double {
        ProgressLine.seconds(try ContinuousClock().measure(body))
    }
}

/// Token ids from a fixed seed.
struct RandomTokens {
    private var state: UInt64 = 7
    let vocabularySize: Int

    init(vocabularySize: Int) { self.vocabularySize = vocabularySize }

    mutating func next(_ count: Int) -> [Int32] {
        (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32((state >> 33) % UInt64(vocabularySize))
        }
    }
}
