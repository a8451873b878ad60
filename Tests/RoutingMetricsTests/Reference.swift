import Foundation
import TestSupport
import Traces

/// Tests/Fixtures/routing-trace: a synthetic trace and its metrics by numpy, scipy and scikit-learn.
enum Reference {
    static let folder = Fixtures.folder.appending(path: "routing-trace")

    static func trace() throws -> Trace { try Trace(folder: folder) }

    static func values() throws -> Values {
        try JSONDecoder().decode(Values.self, from: Data(contentsOf: folder.appending(path: "reference.json")))
    }

    struct Values: Decodable {
        let layers: [Layer]
        let statistics: Statistics
        let aux: Auxiliary
        let paths: Paths
        let agreement: [Agreement]
        let speculation: Speculation
        let saturation: [Saturation]
    }

    struct Speculation: Decodable {
        let requests: Int
        let recall, popular, shuffled, document_popular, p: Double
    }

    struct Saturation: Decodable {
        struct Layer: Decodable {
            let overlap, chance, kl: Double
        }
        let layers: [Layer]
        let nll: Double
    }

    struct Position: Decodable {
        let tokens: Int
        let information, divergence: Double
    }

    struct Auxiliary: Decodable {
        let balance, z: Double
    }

    struct Paths: Decodable {
        let information: Double
        let largest, distinct, token: Int
        let chance, independent, pooled, token_share: Double
    }

    struct Agreement: Decodable {
        let overlap, same_set, same_first, kl: Double
        let edges, flips: [Double]
        let decile_tokens: [Int]
        let nll: [[Double]]
    }

    struct Association: Decodable {
        let chi_square, cramers_v: Double
        let log_odds: [[Double]]
    }

    struct TaskExperts: Decodable {
        let others, reference_en: [[Double]]
    }

    struct ParallelDivergence: Decodable {
        let pairs: [Double]
        let baseline: Double
    }

    struct Vocabulary: Decodable {
        struct Side: Decodable {
            let token_ids, occurrences: Int
            let specialization, information: Double
            let best_share: [Double]
        }
        let input, next, predicted: Side
    }

    struct Within: Decodable {
        let token_ids, assignments: Int
        let within, information: Double
    }

    struct Statistics: Decodable {
        let p, q, normal_p, normal_z, quantile_of, quantiles: [Double]
    }

    struct Layer: Decodable {
        struct Load: Decodable {
            let counts: [Int]
            let cv, gini, max_over_mean, entropy: Double
        }
        struct Information: Decodable {
            let plug_in, group_entropy: Double
            /// Assignment, first choice, set: bits and share of the groups' entropy.
            let units: [[Double]]
        }
        struct Decoding: Decodable {
            let gain, share, exponent: Double
            /// After 1 and 5 tokens.
            let accuracy: [Double]
        }
        struct Repetition: Decodable {
            let pairs: Int
            let first, any, load_first, load_any, document_first, document_any, p_first, p_any: Double
        }
        let tokens: Int
        let load: Load
        let group_counts: [[Int]]
        let group_tokens: [Int]
        let information: Information
        let decoding: Decoding
        let divergence: [Double]
        let repetition: [Repetition]
        let coactivation: [[Int]]
        let coactivation_chance: [[Double]]
        let confidence: [[Double]]
        let aux: Auxiliary
        let association: Association
        let task_experts: TaskExperts
        let parallel: ParallelDivergence
        let vocabulary: Vocabulary
        let within: Within
        let cache: [String: [Double]]
        let attention: [[Double]]
        let positions: [Position]
    }
}

func isClose(_ a: Double?, _ b: Double, _ tolerance: Double = 1e-9) -> Bool {
    a.map { abs($0 - b) <= tolerance * max(1, abs(b)) } ?? false
}
