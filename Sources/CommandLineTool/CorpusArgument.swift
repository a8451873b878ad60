import Tracing

/// The corpus that `--corpus` names. What was left out of a folder is said on standard error.
func readCorpus(_ path: String) throws(CorpusError) -> Corpus {
    let corpus = try Corpus.read(path)
    for remark in corpus.remarks { say(remark) }
    return corpus
}
