import Checkpoints
import Foundation
import Tensors

/// Cosines and sines of the rotary embedding (arXiv 2104.09864), [positions, d/2] each.
///
/// Frequencies and angles are rounded to f32 as transformers rounds them (`MixtralRotaryEmbedding`), so that long
/// documents turn by the same angles.
struct RotaryTable {
    let layout: ModelConfig.RotaryLayout
    private let half: Int
    private let buffer: AlignedBuffer
    let positions: Int

    init(_ config: ModelConfig, positions: Int) {
        layout = config.rotaryLayout
        half = config.headSize / 2
        self.positions = positions
        buffer = AlignedBuffer(Float.self, count: 2 * half * positions)
        let cosines = buffer.bound(to: Float.self)
        let sines = cosines + half * positions
        for pair in 0..<half {
            let frequency = 1 / Float(pow(Double(config.ropeTheta), Double(2 * pair) / Double(config.headSize)))
            for position in 0..<positions {
                let angle = Double(Float(position) * frequency)
                cosines[position * half + pair] = Float(cos(angle))
                sines[position * half + pair] = Float(sin(angle))
            }
        }
    }

    func cosines(_ position: Int) -> UnsafePointer<Float> {
        UnsafePointer(buffer.bound(to: Float.self) + position * half)
    }
    func sines(_ position: Int) -> UnsafePointer<Float> { cosines(positions + position) }
}
