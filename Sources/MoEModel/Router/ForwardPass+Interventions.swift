import Hooks
import RouterPolicies
import Tensors

extension ForwardPass {
    /// The largest number of choices that any row can get under these interventions.
    static func width(expertsPerToken: Int, _ interventions: [Intervention]) -> Int {
        interventions.reduce(expertsPerToken) { width, intervention in
            switch intervention.action {
            case .topK(let count): max(width, count)
            case .force(let experts): max(width, experts.count)
            default: width
            }
        }
    }

    /// What happens to router logits, [T, E], before they are scored: exclusion, steering, random routing.
    func change(_ logits: Matrix, _ layer: Int, _ interventions: [Intervention]) {
        for intervention in interventions {
            switch intervention.action {
            case .exclude(let experts): backend.exclude(experts, logits, rows: context.rows(in: intervention.scope))
            case .steer(let experts, let strength):
                backend.steer(experts, by: strength, logits, rows: context.rows(in: intervention.scope))
            case .steerHard(let experts):
                backend.raise(experts, above: 0.01, logits, rows: context.rows(in: intervention.scope))
            case .randomRouting(let seed):
                let (context, first) = (context, context.batch.firstDocument)
                backend.randomize(logits, rows: context.rows(in: intervention.scope)) { row in
                    SeededGenerator(
                        seed: seed, document: UInt64(first + Int(context.documents[row])),
                        position: UInt64(context.positions[row]), layer: UInt64(layer))
                }
            case .ablate, .scale, .force, .topK, .replace: break
            }
        }
    }

    /// How many experts a row chooses, and which it must take. Of several interventions that match a row the last one counts,
    /// and `force` counts more than `topK`.
    func changeChoices(
        _ routing: Routing, _ policy: RouterPolicy, bias: FloatVector?, _ interventions: [Intervention]
    ) {
        for intervention in interventions {
            guard case .topK(let count) = intervention.action else { continue }
            backend.choose(
                routing, policy, bias: bias, choices: count, rows: context.rows(in: intervention.scope))
        }
        for intervention in interventions {
            guard case .force(let experts) = intervention.action else { continue }
            backend.choose(experts, routing, policy, rows: context.rows(in: intervention.scope))
        }
    }

    /// What happens to the mixing weights after the choice: ablation, scaling, replacement.
    func changeWeights(_ routing: Routing, _ interventions: [Intervention]) {
        for intervention in interventions {
            switch intervention.action {
            case .ablate(let experts, let renormalize):
                backend.ablate(
                    experts, renormalize: renormalize, routing, rows: context.rows(in: intervention.scope))
            case .scale(let experts, let factor):
                backend.scaleWeights(
                    of: experts, by: factor, routing, rows: context.rows(in: intervention.scope))
            case .replace(let expert, let other):
                backend.replace(expert, with: other, routing, rows: context.rows(in: intervention.scope))
            case .force, .exclude, .steer, .steerHard, .topK, .randomRouting: break
            }
        }
    }
}

extension Model {
    /// Choices kept per row in every layer of a pass under these interventions: `expertsPerToken`, or the largest
    /// number that a `topK` or `force` asks for.
    public static func routingWidth(expertsPerToken: Int, _ interventions: [Intervention]) -> Int {
        ForwardPass.width(expertsPerToken: expertsPerToken, interventions)
    }
}
