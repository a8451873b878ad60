import CKernels
import Tensors

extension Backend {
    /// Rows packed for products, in chunks, so that a product can be split over rows as well as over output features.
    ///
    /// Rows packed for one type of weights serve every type of the same kind: all dense types, or all quantized ones.
    struct PackedRows {
        let rows: Int
        /// Rows that a chunk can have: scratch memory is taken for as many, so that it need not grow with every larger chunk.
        let mostRows: Int
        let columns: Int
        /// Of the products that they are packed for.
        let mode: ck_mode
        let chunkBytes: Int
        fileprivate let memory: UnsafeMutableRawPointer

        /// As few chunks as may be, of about as many rows each: a chunk of few rows takes as long to read its weights as any other.
        var chunkCount: Int { (rows + mostRows - 1) / mostRows }

        /// Every chunk but the last fills the tiles of products that have such.
        func rowsOfChunk(_ chunk: Int) -> Range<Int> {
            let tile = 16, tiles = (rows + tile - 1) / tile
            return chunk * tiles / chunkCount * tile..<min(rows, (chunk + 1) * tiles / chunkCount * tile)
        }

        func chunk(_ index: Int) -> UnsafeMutableRawPointer { memory + index * chunkBytes }
    }

    /// Memory that groups of rows are packed into; grows and never shrinks.
    final class PackingBuffer {
        /// What was packed last, until the next call of `pack`.
        private(set) var groups: [PackedRows] = []
        fileprivate var chunks: [(group: Int, chunk: Int)] = []
        private var buffer = AlignedBuffer(byteCount: 0)

        /// Makes room for groups of rows and lists their chunks.
        fileprivate func arrange(
            _ groupCount: Int, columns: Int, _ mode: ck_mode, mostRows: Int, rows: (Int) -> Int,
            bytes: (Int) -> (chunk: Int, total: Int)
        ) {
            groups.removeAll(keepingCapacity: true)
            chunks.removeAll(keepingCapacity: true)
            var total = 0
            for group in 0..<groupCount { total += bytes(rows(group)).total }
            if buffer.byteCount < total { buffer = AlignedBuffer(byteCount: total) }
            var offset = 0
            for group in 0..<groupCount {
                let size = bytes(rows(group))
                let packed = PackedRows(
                    rows: rows(group), mostRows: mostRows, columns: columns, mode: mode, chunkBytes: size.chunk,
                    memory: buffer.memory + offset)
                for chunk in 0..<packed.chunkCount { chunks.append((group, chunk)) }
                groups.append(packed)
                offset += size.total
            }
        }
    }

    /// Bytes of rows packed for products with weights of a type.
    static func packedBytes(_ dtype: DType, _ mode: ck_mode, rows: Int, columns: Int) -> Int {
        ck_activation_bytes(type(dtype), mode, Int64(rows), Int64(columns))
    }

    private func packedBytes(_ type: ck_type, _ mode: ck_mode, rows: Int, columns: Int) -> (chunk: Int, total: Int) {
        let chunkRows = Int(ck_chunk_rows(type, mode))
        let full = ck_activation_bytes(type, mode, Int64(min(rows, chunkRows)), Int64(columns))
        let chunk = (full + 63) / 64 * 64
        return (chunk, chunk * ((rows + chunkRows - 1) / chunkRows))
    }

    /// Packs the rows of `x` for products with weights of a type.
    func pack(_ x: Matrix, for dtype: DType, _ mode: ck_mode) -> PackedRows {
        packGroups(1, columns: x.columns, for: dtype, mode, rows: { _ in x.rows }) { _ in (x, nil) }
        return packing.groups[0]
    }

    /// Packs several groups of rows at once: `rows(g)` rows of `source(g)`, or those rows of it that `source` numbers.
    /// They are in `packing.groups` until the next call.
    func packGroups(
        _ groupCount: Int, columns: Int, for dtype: DType, _ mode: ck_mode, rows: (Int) -> Int,
        source: (Int) -> (Matrix, rows: UnsafePointer<Int32>?)
    ) {
        let type = Self.type(dtype)
        let buffer = packing
        buffer.arrange(groupCount, columns: columns, mode, mostRows: Int(ck_chunk_rows(type, mode)), rows: rows) {
            packedBytes(type, mode, rows: $0, columns: columns)
        }
        func pack(_ task: Int) {
            let (group, chunk) = buffer.chunks[task]
            let packed = buffer.groups[group]
            let (x, gather) = source(group)
            let rows = packed.rowsOfChunk(chunk)
            ck_pack_activations(
                type, mode, gather == nil ? x.row(rows.lowerBound) : x.base, Int64(x.stride),
                gather.map { $0 + rows.lowerBound }, Int64(rows.count), Int64(columns), 0, Int64(rows.count),
                packed.chunk(chunk))
        }
        // Packing a few rows takes less time than handing them out.
        let rowCount = buffer.groups.reduce(0) { $0 + $1.rows }
        if rowCount <= 8 || rowCount * columns <= 16_384 {
            for task in buffer.chunks.indices { pack(task) }
        } else {
            pool.run(buffer.chunks.count) { task, _ in pack(task) }
        }
    }
}
