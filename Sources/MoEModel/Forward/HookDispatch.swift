import Hooks
import Tensors

/// Gives values to observers and editors, and knows at the end which points were reached.
struct HookDispatch {
    let hooks: ResolvedHooks
    let observer: (any HookObserver)?
    let editor: (any HookEditor)?
    private(set) var reached: Set<HookPoint> = []

    init(_ hooks: ResolvedHooks, observer: (any HookObserver)?, editor: (any HookEditor)?) {
        self.hooks = hooks
        self.observer = observer
        self.editor = editor
    }

    func wants(_ site: HookSite, _ layer: Int?) -> Bool { hooks.wants(site, layer: layer) }

    /// Edits first, then observers see the edited value.
    @inline(__always)
    mutating func emit(
        _ site: HookSite, _ layer: Int?, _ values: UnsafeMutablePointer<Float>, _ shape: @autoclosure () -> [Int]
    ) throws {
        guard wants(site, layer) else { return }
        try deliver(site, layer, HookValue(dtype: .f32, shape: shape(), memory: values))
    }

    mutating func emit(
        _ site: HookSite, _ layer: Int?, indices: UnsafeMutablePointer<Int32>, _ shape: @autoclosure () -> [Int]
    ) throws {
        guard wants(site, layer) else { return }
        try deliver(site, layer, HookValue(dtype: .i32, shape: shape(), memory: indices))
    }

    /// Matrices of one document's heads, one below the other.
    mutating func emit(
        _ site: HookSite, _ layer: Int, document: Int, heads: [Int], _ matrices: Matrix
    ) throws {
        guard wants(site, layer) else { return }
        let shape = [heads.count, matrices.rows / max(1, heads.count), matrices.columns]
        try deliver(
            site, layer,
            HookValue(dtype: .f32, shape: shape, memory: matrices.base, document: document, heads: heads))
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
