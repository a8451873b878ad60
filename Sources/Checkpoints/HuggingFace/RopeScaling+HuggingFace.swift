import FileFormats
import Foundation

extension RopeScaling {
    /// `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5); nil for the plain rotary embedding.
    static func huggingFace(
        _ section: ConfigFile, contextLength: Int, headSize: Int, file: ConfigFile
    ) throws(FileError) -> RopeScaling? {
        var name = try section.optionalString("rope_type")
        if name == nil { name = try section.optionalString("type") }
        var original = try section.optionalSize("original_max_position_embeddings")
        if original == nil { original = try file.optionalSize("original_max_position_embeddings") }
        func factor() throws(FileError) -> Float {
            guard let factor = try section.optionalNumber("factor") else { throw section.missing("factor") }
            guard factor >= 1 else { throw section.wrong("factor", expected: "a number from 1") }
            return factor
        }
        switch name {
        case nil, "default": return nil
        case "linear":
            return RopeScaling(kind: .linear, factor: try factor(), originalContext: original ?? contextLength)
        case "yarn":
            let factor = try factor()
            return RopeScaling(
                kind: .yarn, factor: factor, originalContext: original ?? contextLength,
                betaFast: try section.optionalNumber("beta_fast") ?? 32,
                betaSlow: try section.optionalNumber("beta_slow") ?? 1,
                roundsRamp: try section.flag("truncate", default: true),
                attentionFactor: try yarnAttentionFactor(section, factor: factor))
        case "longrope", "su":
            return try longRope(section, original: original, contextLength: contextLength, headSize: headSize)
        case let name?:
            throw FileError(
                .unsupported, file: section.path, field: "field \(section.prefix)rope_type",
                expected: "default, linear, yarn or longrope", found: "\"\(name)\"")
        }
    }

    private static func yarnAttentionFactor(_ section: ConfigFile, factor: Float) throws(FileError) -> Float {
        if let given = try section.optionalNumber("attention_factor") { return given }
        func magnitude(_ scale: Float) -> Float { factor <= 1 ? 1 : 0.1 * scale * Float(log(Double(factor))) + 1 }
        if let scale = try section.optionalNumber("mscale"),
            let allDimensions = try section.optionalNumber("mscale_all_dim"), scale != 0, allDimensions != 0
        {
            return magnitude(scale) / magnitude(allDimensions)
        }
        return magnitude(1)
    }

    private static func longRope(
        _ section: ConfigFile, original: Int?, contextLength: Int, headSize: Int
    ) throws(FileError) -> RopeScaling {
        let original = original ?? contextLength
        var factor = try section.optionalNumber("factor")
        if factor == nil { factor = Float(contextLength) / Float(original) }
        let stretch = factor ?? 1
        let short = try section.numbers("short_factor")
        let long = try section.numbers("long_factor")
        for (field, values) in [("short_factor", short), ("long_factor", long)] where values.count != headSize / 2 {
            throw section.wrong(field, expected: "an array of \(headSize / 2) numbers")
        }
        return RopeScaling(
            kind: .longRope, factor: stretch, originalContext: original,
            attentionFactor: try section.optionalNumber("attention_factor")
                ?? longRopeAttentionFactor(factor: stretch, originalContext: original),
            shortFactors: short, longFactors: long, shortAttentionFactor: try section.optionalNumber("short_mscale"),
            longAttentionFactor: try section.optionalNumber("long_mscale"))
    }

    /// √(1 + ln s / ln c) for a context c stretched s times.
    static func longRopeAttentionFactor(factor: Float, originalContext: Int) -> Float {
        factor <= 1 || originalContext <= 1
            ? 1 : Float((1 + log(Double(factor)) / log(Double(originalContext))).squareRoot())
    }
}
