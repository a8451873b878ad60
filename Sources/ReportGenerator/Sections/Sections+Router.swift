import RouterPolicies
import Traces

extension Sections {
    /// What a reader must know of the router where its probabilities are no softmax, or are not all that it chooses by; empty
    /// for a plain softmax.
    var routerNote: String {
        let policy = trace.layout.router
        var note = ""
        switch policy.score {
        case .softmax: break
        case .sigmoid:
            note +=
                " This router scores every expert by a sigmoid: its probabilities are the scores divided by their sum."
        case .sparseMixer: note += " This router weighs its choices by SparseMixer: its probabilities are a softmax."
        }
        if policy.select.addsBias {
            note +=
                " It chooses by the score plus a learned bias of each expert, so that an expert of lower probability can be "
                + "chosen before one of higher probability."
        }
        if let groups = policy.select.groups {
            note += " It chooses among the experts of \(groups.kept) of \(groups.count) groups."
        }
        return note
    }
}
