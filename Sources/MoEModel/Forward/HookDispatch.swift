import Hooks
import Tensors

/// Gives values to observers and editors, and knows at the end which points were reached.
struct HookDispatch {
    let hooks: ResolvedHooks
    let observer: (any HookObserver)?
    let editor: (any HookEditor)?
    private(set) var reached: Set<HookPoint> = []
    /// What the shapes of sites are made of.
    private let sizes: HookSite.Sizes

    init(_ hooks: ResolvedHooks, sizes: HookSite.Sizes, observer: (any HookObserver)?, editor: (any HookEditor)?) {
        self.hooks = hooks
        self.sizes = sizes
        self.observer = observer
        self.editor = editor
    }

    func wants(_ site: HookSite, _ layer: Int?) -> Bool { hooks.wants(site, layer: layer) }

    /// Shows a value, [rows, columns], at a site that was asked for; edits come first, then observers see the edited value.
    @inline(__always)
    mutating func emit(_ site: HookSite, _ layer: Int?, _ values: Matrix) throws {
        guard wants(site, layer) else { return }
        let shape = site.shape(rows: values.rows, columns: values.columns, sizes)
        try deliver(site, layer, values.hookValue(shape: shape))
    }

    mutating func emit(_ site: HookSite, _ layer: Int?, _ values: IndexMatrix) throws {
        guard wants(site, layer) else { return }
        try deliver(site, layer, values.hookValue())
    }

    /// Shows the matrices of one document's heads, one below the other: [heads · rows, keys].
    mutating func emit(_ site: HookSite, _ layer: Int, document: Int, heads: [Int], _ values: Matrix) throws {
        guard wants(site, layer) else { return }
        let shape = [heads.count, values.rows / max(1, heads.count), values.columns]
        try deliver(site, layer, values.hookValue(shape: shape, document: document, heads: heads))
    }

    private mutating func deliver(_ site: HookSite, _ layer: Int?, _ value: borrowing HookValue) throws {
        let point = HookPoint(site, layer: layer)
        reached.insert(point)
        if hooks.edits(site, layer: layer), let editor {
            let editable = value.editable()
            try editor.edit(point, editable)
        }
        if hooks.observes(site, layer: layer) { try observer?.observe(point, value) }
    }

    /// - Throws: `HookError.neverFired` where a point of the plan was not reached.
    func checkReached(_ plan: HookPlan) throws(HookError) {
        if plan.observed.isEmpty, plan.edited.isEmpty { return }
        let missing = plan.observed.union(plan.edited).subtracting(reached)
        guard missing.isEmpty else {
            throw .neverFired(
                missing.sorted { ($0.layer ?? -1, $0.site.rawValue) < ($1.layer ?? -1, $1.site.rawValue) })
        }
    }
}
