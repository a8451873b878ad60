import Tracing

/// The corpus that `--corpus` names, with its texts. What was left out of a folder is said on standard error.
func readCorpus(_ path: String) throws(CorpusError) -> Corpus {
    try Corpus.read(path).sayingRemarks()
}

extension LoadedModel {
    /// The corpus that `--corpus` names, as tokens. What was left out of a folder is said on standard error.
    func readCorpus(_ path: String, maximumTokens: Int?) throws(CorpusError) -> Corpus {
        try corpus(path, maximumTokens: maximumTokens).sayingRemarks()
    }
}

extension Corpus {
    fileprivate func sayingRemarks() -> Corpus {
        for remark in remarks { say(remark) }
        return self
    }
}
