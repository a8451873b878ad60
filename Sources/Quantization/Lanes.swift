/// Eight elements at a time. Concrete, not generic: generic SIMD code is not specialized across the standard library's
/// boundary and runs a thousand times slower.
typealias Lanes = SIMD8<Float>

extension SIMD8 where Scalar == Float {
    @inline(__always)
    init(_ pointer: UnsafePointer<Float>) {
        self = UnsafeRawPointer(pointer).loadUnaligned(as: Self.self)
    }

    @inline(__always)
    func times(_ factor: Float) -> Self { self * Self(repeating: factor) }

    @inline(__always)
    func plus(_ term: Float) -> Self { self + Self(repeating: term) }

    /// The nearest integers (ties to even; magnitudes below 2²²) within limits; the lower limit for what is no number, as a value of
    /// 10³⁸ may make of its neighbours. Baseline x86-64 has no rounding
    /// instruction; adding and taking away 1.5 · 2²³ rounds.
    @inline(__always)
    func level(_ low: Float, _ high: Float) -> Self {
        let magic = Self(repeating: 12_582_912)
        let (bottom, top) = (Self(repeating: low), Self(repeating: high))
        let rounded = (self + magic) - magic
        let raised = bottom.replacing(with: rounded, where: rounded .>= bottom)
        return raised.replacing(with: top, where: raised .> top)
    }

    /// Sum of all elements, added in a tree.
    @inline(__always)
    var total: Float {
        let four = lowHalf + highHalf
        let two = four.lowHalf + four.highHalf
        return two[0] + two[1]
    }
}

/// Some consecutive elements, a multiple of 8, that are quantized together, each with a weight: how much its error matters.
struct SubBlock {
    let start: UnsafePointer<Float>
    let count: Int
    /// nil: every element counts the same.
    let weights: UnsafePointer<Float>?

    @inline(__always)
    init(_ start: UnsafePointer<Float>, _ count: Int, _ weights: UnsafePointer<Float>?) {
        self.start = start
        self.count = count
        self.weights = weights
    }

    /// Σw
    @inline(__always)
    var mass: Float { weights == nil ? Float(count) : sum { _ in Lanes(repeating: 1) } }

    /// Σ w · f over groups of eight.
    @inline(__always)
    func sum(_ term: (Lanes) -> Lanes) -> Float {
        var total = Lanes(repeating: 0)
        if let weights {
            for index in stride(from: 0, to: count, by: 8) {
                total += term(Lanes(start + index)) * Lanes(weights + index)
            }
        } else {
            for index in stride(from: 0, to: count, by: 8) { total += term(Lanes(start + index)) }
        }
        return total.total
    }

    /// Σwq, Σwq² and Σwqx for q = `level` of each element.
    @inline(__always)
    func moments(_ level: (Lanes) -> Lanes) -> (q: Float, qq: Float, qx: Float) {
        var (first, second, third) = (Lanes(repeating: 0), Lanes(repeating: 0), Lanes(repeating: 0))
        for index in stride(from: 0, to: count, by: 8) {
            let x = Lanes(start + index)
            let q = level(x)
            let weighted = if let weights { q * Lanes(weights + index) } else { q }
            first += weighted
            second += weighted * q
            third += weighted * x
        }
        return (first.total, second.total, third.total)
    }

    /// Calls `store` with every element's index and level.
    @inline(__always)
    func forEachLevel(_ level: (Lanes) -> Lanes, _ store: (Int, Float) -> Void) {
        for index in stride(from: 0, to: count, by: 8) {
            let q = level(Lanes(start + index))
            for lane in 0..<8 { store(index + lane, q[lane]) }
        }
    }

    var range: (low: Float, high: Float) {
        var (low, high) = (start[0], start[0])
        for index in 1..<count {
            low = start[index] < low ? start[index] : low
            high = start[index] > high ? start[index] : high
        }
        return (low, high)
    }

    var largestMagnitude: Float {
        let (low, high) = range
        return high > -low ? high : -low
    }
}
