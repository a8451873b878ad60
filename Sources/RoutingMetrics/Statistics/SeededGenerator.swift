/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and the same sequence everywhere.
package struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    /// - Parameter stream: replicates and layers draw from streams of their own, so that no thread order matters.
    package init(seed: UInt64, stream: UInt64 = 0) {
        state = seed
        // Through the mixer once, so that neighbouring streams do not start beside each other.
        state = next() &+ stream &* 0x9E37_79B9_7F4A_7C15
        state = next() ^ stream
    }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// Uniform in 0..<bound, without modulo bias worth naming (below 2⁻³² for bounds below 2³²).
    package mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }
}
