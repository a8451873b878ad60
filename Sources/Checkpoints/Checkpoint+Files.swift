import FileFormats
import Foundation
import Synchronization

extension Checkpoint {
    /// Throws if a part of the weights could not be read since they were opened, because a file was cut short or its disk failed.
    /// Costs one load from memory while nothing is wrong: to be asked before anything computed from weights is given out.
    public func checkReadable() throws(FileError) {
        let faults = MappedFile.faultCount
        guard faults != checkedFaults.load(ordering: .relaxed) else { return }
        try MappedFile.check(files)
        // Those were of other files: they are not looked through again.
        checkedFaults.store(faults, ordering: .relaxed)
    }

    /// Throws if the weights were changed in place since they were opened: what was computed may be of two models.
    ///
    /// A file counts as changed where its size is another, or its time and, where `sha256` had been computed, its bytes. One that
    /// was replaced under its name is not changed: the old one stays open. To be asked at the end of a run.
    public func checkUnchanged() throws(FileError) {
        try checkReadable()
        guard let file = MappedFile.changed(files) else { return }
        if let known = knownSHA256, try FileHashes.sha256(of: files) == known { return }
        throw FileError(
            .mismatch, file: file.path, problem: "the file was changed while the model ran",
            hint: "what was computed may be of two models: run it again")
    }
}
