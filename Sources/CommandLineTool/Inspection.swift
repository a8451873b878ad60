import Checkpoints
import Foundation
import Quantization
import Tensors
import Tokenizers

/// Everything `moescope inspect` says of a checkpoint. Its JSON (snake case) is an interface: fields are added, not changed.
struct Inspection: Encodable {
    struct File: Encodable {
        let name: String
        let bytes: Int
    }
    struct Share: Encodable {
        let dtype: String
        let tensors: Int
        let parameters: Int
        let bytes: Int
        let bitsPerWeight: Double
        /// What the tensors are for, in GGUF's words.
        let roles: [String]
    }
    struct QuantizationFacts: Encodable {
        /// The kind of file whose mix of types this is, as llama.cpp names it; nil: another mix.
        let mix: String?
        /// What the file says it is (`general.file_type`); nil: nothing.
        let announced: String?
        let bitsPerWeight: Double
    }
    struct TokenizerFacts: Encodable {
        let file: String
        let kind: String
        let vocabularySize: Int
        let bos: Int32?
        let bosPiece: String?
        let eos: Int32?
        let eosPiece: String?
        /// Ids put before and after every text.
        let prefix: [Int32]
        let suffix: [Int32]
        let sha256: String
    }
    struct TemplateFacts: Encodable {
        let source: String
        /// nil: a format that is not known here.
        let kind: String?
        let characters: Int
    }

    let name: String
    /// Folder or file; of a card the repository that has the weights.
    let path: String
    /// False for a card.
    let hasWeights: Bool
    let config: ModelConfig
    let parametersTotal: Int
    let parametersActive: Int
    /// For a card, the size as published, in BF16.
    let weightBytes: Int
    let quantization: QuantizationFacts?
    let types: [Share]
    let files: [File]
    let tokenizer: TokenizerFacts?
    let chatTemplate: TemplateFacts?
    let license: String?
    /// What looks wrong or unusual, in sentences; the model may run all the same.
    let remarks: [String]
    /// What the files say and is not obeyed, though it would matter; among the remarks as well.
    let notices: [String]
    /// For a card, where it is described.
    let source: String?
    let cardTokenizer: String?

    private enum CodingKeys: CodingKey {
        case name, path, hasWeights, config, parametersTotal, parametersActive, weightBytes, quantization, types, files
        case tokenizer, chatTemplate, license, remarks, notices, source
    }

    init(_ checkpoint: Checkpoint) {
        let notes = checkpoint.notes()
        name = checkpoint.name
        path = checkpoint.url.path
        hasWeights = true
        config = checkpoint.config
        parametersTotal = checkpoint.parametersTotal
        parametersActive = checkpoint.parametersActive
        weightBytes = checkpoint.weightBytes
        quantization = QuantizationFacts(
            mix: QuantizationMix(of: checkpoint)?.rawValue,
            announced: notes.fileType.map { QuantizationMix(fileType: $0)?.rawValue ?? "type \($0)" },
            bitsPerWeight: Self.bits(checkpoint.weightBytes, checkpoint.parametersTotal))
        types = TypeUse.all(in: checkpoint).map { use in
            Share(
                dtype: use.dtype.rawValue, tensors: use.tensors, parameters: use.parameters, bytes: use.bytes,
                bitsPerWeight: Self.bits(use.bytes, use.parameters), roles: use.roles)
        }
        files = checkpoint.files.map {
            let size = try? FileManager.default.attributesOfItem(atPath: $0.path)[.size] as? Int
            return File(name: $0.lastPathComponent, bytes: size ?? 0)
        }
        chatTemplate = notes.chatTemplate.map {
            TemplateFacts(source: $0.source, kind: $0.kind, characters: $0.text.count)
        }
        license = notes.license
        var remarks = Remarks(checkpoint, notes)
        tokenizer = Self.tokenizer(of: checkpoint, remarks: &remarks)
        self.remarks = remarks.sentences
        self.notices = checkpoint.notices
        source = nil
        cardTokenizer = nil
    }

    /// What is known of a model without its weights.
    init(_ card: ModelCard) {
        let inventory = TensorInventory(card.config)
        name = card.name
        path = "https://huggingface.co/\(card.repository)"
        hasWeights = false
        config = card.config
        parametersTotal = inventory.config.parametersTotal
        parametersActive = inventory.config.parametersActive
        weightBytes = 2 * inventory.config.parametersTotal
        quantization = nil
        types = []
        files = []
        tokenizer = nil
        chatTemplate = card.chatTemplate.map { TemplateFacts(source: card.repository, kind: $0, characters: 0) }
        license = card.license
        remarks = []
        notices = []
        source = card.paper
        cardTokenizer = card.tokenizer
    }

    private static func bits(_ bytes: Int, _ parameters: Int) -> Double {
        8 * Double(bytes) / Double(max(1, parameters))
    }

    private static func tokenizer(of checkpoint: Checkpoint, remarks: inout Remarks) -> TokenizerFacts? {
        guard let url = checkpoint.tokenizerFile else {
            remarks.add("There is no tokenizer: corpora must give token ids.")
            return nil
        }
        do throws(TokenizerError) {
            let tokenizer = try TokenizerFile.open(url)
            remarks.compare(tokenizer)
            for notice in tokenizer.frame.notices { remarks.add("Tokenizer: \(notice).") }
            return TokenizerFacts(
                file: url.lastPathComponent, kind: tokenizer.kind.rawValue, vocabularySize: tokenizer.vocabularySize,
                bos: tokenizer.bos, bosPiece: tokenizer.bos.flatMap(tokenizer.piece), eos: tokenizer.eos,
                eosPiece: tokenizer.eos.flatMap(tokenizer.piece), prefix: tokenizer.frame.prefix,
                suffix: tokenizer.frame.suffix, sha256: tokenizer.sha256)
        } catch {
            remarks.add("The tokenizer cannot be read: \(error)")
            return nil
        }
    }
}
