/// Candidate merges, best first: the lowest rank, then the leftmost. A binary heap of plain values.
struct MergeQueue {
    struct Candidate {
        /// Rank of the merged piece above, index of the left symbol below: one comparison orders both.
        var key: UInt64
        var right: Int32
        /// Bytes of the merged piece; tells a candidate whose symbols have changed since.
        var size: Int32

        init(rank: UInt32, left: Int32, right: Int32, size: Int32) {
            key = UInt64(rank) << 32 | UInt64(UInt32(bitPattern: left))
            self.right = right
            self.size = size
        }

        var left: Int32 { Int32(truncatingIfNeeded: key) }
    }

    private var heap: [Candidate] = []

    init(capacity: Int) { heap.reserveCapacity(capacity) }

    mutating func push(_ candidate: Candidate) {
        heap.append(candidate)
        heap.withUnsafeMutableBufferPointer { heap in
            var child = heap.count &- 1
            while child > 0 {
                let parent = (child &- 1) / 2
                if heap[parent].key <= candidate.key { break }
                heap[child] = heap[parent]
                child = parent
            }
            heap[child] = candidate
        }
    }

    mutating func pop() -> Candidate? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if heap.isEmpty { return first }
        heap.withUnsafeMutableBufferPointer { heap in
            var parent = 0
            while true {
                var child = 2 &* parent &+ 1
                if child >= heap.count { break }
                if child &+ 1 < heap.count, heap[child &+ 1].key < heap[child].key { child &+= 1 }
                if last.key <= heap[child].key { break }
                heap[parent] = heap[child]
                parent = child
            }
            heap[parent] = last
        }
        return first
    }
}
