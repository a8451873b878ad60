import FileFormats

extension Model {
    /// As `Checkpoint.checkUnchanged`: to be asked at the end of a run.
    public func checkUnchanged() throws(FileError) { try checkpoint.checkUnchanged() }
}
