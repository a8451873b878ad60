/// Which experts every row of a batch goes to, and with what weight.
///
/// T rows · E experts · W choices kept per row: the model's K, or more where an intervention asks for more. A choice that a
/// row does not use has weight 0 and index E.
struct Routing {
    /// [T, E], before the score function.
    let logits: Matrix
    /// [T, E], after the score function, without any selection bias.
    let scores: Matrix
    /// [T, W], by falling weight.
    let indices: IndexMatrix
    /// [T, W]
    let weights: Matrix

    var rows: Int { logits.rows }
    var expertCount: Int { logits.columns }
    var width: Int { indices.columns }
}
