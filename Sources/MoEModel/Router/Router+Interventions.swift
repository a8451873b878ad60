import Foundation
import Hooks
import RouterPolicies

/// The rows of a batch as interventions ask for them.
struct RowContext {
    private(set) var batch: TokenBatch
    /// Position of each row in its document.
    private(set) var positions: [Int32]
    /// Document of each row.
    let documents: [Int32]

    init(batch: TokenBatch, positions: [Int32], documents: [Int32]) {
        self.batch = batch
        self.positions = positions
        self.documents = documents
    }

    /// Makes a context of one row that of another token, in the memory it has.
    mutating func replace(with token: Int32, at position: Int) {
        batch.replaceOnly(with: token)
        positions[0] = Int32(position)
    }

    func matches(_ scope: Intervention.Scope, row: Int) -> Bool {
        if let positions = scope.positions, !positions.contains(Int(self.positions[row])) { return false }
        if let tokens = scope.tokens, !tokens.contains(batch.tokens[row]) { return false }
        if let groups = scope.groups {
            let document = Int(documents[row])
            guard document < batch.groups.count, groups.contains(batch.groups[document]) else { return false }
        }
        return true
    }
}

extension Router {
    /// The largest number of choices any row can get under these interventions.
    static func width(expertsPerToken: Int, _ interventions: [Intervention]) -> Int {
        interventions.reduce(expertsPerToken) { width, intervention in
            switch intervention.action {
            case .topK(let count): max(width, count)
            case .force(let experts): max(width, experts.count)
            default: width
            }
        }
    }

    /// What happens to logits before the softmax: exclusion, steering, random routing.
    static func changeLogits(
        _ routing: Routing, layer: Int, _ interventions: [Intervention], context: RowContext, rows: Range<Int>
    ) {
        let count = routing.expertCount
        for intervention in interventions {
            for row in rows where intervention.scope.coversEveryRow || context.matches(intervention.scope, row: row) {
                let z = routing.logits + row * count
                switch intervention.action {
                case .exclude(let experts):
                    for expert in experts { z[expert] = -.infinity }
                case .steer(let experts, let strength):
                    let step = strength * standardDeviation(z, count)
                    for expert in experts { z[expert] += step }
                case .steerHard(let experts):
                    var largest = -Float.infinity
                    for expert in 0..<count { largest = max(largest, z[expert]) }
                    for expert in experts { z[expert] = largest + 0.01 }
                case .randomRouting(let seed):
                    var numbers = SplitMix(
                        seed: seed, document: UInt64(context.batch.firstDocument + Int(context.documents[row])),
                        position: UInt64(context.positions[row]),
                        layer: UInt64(layer))
                    for expert in 0..<count { z[expert] = numbers.nextNormal() }
                case .ablate, .scale, .force, .topK, .replace: break
                }
            }
        }
    }

    /// How many experts a row chooses, and which it must take.
    static func choose(
        _ routing: Routing, _ policy: RouterPolicy, bias: UnsafePointer<Float>?, _ interventions: [Intervention],
        context: RowContext, rows: Range<Int>
    ) {
        let choosing = interventions.filter {
            switch $0.action {
            case .topK, .force: true
            default: false
            }
        }
        for row in rows {
            var choices = policy.expertsPerToken
            var forced: [Int]?
            for intervention in choosing where context.matches(intervention.scope, row: row) {
                switch intervention.action {
                case .topK(let count): choices = count
                case .force(let experts): forced = experts
                default: break
                }
            }
            if let forced {
                take(forced, routing, row: row, policy.weigh)
            } else {
                choose(routing, policy, bias: bias, row: row, choices: choices)
            }
        }
    }

    private static func take(_ experts: [Int], _ routing: Routing, row: Int, _ weighing: RouterPolicy.Weighing) {
        let p = routing.scores + row * routing.expertCount
        let indices = routing.indices + row * routing.width
        let weights = routing.weights + row * routing.width
        for (place, expert) in experts.sorted(by: { (p[$1], $0) < (p[$0], $1) }).enumerated() {
            indices[place] = Int32(expert)
            weights[place] = p[expert]
        }
        clear(routing, row: row, from: experts.count)
        weigh(weights, experts.count, weighing)
    }

    /// What happens to the mixing weights after the choice: ablation, scaling, replacement.
    static func changeWeights(
        _ routing: Routing, _ interventions: [Intervention], context: RowContext, rows: Range<Int>
    ) {
        for intervention in interventions {
            for row in rows where intervention.scope.coversEveryRow || context.matches(intervention.scope, row: row) {
                let indices = routing.indices + row * routing.width
                let weights = routing.weights + row * routing.width
                switch intervention.action {
                case .ablate(let experts, let renormalize):
                    let total = (0..<routing.width).reduce(Float(0)) { $0 + weights[$1] }
                    var left: Float = 0
                    for place in 0..<routing.width {
                        if experts.contains(Int(indices[place])) { weights[place] = 0 }
                        left += weights[place]
                    }
                    if renormalize, left > 0 {
                        for place in 0..<routing.width { weights[place] *= total / left }
                    }
                case .scale(let experts, let factor):
                    for place in 0..<routing.width where experts.contains(Int(indices[place])) {
                        weights[place] *= factor
                    }
                case .replace(let expert, let other):
                    for place in 0..<routing.width where indices[place] == Int32(expert) {
                        indices[place] = Int32(other)
                    }
                case .force, .exclude, .steer, .steerHard, .topK, .randomRouting: break
                }
            }
        }
    }

    /// Population standard deviation over one row of logits; −∞ entries (excluded experts) are left out.
    private static func standardDeviation(_ z: UnsafePointer<Float>, _ count: Int) -> Float {
        var sum: Float = 0
        var squares: Float = 0
        var finite: Float = 0
        for expert in 0..<count where z[expert].isFinite {
            sum += z[expert]
            squares += z[expert] * z[expert]
            finite += 1
        }
        guard finite > 0 else { return 0 }
        let mean = sum / finite
        return max(0, squares / finite - mean * mean).squareRoot()
    }
}

/// Random numbers that are a function of their coordinates, so that they do not depend on how documents are batched
/// (splitmix64; normal numbers by Box and Muller).
struct SplitMix {
    private var state: UInt64

    init(seed: UInt64, document: UInt64, position: UInt64, layer: UInt64) {
        state = seed
        for part in [document, position, layer] {
            state = Self.mix(state &+ 0x9E37_79B9_7F4A_7C15 &+ Self.mix(part))
        }
    }

    private static func mix(_ value: UInt64) -> UInt64 {
        var z = value
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        return Self.mix(state)
    }

    /// Uniform in (0, 1].
    private mutating func nextUniform() -> Double { (Double(next() >> 11) + 1) * 0x1p-53 }

    mutating func nextNormal() -> Float {
        Float((-2 * log(nextUniform())).squareRoot() * cos(2 * .pi * nextUniform()))
    }
}

extension Model {
    /// Choices kept per row in every layer of a pass under these interventions: `expertsPerToken`, or the largest
    /// number that a `topK` or `force` asks for.
    public static func routingWidth(expertsPerToken: Int, _ interventions: [Intervention]) -> Int {
        Router.width(expertsPerToken: expertsPerToken, interventions)
    }
}
