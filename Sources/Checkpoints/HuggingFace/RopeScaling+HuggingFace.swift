import FileFormats
import Foundation

extension RotaryConfig {
    /// The rotary embedding as transformers 5.24 puts it together (`RotaryEmbeddingConfigMixin` in `modeling_rope_utils.py`):
    /// `rope_scaling` goes before `rope_parameters`, as a whole; the base within the section before the one beside it.
    /// - Returns: the embedding, and sentences about settings that are given twice and differ.
    static func huggingFace(
        _ file: ConfigFile, _ family: Family, contextLength: Int, headSize: Int, wholeHead: Int
    ) throws(FileError) -> (RotaryConfig, notices: [String]) {
        var notices: [String] = []
        let older = try file.section("rope_scaling").flatMap { $0.object.count > 0 ? $0 : nil }
        let newer = try file.section("rope_parameters").flatMap { $0.object.count > 0 ? $0 : nil }
        if let older, let newer, older.object != newer.object {
            notices.append(
                "config.json: rope_parameters is not used: rope_scaling is there as well and goes first, "
                    + "as in transformers")
        }
        let section = older ?? newer
        let outer = try file.optionalNumber("rope_theta")
        let inner = try section?.optionalNumber("rope_theta")
        if let section, let inner, let outer, inner != outer {
            notices.append(
                "config.json: rope_theta \(outer) is not used: \(section.prefix)rope_theta \(inner) goes first, "
                    + "as in transformers")
        }
        var rotary = RotaryConfig(
            theta: inner ?? outer ?? family.defaults.ropeTheta, layout: family.rotaryLayout,
            skipsFullLayers: family.rotary.skipsFullLayers)
        rotary.size = try rotatedSize(file, section, family, headSize: headSize)
        if family.rotary.refusesPart {
            for place in [section, file] {
                guard let place, let part = try place.optionalNumber("partial_rotary_factor"), part != 1 else {
                    continue
                }
                throw FileError(
                    .unsupported, file: place.path, field: "field \(place.prefix)partial_rotary_factor", expected: "1",
                    found: "\(part)")
            }
        }
        guard let section else {
            guard !family.rotary.needsSection else { throw file.missing("rope_scaling") }
            return (rotary, notices)
        }
        if let nested = section.unread.first(where: { $0.value.object != nil }) {
            throw section.wrong(nested.field, expected: "one rotary embedding for all layers")
        }
        let innerPart = try section.optionalNumber("partial_rotary_factor")
        if family.rotary.hasAlpha, let stretched = try stretchedBase(section, rotary.theta, headSize: headSize) {
            rotary.theta = stretched
            return (rotary, notices)
        }
        rotary.scaling = try RopeScaling.huggingFace(
            section, family, contextLength: contextLength, headSize: rotary.size ?? headSize, file: file)
        if let scaling = rotary.scaling, scaling.kind != .linear,
            let outer = try file.optionalSize("original_max_position_embeddings"),
            outer != scaling.originalContext
                || section["original_max_position_embeddings"].map({ $0.int != outer }) ?? false
        {
            notices.append(
                "config.json: original_max_position_embeddings is \(outer) beside \(section.prefix.dropLast()), which has "
                    + "\(section["original_max_position_embeddings"]?.kindDescription ?? "none"): "
                    + "\(scaling.originalContext) is used, as in transformers")
        }
        if family.rotary.growsQueries {
            _ = (section["llama_4_scaling_beta"], section["max_position_embeddings"])
        }
        if family.rotary.hasLatentPart {
            if let innerPart, Int(Double(wholeHead) * Double(innerPart)) != headSize {
                throw section.wrong(
                    "partial_rotary_factor", expected: "qk_rope_head_dim \(headSize) of a head of \(wholeHead)")
            }
            return (rotary, notices + unknown(section, rotary.scaling))
        }
        guard family.rotary.partByDefault == nil else { return (rotary, notices + unknown(section, rotary.scaling)) }
        // The other families turn whole heads; only the scaled tables would become narrower, and not fit.
        if rotary.scaling != nil {
            var part = innerPart
            if part == nil { part = try file.optionalNumber("partial_rotary_factor") }
            let place = innerPart == nil ? "" : section.prefix
            guard let part, part != 1 else { return (rotary, notices + unknown(section, rotary.scaling)) }
            throw FileError(
                .unsupported, file: file.path, field: "field \(place)partial_rotary_factor", expected: "1",
                found: "\(part)")
        }
        if let innerPart, innerPart != 1 {
            notices.append(
                "config.json: \(section.prefix)partial_rotary_factor \(innerPart) is not used: \(family.architecture) turns "
                    + "whole heads")
        }
        return (rotary, notices + unknown(section, rotary.scaling))
    }

    /// Elements of a head that are turned, where a family has such a setting: ⌊d · part⌋; nil: all.
    private static func rotatedSize(
        _ file: ConfigFile, _ section: ConfigFile?, _ family: Family, headSize: Int
    ) throws(FileError) -> Int? {
        guard let usual = family.rotary.partByDefault else { return nil }
        func part(_ file: ConfigFile?) throws(FileError) -> Double? {
            guard let file, let value = file["partial_rotary_factor"] else { return nil }
            guard let part = value.double, part > 0, part <= 1 else {
                throw file.wrong("partial_rotary_factor", expected: "a number above 0, at most 1")
            }
            return part
        }
        var share = try part(section)
        if share == nil { share = try part(file) }
        if let field = family.rotary.sizeField, let size = try file.optionalSize(field) {
            guard size <= headSize else { throw file.wrong(field, expected: "at most the head size \(headSize)") }
            if share == nil { return size == headSize ? nil : size }
        }
        let size = Int(Double(headSize) * (share ?? usual))
        return size == headSize ? nil : size
    }

    /// The base of "dynamic" scaling with a fixed `alpha`: base · α^(d / (d − 2)) (`compute_ntk_alpha_rope_parameters`).
    private static func stretchedBase(
        _ section: ConfigFile, _ base: Float, headSize: Int
    ) throws(FileError) -> Float? {
        var name = try section.optionalString("rope_type")
        if name == nil { name = try section.optionalString("type") }
        guard name == "dynamic", let alpha = try section.optionalNumber("alpha"), alpha != 0 else { return nil }
        guard alpha > 0, headSize > 2 else { throw section.wrong("alpha", expected: "a number above 0") }
        return Float(Double(base) * pow(Double(alpha), Double(headSize) / Double(headSize - 2)))
    }

    /// Sentences about settings of a section that its kind of scaling does not have.
    private static func unknown(_ section: ConfigFile, _ scaling: RopeScaling?) -> [String] {
        section.unread.filter { $0.field != "type" }.map { field, value in
            let name = scaling?.kind.rawValue.lowercased() ?? "default"
            return
                "config.json: \(section.prefix)\(field) (\(value.kindDescription)) is not used: the rotary embedding "
                + "of type \(name) has no such setting"
        }
    }
}

extension RopeScaling {
    /// `rope_scaling` (transformers 4) or `rope_parameters` (transformers 5); nil for the plain rotary embedding.
    fileprivate static func huggingFace(
        _ section: ConfigFile, _ family: Family, contextLength: Int, headSize: Int, file: ConfigFile
    ) throws(FileError) -> RopeScaling? {
        var name = try section.optionalString("rope_type")
        if name == nil { name = try section.optionalString("type") }
        guard let name, name != "default" else { return nil }
        func factor() throws(FileError) -> Float? {
            guard let factor = try section.optionalNumber("factor") else { return nil }
            guard factor > 0 else { throw section.wrong("factor", expected: "a number above 0") }
            return factor
        }
        let inner = try section.optionalSize("original_max_position_embeddings")
        let outer = try file.optionalSize("original_max_position_embeddings")
        let outerFirst = family.rotary.outerOriginalContextFirst
        let original = (outerFirst ? outer ?? inner : inner) ?? contextLength
        var scaling: RopeScaling
        switch name {
        case "linear":
            guard let factor = try factor() else { throw section.missing("factor") }
            scaling = RopeScaling(kind: .linear, factor: factor, originalContext: original)
        case "yarn":
            let given = try factor()
            // Null has the factor follow from the contexts; a section without the field is refused by the reference.
            guard given != nil || section.isNull("factor") else { throw section.missing("factor") }
            let factor = given ?? Float(contextLength) / Float(original)
            scaling = RopeScaling(
                kind: .yarn, factor: factor, originalContext: original,
                betaFast: try beta(section, "beta_fast", default: 32),
                betaSlow: try beta(section, "beta_slow", default: 1),
                roundsRamp: try section.flag("truncate", default: !section.isNull("truncate")),
                attentionFactor: try yarnAttentionFactor(section, factor: factor))
        case "longrope", "su":
            scaling = try longRope(
                section, factor: try factor(), original: original, contextLength: contextLength, headSize: headSize)
        default:
            throw FileError(
                .unsupported, file: section.path, field: "field \(section.prefix)rope_type",
                expected: "default, linear, yarn or longrope", found: "\"\(name)\"")
        }
        guard family.rotary.hasMagnitudes else { return scaling }
        for field in ["short_mscale", "long_mscale"] where section[field] == nil { throw section.missing(field) }
        guard name != "linear" || inner != nil else { throw section.missing("original_max_position_embeddings") }
        scaling.shortAttentionFactor = try section.optionalNumber("short_mscale")
        scaling.longAttentionFactor = try section.optionalNumber("long_mscale")
        return scaling
    }

    /// One of YaRN's two bounds; the reference takes 0 for absent.
    private static func beta(
        _ section: ConfigFile, _ field: String, default fallback: Float
    ) throws(FileError) -> Float {
        let value = try section.optionalNumber(field) ?? 0
        guard value >= 0 else { throw section.wrong(field, expected: "a number above 0") }
        return value == 0 ? fallback : value
    }

    private static func yarnAttentionFactor(_ section: ConfigFile, factor: Float) throws(FileError) -> Float {
        // Read whether or not they count, so that none is called unknown.
        let (scale, allDimensions) = (
            try section.optionalNumber("mscale") ?? 0, try section.optionalNumber("mscale_all_dim") ?? 0
        )
        if let given = try section.optionalNumber("attention_factor") { return given }
        func magnitude(_ scale: Float) -> Float { factor <= 1 ? 1 : 0.1 * scale * Float(log(Double(factor))) + 1 }
        return scale != 0 && allDimensions != 0 ? magnitude(scale) / magnitude(allDimensions) : magnitude(1)
    }

    private static func longRope(
        _ section: ConfigFile, factor: Float?, original: Int, contextLength: Int, headSize: Int
    ) throws(FileError) -> RopeScaling {
        let stretch = factor ?? Float(contextLength) / Float(original)
        let short = try section.numbers("short_factor")
        let long = try section.numbers("long_factor")
        for (field, values) in [("short_factor", short), ("long_factor", long)] where values.count != headSize / 2 {
            throw section.wrong(field, expected: "an array of \(headSize / 2) numbers")
        }
        return RopeScaling(
            kind: .longRope, factor: stretch, originalContext: original,
            attentionFactor: try section.optionalNumber("attention_factor")
                ?? longRopeAttentionFactor(factor: stretch, originalContext: original),
            shortFactors: short, longFactors: long)
    }

    /// √(1 + ln s / ln c) for a context c stretched s times.
    static func longRopeAttentionFactor(factor: Float, originalContext: Int) -> Float {
        factor <= 1 || originalContext <= 1
            ? 1 : Float((1 + log(Double(factor)) / log(Double(originalContext))).squareRoot())
    }
}
