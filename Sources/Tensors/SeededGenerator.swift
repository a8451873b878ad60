import Foundation

/// SplitMix64 (Steele, Lea, Flood 2014; prng.di.unimi.it/splitmix64.c): the one generator of random numbers that depend on
/// a seed. It gives the same sequence on every machine.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
    /// What the state grows by with every number: 2⁶⁴ divided by the golden ratio, odd.
    package static let step: UInt64 = 0x9E37_79B9_7F4A_7C15

    private var state: UInt64

    /// Starts at a state; neighbouring states give neighbouring parts of one sequence.
    package init(state: UInt64) { self.state = state }

    /// - Parameter stream: replicates and layers draw from streams of their own, so that the order of threads does not
    ///   matter.
    package init(seed: UInt64, stream: UInt64 = 0) {
        state = seed
        // Through the mixer, so that neighbouring streams do not start beside each other.
        state = next() &+ stream &* Self.step
        state = next() ^ stream
    }

    /// Numbers that are a function of a place, so that they do not depend on how documents are batched.
    package init(seed: UInt64, document: UInt64, position: UInt64, layer: UInt64) {
        state = seed
        for part in [document, position, layer] { state = Self.mix(state &+ Self.step &+ Self.mix(part)) }
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    package mutating func next() -> UInt64 {
        state &+= Self.step
        return Self.mix(state)
    }

    /// Uniform in 0..<bound; an error below 2⁻³² for bounds below 2³².
    package mutating func below(_ bound: Int) -> Int {
        Int(next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// Puts elements into a random order (Fisher and Yates); the same on every machine, which the standard library does not promise
    /// of its own.
    package mutating func shuffle<Element>(_ elements: inout [Element]) {
        elements.withUnsafeMutableBufferPointer { shuffle($0, 0..<$0.count) }
    }

    /// The same for a part of the elements.
    package mutating func shuffle<Element>(_ elements: UnsafeMutableBufferPointer<Element>, _ part: Range<Int>) {
        for last in stride(from: part.count - 1, to: 0, by: -1) {
            elements.swapAt(part.lowerBound + last, part.lowerBound + below(last + 1))
        }
    }

    /// Uniform in [0, 1), 24 bits.
    package mutating func uniform() -> Float { Float(next() >> 40) * 0x1p-24 }

    /// Standard normal, by Box and Muller.
    package mutating func normal() -> Float {
        // Uniform in (0, 1], so that the logarithm is finite.
        func positive() -> Double { (Double(next() >> 11) + 1) * 0x1p-53 }
        let radius = (-2 * log(positive())).squareRoot()
        return Float(radius * cos(2 * .pi * positive()))
    }
}
