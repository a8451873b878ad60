import Foundation
import Hooks
import Testing

/// The one wire form of interventions: what manifests, plans and Python write is read back as the same change.
@Suite struct InterventionCodingTests {
    private let encoder: JSONEncoder = {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return encoder
    }()

    @Test(arguments: [
        (
            Intervention(.ablate(experts: [5], renormalize: true), in: .init(layers: [3, 1])),
            #"{"experts":[5],"kind":"ablate","layers":[1,3],"renormalize":true}"#
        ),
        (Intervention(.scale(experts: [2], by: 0.1)), #"{"by":0.1,"experts":[2],"kind":"scale"}"#),
        (Intervention(.force(experts: [0, 1])), #"{"experts":[0,1],"kind":"force"}"#),
        (Intervention(.exclude(experts: [7])), #"{"experts":[7],"kind":"exclude"}"#),
        (
            Intervention(.steer(experts: [4], by: 2), in: .init(groups: ["de"])),
            #"{"by":2,"experts":[4],"groups":["de"],"kind":"steer"}"#
        ),
        (Intervention(.steerHard(experts: [4])), #"{"experts":[4],"kind":"steer_hard"}"#),
        (Intervention(.topK(3)), #"{"count":3,"kind":"top_k"}"#),
        (
            Intervention(.randomRouting(seed: 9), in: .init(positions: [0], tokens: [11])),
            #"{"kind":"random_routing","positions":[0],"seed":9,"tokens":[11]}"#
        ),
        (Intervention(.replace(expert: 1, with: 2)), #"{"experts":[1],"kind":"replace","with":2}"#),
    ])
    func bothWays(intervention: Intervention, text: String) throws {
        #expect(String(decoding: try encoder.encode(intervention), as: UTF8.self) == text)
        #expect(try JSONDecoder().decode(Intervention.self, from: Data(text.utf8)) == intervention)
    }

    @Test(arguments: [
        (#"{"kind":"ablate"}"#, "a change of kind \"ablate\" needs the field \"experts\""),
        (#"{"kind":"top_k"}"#, "a change of kind \"top_k\" needs the field \"count\""),
        (#"{"kind":"drop"}"#, "no change of kind \"drop\"; there are ablate, scale, force"),
        (#"{"kind":"replace","experts":[1,2],"with":3}"#, "needs one expert in \"experts\", found 2"),
    ])
    func whatIsMissingIsNamed(text: String, expected: String) {
        do {
            _ = try JSONDecoder().decode(Intervention.self, from: Data(text.utf8))
            Issue.record("no error for \(text)")
        } catch DecodingError.dataCorrupted(let context) {
            #expect(context.debugDescription.contains(expected), "\(context.debugDescription)")
        } catch {
            Issue.record("\(error)")
        }
    }
}
