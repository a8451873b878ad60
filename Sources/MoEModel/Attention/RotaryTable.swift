import Checkpoints
import Foundation
import Tensors

/// Cosines and sines of the rotary embedding (arXiv 2104.09864), [positions, d/2] each, with the stretching that a model's
/// config asks for.
///
/// Frequencies and angles are rounded to f32 as transformers rounds them (`modeling_rope_utils`), so that long
/// documents turn by the same angles.
struct RotaryTable {
    let layout: RotaryConfig.Layout
    private let half: Int
    private let buffer: AlignedBuffer
    let positions: Int

    /// - Parameter isLong: LongRoPE's second set of divisors, for texts beyond the original context.
    init(_ config: ModelConfig, positions: Int, isLong: Bool = false) {
        layout = config.attention.rotary.layout
        half = config.attention.headSize / 2
        self.positions = positions
        buffer = AlignedBuffer(Float.self, count: 2 * half * positions)
        let frequencies = Self.frequencies(config, isLong: isLong)
        let factor = Double(Self.attentionFactor(config.attention.rotary.scaling, isLong: isLong))
        let cosines = buffer.bound(to: Float.self)
        let sines = cosines + half * positions
        for pair in 0..<half {
            for position in 0..<positions {
                let angle = Double(Float(position) * frequencies[pair])
                cosines[position * half + pair] = Float(cos(angle) * factor)
                sines[position * half + pair] = Float(sin(angle) * factor)
            }
        }
    }

    func cosines(_ position: Int) -> UnsafePointer<Float> {
        UnsafePointer(buffer.bound(to: Float.self) + position * half)
    }
    func sines(_ position: Int) -> UnsafePointer<Float> { cosines(positions + position) }

    /// Whether texts of this many positions turn by LongRoPE's second set of divisors.
    static func isLong(_ config: ModelConfig, positions: Int) -> Bool {
        config.attention.rotary.scaling.map { $0.kind == .longRope && positions > $0.originalContext } ?? false
    }

    private static func attentionFactor(_ scaling: RopeScaling?, isLong: Bool) -> Float {
        guard let scaling else { return 1 }
        return (isLong ? scaling.longAttentionFactor : scaling.shortAttentionFactor) ?? scaling.attentionFactor
    }

    /// d/2 angles per position.
    private static func frequencies(_ config: ModelConfig, isLong: Bool) -> [Float] {
        let size = config.attention.headSize
        let plain = (0..<size / 2).map {
            1 / Float(pow(Double(config.attention.rotary.theta), Double(2 * $0) / Double(size)))
        }
        guard let scaling = config.attention.rotary.scaling else { return plain }
        switch scaling.kind {
        case .linear: return plain.map { $0 / scaling.factor }
        case .longRope: return zip(plain, isLong ? scaling.longFactors : scaling.shortFactors).map { $0 / $1 }
        case .yarn: return yarn(plain, scaling, base: Double(config.attention.rotary.theta))
        }
    }

    /// YaRN's blend (arXiv 2309.00071 §3.2): dimensions that turn more than `betaFast` times within the original
    /// context keep their frequency, those that turn less than `betaSlow` times are interpolated.
    private static func yarn(_ plain: [Float], _ scaling: RopeScaling, base: Double) -> [Float] {
        let size = Double(plain.count * 2)
        func dimension(turns: Float) -> Double {
            size * log(Double(scaling.originalContext) / (Double(turns) * 2 * .pi)) / (2 * log(base))
        }
        var low = dimension(turns: scaling.betaFast)
        var high = dimension(turns: scaling.betaSlow)
        if scaling.roundsRamp { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        (low, high) = (max(low, 0), min(high, size - 1))
        if low == high { high += 0.001 }
        return plain.enumerated().map { index, frequency in
            let ramp = Float(min(1, max(0, (Double(index) - low) / (high - low))))
            return frequency / scaling.factor * ramp + frequency * (1 - ramp)
        }
    }
}
