import Hooks

extension Matrix {
    /// What hooks see of a contiguous matrix, under a shape with as many elements. The view must not outlive the memory.
    func hookValue(shape: [Int], document: Int? = nil, heads: [Int]? = nil) -> HookValue {
        precondition(isContiguous && shape.reduce(1, *) == rows * columns)
        return HookValue(dtype: .f32, shape: shape, memory: base, document: document, heads: heads)
    }
}

extension IndexMatrix {
    /// What hooks see of the numbers, [rows, columns]. The view must not outlive the memory.
    func hookValue() -> HookValue { HookValue(dtype: .i32, shape: [rows, columns], memory: base) }
}
