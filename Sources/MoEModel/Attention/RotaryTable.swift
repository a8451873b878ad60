import Checkpoints
import Foundation

/// Cosines and sines of the rotary embedding (arXiv 2104.09864), with the scaling of frequencies that a model's config asks
/// for.
///
/// Frequencies and angles are rounded to f32 as transformers rounds them (`modeling_rope_utils`), so that the rows of long
/// documents are rotated by the same angles.
struct RotaryTable {
    let layout: RotaryConfig.Layout
    /// Positions the table has.
    let positions: Int
    private let cosineMemory: OwnedMatrix
    private let sineMemory: OwnedMatrix
    /// [positions, turned elements / 2]
    var cosines: Matrix { cosineMemory.matrix }
    /// [positions, turned elements / 2]
    var sines: Matrix { sineMemory.matrix }

    /// - Parameter isLong: LongRoPE's second set of divisors, for texts beyond the original context.
    init(_ config: ModelConfig, positions: Int, isLong: Bool = false) {
        layout = config.attention.rotary.layout
        self.positions = positions
        let frequencies = Self.frequencies(config, isLong: isLong)
        let factor = Double(Self.attentionFactor(config.attention.rotary.scaling, isLong: isLong))
        func angle(_ position: Int, _ pair: Int) -> Double { Double(Float(position) * frequencies[pair]) }
        cosineMemory = OwnedMatrix(rows: positions, columns: config.attention.rotatedSize / 2) {
            Float(cos(angle($0, $1)) * factor)
        }
        sineMemory = OwnedMatrix(rows: positions, columns: config.attention.rotatedSize / 2) {
            Float(sin(angle($0, $1)) * factor)
        }
    }

    /// Whether texts of this many positions turn by the second set of divisors, and of attention factors, where a model has one.
    static func isLong(_ config: ModelConfig, positions: Int) -> Bool {
        config.attention.rotary.scaling.map {
            ($0.kind == .longRope || $0.longAttentionFactor != nil) && positions > $0.originalContext
        } ?? false
    }

    private static func attentionFactor(_ scaling: RopeScaling?, isLong: Bool) -> Float {
        guard let scaling else { return 1 }
        return (isLong ? scaling.longAttentionFactor : scaling.shortAttentionFactor) ?? scaling.attentionFactor
    }

    /// One angle per pair of elements and position.
    private static func frequencies(_ config: ModelConfig, isLong: Bool) -> [Float] {
        let size = config.attention.rotatedSize
        let unscaled = (0..<size / 2).map {
            1 / Float(pow(Double(config.attention.rotary.theta), Double(2 * $0) / Double(size)))
        }
        guard let scaling = config.attention.rotary.scaling else { return unscaled }
        switch scaling.kind {
        case .linear: return unscaled.map { $0 / scaling.factor }
        case .longRope: return zip(unscaled, isLong ? scaling.longFactors : scaling.shortFactors).map { $0 / $1 }
        case .yarn: return yarn(unscaled, scaling, base: Double(config.attention.rotary.theta))
        }
    }

    /// YaRN's blend (arXiv 2309.00071 §3.2): dimensions that turn more than `betaFast` times within the original
    /// context keep their frequency, those that turn less than `betaSlow` times are interpolated.
    private static func yarn(_ unscaled: [Float], _ scaling: RopeScaling, base: Double) -> [Float] {
        let size = Double(unscaled.count * 2)
        func dimension(turns: Float) -> Double {
            size * log(Double(scaling.originalContext) / (Double(turns) * 2 * .pi)) / (2 * log(base))
        }
        var low = dimension(turns: scaling.betaFast)
        var high = dimension(turns: scaling.betaSlow)
        if scaling.roundsRamp { (low, high) = (low.rounded(.down), high.rounded(.up)) }
        (low, high) = (max(low, 0), min(high, size - 1))
        if low == high { high += 0.001 }
        return unscaled.enumerated().map { index, frequency in
            let ramp = Float(min(1, max(0, (Double(index) - low) / (high - low))))
            return frequency / scaling.factor * ramp + frequency * (1 - ramp)
        }
    }
}
