/// The sizes of latent attention's heads.
struct LatentShape {
    let heads: Int
    let headSize: Int
    let rotatedSize: Int
    let valueSize: Int
}

extension Backend {
    /// Takes keys and values apart, and gives every head the keys' shared elements behind its own.
    /// - Parameters:
    ///   - both: [T, H · (d − rotated + value size)], keys before values in each head.
    ///   - shared: [T, rotated].
    ///   - keys: [T, H · d].
    ///   - values: [T, H · value size].
    func spread(_ both: Matrix, shared: Matrix, _ shape: LatentShape, keys: Matrix, values: Matrix) {
        let own = shape.headSize - shape.rotatedSize
        forRows(both.rows) { rows in
            for row in rows {
                for head in 0..<shape.heads {
                    let from = both.row(row) + head * (own + shape.valueSize)
                    let key = keys.row(row) + head * shape.headSize
                    key.update(from: from, count: own)
                    (key + own).update(from: shared.row(row), count: shape.rotatedSize)
                    (values.row(row) + head * shape.valueSize).update(from: from + own, count: shape.valueSize)
                }
            }
        }
    }

    /// Copies each head, cut or filled with zeros to the other matrix's size.
    func pad(_ x: Matrix, heads: Int, into out: Matrix) {
        let (from, to) = (x.columns / heads, out.columns / heads)
        forRows(x.rows) { rows in
            for row in rows {
                for head in 0..<heads {
                    let target = out.row(row) + head * to
                    target.update(from: x.row(row) + head * from, count: min(from, to))
                    if to > from { (target + from).update(repeating: 0, count: to - from) }
                }
            }
        }
    }
}
