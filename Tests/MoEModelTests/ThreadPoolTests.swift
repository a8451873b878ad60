import Foundation
import MoEModel
import Synchronization
import Testing

@Suite struct ThreadPoolTests {
    /// Every task once, whatever the number of tasks and threads, in many short loops one after the other.
    @Test(arguments: [1, 2, 3, 8]) func everyTaskIsDoneOnce(threads: Int) {
        let pool = ThreadPool(threadCount: threads)
        for loop in 0..<3000 {
            let count = loop % 23
            let done = Mutex([Int](repeating: 0, count: count))
            let strangers = Mutex(0)
            pool.run(count) { task, thread in
                done.withLock { $0[task] += 1 }
                if !(0..<threads).contains(thread) { strangers.withLock { $0 += 1 } }
            }
            let times = done.withLock { $0 }
            #expect(times.allSatisfy { $0 == 1 } && strangers.withLock { $0 } == 0)
        }
    }

    /// Loops that follow each other after workers have gone to sleep, and loops whose caller has to sleep.
    @Test func loopsAfterSleepEnd() {
        let pool = ThreadPool(threadCount: 3)
        for loop in 0..<40 {
            let sum = Mutex(0)
            pool.run(5) { task, _ in
                if task == loop % 5 { Thread.sleep(forTimeInterval: 0.002) }
                sum.withLock { $0 += task }
            }
            #expect(sum.withLock { $0 } == 10)
            if loop % 4 == 0 { Thread.sleep(forTimeInterval: 0.003) }
        }
    }

    @Test func loopsOfTwoCallersDoNotMix() async {
        let pool = ThreadPool(threadCount: 2)
        await withTaskGroup(of: Int.self) { group in
            for caller in 1...2 {
                group.addTask {
                    let sum = Mutex(0)
                    for _ in 0..<500 { pool.run(4) { task, _ in sum.withLock { $0 += caller * task } } }
                    return sum.withLock { $0 } / caller
                }
            }
            for await sum in group { #expect(sum == 3000) }
        }
    }

    /// A choice of instruction set is its thread's own and goes with the work that others do for it.
    @Test func workersTakeTheCallersInstructionSet() {
        let pool = ThreadPool(threadCount: 3)
        let usual = Model.instructionSet
        let names = Mutex<Set<String>>([])
        func collect() -> Set<String> {
            names.withLock { $0 = [] }
            pool.run(30) { _, _ in
                Thread.sleep(forTimeInterval: 0.0005)
                names.withLock { _ = $0.insert(Model.instructionSet) }
            }
            return names.withLock { $0 }
        }
        #expect(collect() == [usual])
        guard let chosen = Model.withInstructionSet("amx-twin", { collect() }) else { return }
        #expect(chosen == ["amx-twin"])
        #expect(collect() == [usual])
    }
}
