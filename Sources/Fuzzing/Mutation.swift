import Crypto
import FileFormats
import Foundation
import Tensors

/// One mutated input: a function of the format, the seed of the random numbers and its number alone.
struct Mutation {
    let seed: Seed
    /// Files that differ from the seed's.
    let changed: [String: [UInt8]]

    init(_ format: Format, seeds: [Seed], seed number: UInt64, index: Int) {
        var bytes = ByteMutations(seed: number, index: UInt64(index))
        let seed = bytes.pick(seeds)
        let donor = bytes.pick(seeds)
        let target = bytes.pick(seed.targets)
        let original = seed.files[target] ?? []
        let other = donor.files[bytes.pick(donor.targets)] ?? []
        var file = original
        for _ in 0..<bytes.pick([1, 1, 1, 2, 2, 3, 6]) {
            bytes = Self.change(&file, name: target, donor: other, with: bytes)
        }
        self.init(format, of: seed, target: target, file: file, mends: bytes.chance(2))
    }

    /// A seed with another file in place of one.
    /// - Parameter mends: whether the hashes of the seed's other files are made to agree, where the format has such.
    init(_ format: Format, of seed: Seed, target: String, file: [UInt8], mends: Bool = true) {
        var changed = [target: file]
        if format.hasHashes, mends {
            Self.mendHashes(of: seed.files[target] ?? [], as: file, in: seed, besides: target, into: &changed)
        }
        self.seed = seed
        self.changed = changed
    }

    /// One change that knows the kind of file by its name.
    /// - Returns: the random numbers, to go on with.
    static func change(
        _ file: inout [UInt8], name: String, donor: [UInt8], with bytes: ByteMutations
    ) -> ByteMutations {
        var binary = BinaryMutations(json: JSONMutations(bytes: bytes))
        switch URL(filePath: name).pathExtension {
        case "safetensors": binary.changeSafetensors(&file, donor: donor)
        case "gguf": binary.changeGGUF(&file, donor: donor)
        case "model": binary.changeProtobuf(&file, donor: donor)
        case "json": binary.json.change(&file, donor: donor)
        case "jsonl" where file.first != 0x1F: binary.json.changeLines(&file, donor: donor)
        default: binary.json.bytes.change(&file, donor: donor)
        }
        return binary.json.bytes
    }

    /// Wherever the seed's files give the original's hash, the new one.
    private static func mendHashes(
        of original: [UInt8], as file: [UInt8], in seed: Seed, besides target: String,
        into changed: inout [String: [UInt8]]
    ) {
        let (before, after) = (SHA256.hash(data: original).hex, SHA256.hash(data: file).hex)
        for (path, content) in seed.files where path != target && path.hasSuffix(".json") {
            let text = String(decoding: content, as: UTF8.self)
            guard text.contains(before) else { continue }
            changed[path] = Array(text.replacing(before, with: after).utf8)
        }
    }
}
