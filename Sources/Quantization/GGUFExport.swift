import CKernels
import Checkpoints
import Foundation
import FileFormats
import Tensors

/// Writes a checkpoint as a GGUF file of another type, tensor by tensor in bounded memory: what is in memory at a time is a
/// few megabytes of rows, whatever the size of the model.
public struct GGUFExport {
    public let checkpoint: Checkpoint
    public let mix: QuantizationMix
    let metadata: [(key: String, value: GGUFValue)]
    let tensors: [PlacedTensor]
    let importance: ImportanceMatrix?
    /// What other programs will do otherwise with the file, in sentences.
    public let notices: [String]
    /// LongRoPE's tables, after the tensors of the schema; empty for other models.
    let tables: [Tensor]

    /// - Parameters:
    ///   - tokenizer: the tokenizer's GGUF metadata (`tokenizer.ggml.…`); a GGUF checkpoint's own is kept.
    ///   - importance: how much each column of a matrix matters; nil: all the same.
    /// - Throws: `unsupported`, naming the setting that GGUF cannot hold; `mismatch` where the importance is of another model.
    public init(
        _ checkpoint: Checkpoint, mix: QuantizationMix, tokenizer: [(key: String, value: GGUFValue)],
        importance: ImportanceMatrix? = nil, notices: [String] = []
    ) throws(FileError) {
        self.notices = notices
        self.checkpoint = checkpoint
        self.mix = mix
        self.importance = importance
        metadata = try Self.metadata(checkpoint, mix: mix, tokenizer: tokenizer)
        // A GGUF file stays of its own layout.
        tensors = checkpoint.placedTensors(
            splitsLatent: metadata.contains { $0.key.hasSuffix(".attention.key_length_mla") })
        tables = Self.longRopeTables(checkpoint.config)
        try importance?.check(tensors)
        try checkReadsBack()
    }

    /// The type a tensor gets.
    public func dtype(_ tensor: PlacedTensor) -> DType {
        let config = checkpoint.config
        // As llama.cpp does: experts that come as MXFP4 were trained as such, and stay.
        if tensor.parts.first?.dtype == .mxfp4, mix.base.blockElements > 1 { return .mxfp4 }
        return mix.dtype(tensor, of: config)
    }

    /// Writes the file: to a temporary name, flushed, renamed; then opens it and compares its config with the checkpoint's.
    /// - Parameters:
    ///   - progress: called with weights written and weights in all.
    ///   - isCancelled: asked between pieces of a tensor; a cancelled export leaves nothing behind.
    /// - Returns: the file's size.
    /// - Throws: `CancellationError`, or a `FileError`.
    @discardableResult
    public func write(
        to url: URL, progress: (Int, Int) -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws -> Int {
        let types = tensors.map(dtype)
        var entries: [GGUFHeader.NewTensor] = []
        for (tensor, type) in zip(tensors, types) {
            guard let number = type.ggufType, let row = type.byteCount(elements: tensor.columns) else {
                throw FileError(
                    .unsupported, file: url.path, field: "tensor \(tensor.name)", found: type.rawValue)
            }
            let rows = tensor.shape.dropLast().reduce(1, *)
            entries.append(.init(name: tensor.name, shape: tensor.shape, type: number, byteCount: rows * row))
        }
        for table in tables {
            let type = DType.f32.ggufType ?? 0
            entries.append(.init(name: table.name, shape: table.shape, type: type, byteCount: table.bytes.count))
        }
        var writer = try AtomicFileWriter(url)
        try writer.write(GGUFHeader.encoded(metadata: metadata, tensors: entries))
        let total = tensors.reduce(0) { $0 + $1.count }
        var done = 0
        for (tensor, type) in zip(tensors, types) {
            let rows = ConvertedRows(
                tensor.arranged(), to: type, of: checkpoint, importance: importance?.weights(of: tensor))
            let before = writer.byteCount
            try rows.forEachBatch { bytes, weights in
                if isCancelled() { throw CancellationError() }
                try writer.write(bytes)
                done += weights
                progress(done, total)
            }
            let written = writer.byteCount - before
            try writer.write([UInt8](repeating: 0, count: GGUFHeader.padded(written) - written))
            for part in tensor.parts { part.releasePages() }
        }
        for table in tables {
            try writer.write(table.bytes)
            try writer.write([UInt8](repeating: 0, count: GGUFHeader.padded(table.bytes.count) - table.bytes.count))
        }
        let size = writer.byteCount
        try checkpoint.checkUnchanged()
        _ = try writer.finish()
        try checkTokenizer(url)
        try checkWritten(url)
        return size
    }
}

extension AtomicFileWriter {
    mutating func write(_ bytes: [UInt8]) throws(FileError) {
        try bytes.withUnsafeBufferPointer { raw throws(FileError) in try write(UnsafeRawBufferPointer(raw)) }
    }
}

/// The rows of one tensor, dequantized, put in order and quantized again by all processors.
private struct ConvertedRows {
    let tensor: PlacedTensor
    let dtype: DType
    let rowCount: Int
    let columns: Int
    /// Rows of one part (an expert).
    let rowsPerPart: Int
    /// Named in errors.
    let path: String
    /// Heads whose rows are reordered from the layout of halves to that of pairs; nil: rows stay.
    let permutedHeads: Int?
    /// How much each column matters, expert after expert, or once for all rows; nil: all the same.
    let importance: [Float]?

    init(_ tensor: PlacedTensor, to dtype: DType, of checkpoint: Checkpoint, importance: [Float]?) {
        let config = checkpoint.config
        path = checkpoint.url.path
        self.tensor = tensor
        self.importance = importance
        self.dtype = dtype
        let isVector = tensor.shape.count == 1
        // A bias of q or k is reordered with the rows it belongs to: one element a row.
        let permutes = config.attention.rotary.layout == .halves && config.ggufRotaryLayout == .pairs
        switch tensor.role {
        case .query, .queryBias: permutedHeads = permutes ? config.attention.headCount : nil
        case .key, .keyBias: permutedHeads = permutes ? config.attention.keyValueHeadCount : nil
        default: permutedHeads = nil
        }
        let splitsVector = isVector && permutedHeads != nil
        columns = splitsVector ? 1 : tensor.columns
        rowCount = tensor.count / max(1, columns)
        rowsPerPart = rowCount / tensor.parts.count
    }

    /// Where row `row` of the file is in the checkpoint: row (j, half) of a head becomes row (half, j).
    private func source(_ row: Int) -> Int {
        guard let permutedHeads else { return row }
        let size = rowCount / permutedHeads
        let (head, within) = (row / size, row % size)
        return head * size + within % 2 * (size / 2) + within / 2
    }

    func forEachBatch(
        _ body: (UnsafeRawBufferPointer, _ weights: Int) throws -> Void
    ) throws {
        guard let rowBytes = dtype.byteCount(elements: columns), rowCount > 0 else { return }
        // Some million weights a batch: in pieces that keep every processor busy, and soon done where the work is stopped.
        let batch = max(1, min(rowCount, (1 << 20) / max(1, columns)))
        let piece = max(1, min(64, (batch + 15) / 16))
        let out = AlignedBuffer(byteCount: batch * rowBytes)
        guard let output = out.bytes.baseAddress else { return }
        let target = SendablePointer(output)
        var start = 0
        // Parts whose bytes are there: those that this batch reads.
        var held = 0..<0
        defer { for part in tensor.parts[held] { part.produced?.letGo() } }
        while start < rowCount {
            let count = min(batch, rowCount - start)
            let needed =
                permutedHeads == nil
                ? start / rowsPerPart..<(start + count - 1) / rowsPerPart + 1 : tensor.parts.indices
            for part in tensor.parts[max(held.upperBound, needed.lowerBound)..<needed.upperBound] {
                part.produced?.hold()
            }
            for part in tensor.parts[held.lowerBound..<max(held.lowerBound, needed.lowerBound)] {
                part.produced?.letGo()
            }
            held = needed
            let failure = Failure()
            let first = start
            Forks.perform((count + piece - 1) / piece) { index in
                let rows = first + index * piece..<first + min(count, (index + 1) * piece)
                let ok = convert(rows, into: target.pointer + index * piece * rowBytes, rowBytes: rowBytes)
                if !ok { failure.set() }
            }
            if failure.isSet {
                let part = tensor.parts.first { $0.firstNonFinite() != nil } ?? tensor.parts[0]
                throw FileError(
                    .malformed, file: path, field: "tensor \(part.name)",
                    problem: "holds a value that is no finite number", hint: "written as \(tensor.name)")
            }
            try body(UnsafeRawBufferPointer(rebasing: out.bytes[..<(count * rowBytes)]), count * columns)
            letGo(start..<start + count)
            start += count
        }
    }

    /// Gives back the memory that rows were read into, where they were read in order: all experts of a layer are more than
    /// a small machine has.
    private func letGo(_ rows: Range<Int>) {
        guard permutedHeads == nil else { return }
        for index in rows.lowerBound / rowsPerPart...(rows.upperBound - 1) / rowsPerPart {
            let part = tensor.parts[index]
            let bytes = part.dtype.byteCount(elements: columns) ?? 0
            let own = rows.clamped(to: index * rowsPerPart..<(index + 1) * rowsPerPart)
            let (from, to) = (own.lowerBound - index * rowsPerPart, own.upperBound - index * rowsPerPart)
            part.releasePages(UnsafeRawBufferPointer(rebasing: part.bytes[from * bytes..<to * bytes]))
        }
    }

    /// False where a value is not finite.
    private func convert(_ rows: Range<Int>, into out: UnsafeMutableRawPointer, rowBytes: Int) -> Bool {
        let values = UnsafeMutablePointer<Float>.allocate(capacity: columns)
        defer { values.deallocate() }
        for row in rows {
            let place = source(row)
            let part = tensor.parts[place / rowsPerPart]
            let bytes = part.dtype.byteCount(elements: columns) ?? 0
            guard let base = part.bytes.baseAddress else { return false }
            let from = base + place % rowsPerPart * bytes
            let to = out + (row - rows.lowerBound) * rowBytes
            if part.dtype == dtype {
                let row = place % rowsPerPart
                // One row of a matrix, one element of a vector that is reordered.
                let slice = Tensor(
                    name: part.name, dtype: dtype, shape: [columns],
                    bytes: UnsafeRawBufferPointer(rebasing: part.bytes[row * rowBytes..<(row + 1) * rowBytes]),
                    owner: part.owner)
                guard slice.firstNonFinite() == nil else { return false }
                to.copyMemory(from: from, byteCount: rowBytes)
                continue
            }
            guard let type = part.dtype.ggufType else { return false }
            ck_dequantize(ck_type(rawValue: type), from, Int64(columns), values)
            for index in 0..<columns where !values[index].isFinite { return false }
            guard let importance else {
                Quantizer.quantize(values, count: columns, to: dtype, into: to)
                continue
            }
            importance.withUnsafeBufferPointer { weights in
                let expert = weights.count > columns ? place / rowsPerPart : 0
                let part = weights.baseAddress.map { $0 + expert * columns }
                Quantizer.quantize(values, count: columns, to: dtype, into: to, importance: part)
            }
        }
        return true
    }
}

/// Memory that several threads write disjoint parts of.
private struct SendablePointer: @unchecked Sendable {
    let pointer: UnsafeMutableRawPointer
    init(_ pointer: UnsafeMutableRawPointer) { self.pointer = pointer }
}

/// Says from several threads that something went wrong.
private final class Failure: @unchecked Sendable {
    private let lock = NSLock()
    private var happened = false
    func set() { lock.withLock { happened = true } }
    var isSet: Bool { lock.withLock { happened } }
}
