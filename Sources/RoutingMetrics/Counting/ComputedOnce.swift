import Synchronization

/// What several metrics quote: computed when the first asks, then kept.
final class ComputedOnce<Value: Sendable, Failure: Error>: Sendable {
    private let known = Mutex<Result<Value, Failure>?>(nil)

    /// - Throws: what the computation threw, every time.
    func value(_ compute: () throws(Failure) -> Value) throws(Failure) -> Value {
        let result = known.withLock { known -> Result<Value, Failure> in
            if let known { return known }
            let result: Result<Value, Failure>
            do throws(Failure) { result = .success(try compute()) } catch { result = .failure(error) }
            known = result
            return result
        }
        return try result.get()
    }
}
