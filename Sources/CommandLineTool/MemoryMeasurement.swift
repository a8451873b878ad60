import Checkpoints
import Foundation
import MoEModel
import ReportGenerator

/// What this process takes when it does what a cell of the table stands for, beside what the table says.
struct MemoryMeasurement: Encodable {
    let context: Int
    let rows_at_once: Int
    let cache: String
    /// Resident when the headers were read and no weight was touched: the program itself.
    let baseline_bytes: Int
    /// Most that was resident, the program included.
    let peak_bytes: Int
    /// The model's share: peak less baseline.
    let measured_bytes: Int
    let predicted_bytes: Int
    /// measured / predicted − 1.
    let difference: Double

    /// Opens the model, reads `context` tokens in pieces of `rows` and generates from there.
    ///
    /// The embedding is read wholly first, as a long text does; these few tokens would touch a part of it. All other weights
    /// are counted where the pass itself reads them.
    /// - Throws: whatever keeps the model from running, and `MemoryError` where it does not fit this machine.
    init(_ path: URL, context: Int, settings: MemoryTable.Settings) throws {
        let checkpoint = try Checkpoint.open(path)
        let config = checkpoint.config
        let cache = settings.cache ?? CacheType(for: settings.precision)
        let rows = min(settings.rows, context)
        let working = WorkingMemory(
            config, precision: settings.precision, threads: settings.threads, isQuantized: checkpoint.isQuantized)
        let predicted =
            checkpoint.weightBytes + cache.bytesPerToken(config) * context
            + working.session(rows: rows, context: context)
        guard predicted < MachineMemory.available else {
            throw MemoryError(
                "--measure: this takes about \(Inspection.bytes(predicted)), and only "
                    + "\(Inspection.bytes(MachineMemory.available)) are free")
        }
        ProcessMemory.resetPeak()
        let before = try Self.now()
        let model = try Model(checkpoint, precision: settings.precision, threads: settings.threads)
        Self.touch(checkpoint.tensors.embedding.bytes)
        let session = try Session(model, cache: cache)
        var tokens = RandomTokens(vocabularySize: config.vocabularySize)
        var left = context
        while left > 0 {
            let count = min(rows, left)
            _ = try session.append(tokens.next(count))
            left -= count
        }
        // The last tokens once more, as generation reads them.
        let generated = min(4, context - 1)
        session.truncate(to: context - generated)
        for _ in 0..<generated { _ = try session.append(tokens.next(1)) }
        let after = try Self.now()
        self.context = context
        rows_at_once = rows
        self.cache = cache.rawValue
        baseline_bytes = before.resident
        peak_bytes = after.peak
        measured_bytes = after.peak - before.resident
        predicted_bytes = predicted
        difference = Double(measured_bytes) / Double(predicted) - 1
    }

    /// Reads a byte of every page.
    private static func touch(_ bytes: UnsafeRawBufferPointer) {
        var sum: UInt8 = 0
        for place in stride(from: 0, to: bytes.count, by: 4096) { sum ^= bytes[place] }
        withExtendedLifetime(sum) {}
    }

    private static func now() throws -> ProcessMemory {
        guard let memory = ProcessMemory.now() else {
            throw MemoryError("--measure: /proc/self/status does not say what this process takes")
        }
        return memory
    }

    var line: String {
        "measured \(Inspection.bytes(measured_bytes)) for \(Prose.count(context)) tokens, "
            + "\(Prose.count(rows_at_once)) at once, cache \(cache); predicted "
            + "\(Inspection.bytes(predicted_bytes)) (\(String(format: "%+.1f %%", 100 * difference))).\n"
            + "         The program itself takes \(Inspection.bytes(baseline_bytes)) more"
    }
}

/// Why memory cannot be measured.
struct MemoryError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
