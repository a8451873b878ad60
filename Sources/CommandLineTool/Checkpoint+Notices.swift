import Checkpoints

extension Checkpoint {
    /// Says once, on standard error, what the files say and is not obeyed.
    func sayNotices() { for notice in notices { say("note: \(notice)") } }
}
