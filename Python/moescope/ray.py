"""Traces that many processes or machines make together, with Ray: `pip install ray`.

    import moescope.ray
    trace = moescope.ray.trace("polyglot", "corpus.jsonl", output="traces/all", workers=8)

The corpus is cut into pieces of documents that follow one another. Each worker holds one engine and traces a piece at a time into a folder
of its own beside the output, which all machines must see (NFS, Lustre, a mounted bucket). In the end the pieces are joined to one
trace, with the documents in the corpus's order. In `exact` precision it holds the same numbers as a trace by one process.

A worker that dies is replaced, and the piece that it had is done again from its beginning; a piece is counted once it is whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

from moescope import _moescope, corpora, corpus_files
from moescope.progress import put_line
from moescope.traces import Trace, open_trace

#: Characters of text, or tokens, in a piece: small enough that a lost one is little, large enough that an engine is busy.
_PIECE_SIZE: Final = 1 << 20
#: How often a piece is tried before its failure is the run's.
_ATTEMPTS: Final = 3


def trace(
    model: str | PathLike[str],
    corpus: corpora.Corpus,
    *,
    output: str | PathLike[str],
    workers: int | None = None,
    threads: int | None = None,
    precision: str = "exact",
    text: str | None = None,
    group: str | None = None,
    id: str | None = None,
    max_documents: int | None = None,
    piece_size: int = _PIECE_SIZE,
    progress: bool | Callable[[int, int], object] = False,
    **options: Any,
) -> Trace:
    """Traces a corpus on the Ray cluster that this process is connected to; where it is not, on this machine (`ray.init`).

    model: a path that every machine has, or "polyglot".
    corpus, text, group, id: as for `moescope.trace`; a file is read as a stream, and its documents are held one piece at a time.
    output: the trace's folder on storage that all machines see, or an fsspec URL such as "s3://bucket/trace", to which the whole trace is
        copied in the end; the pieces then lie in the folder that MOESCOPE_SHARED names.
    workers: engines; by default one for each machine of the cluster. threads: of each; by default the machine's processors.
    piece_size: characters of text, or tokens, in a piece of work.
    progress: True for a line on standard error, or a callable(documents done, documents read so far).
    options: of `moescope.trace`: capture, layers, max_tokens, interventions, …

    Raises what the engine raises, named by piece; RuntimeError where workers die three times over one piece. What was
    traced by then stays in OUTPUT.parts, and the same call goes on from it.
    """
    ray = _ray()
    if not ray.is_initialized():
        ray.init(log_to_driver=False)
    target = fspath(output)
    local = _local(target)
    if local.exists() and any(local.iterdir()):
        raise FileExistsError(f"{local}: something is there already; choose another output")
    nodes = [node for node in ray.nodes() if node["Alive"]]
    count = workers if workers is not None else max(1, len(nodes))
    if count < 1:
        raise ValueError(f"workers: expected at least 1, found {count}")
    parts = local.with_name(local.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    settings = {"model": fspath(model), "precision": precision, "options": options}
    _check_settings(parts, settings)
    digest = hashlib.sha256()
    pieces = _pieces(_documents(corpus, text, group, id, max_documents), piece_size)
    run = _Run(ray, settings, parts, count, threads, _reporter(progress))
    finished = run.all(pieces, digest)
    if not finished:
        raise ValueError("corpus: expected at least one document")
    source = Path(fspath(corpus)).name if isinstance(corpus, str | PathLike) else "python"
    _moescope.merge([str(path) for path in finished], str(local), source, digest.hexdigest())
    shutil.rmtree(parts)
    if str(local) != target:
        _upload(local, target)
    return open_trace(local)


def _ray() -> Any:
    try:
        import ray  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        raise ImportError("moescope.ray needs Ray: pip install ray") from None
    return ray


def _local(target: str) -> Path:
    """Where the trace is made: the folder itself, or one on shared storage whose content then goes to a URL."""
    if "://" not in target:
        return Path(target).resolve()
    shared = os.environ.get("MOESCOPE_SHARED")
    if not shared:
        raise ValueError(
            f"output: {target} is a URL; set MOESCOPE_SHARED to a folder that all machines see, for the pieces of the trace"
        )
    return Path(shared).resolve() / target.rstrip("/").rpartition("/")[2]


def _upload(folder: Path, url: str) -> None:
    try:
        import fsspec  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        raise ImportError(f"writing to {url} needs fsspec: pip install fsspec; the trace is in {folder}") from None
    system, path = fsspec.core.url_to_fs(url)
    system.put(str(folder), path, recursive=True)


def _check_settings(parts: Path, settings: Mapping[str, Any]) -> None:
    """Pieces of another run are not joined with this one's."""
    file = parts / "run.json"
    text = json.dumps(settings, sort_keys=True, default=str)
    if file.exists() and file.read_text(encoding="utf-8") != text:
        raise ValueError(f"{file}: the pieces there are of a run with other settings; remove {parts}, or choose another output")
    file.write_text(text, encoding="utf-8")


def _documents(
    corpus: corpora.Corpus, text: str | None, group: str | None, id: str | None, limit: int | None
) -> Iterator[dict[str, Any]]:
    if isinstance(corpus, str | PathLike):
        return corpus_files.read(corpus, text=text, group=group, id=id, max_documents=limit)
    found = corpora.documents(corpus, text=text, group=group, id=id)
    return (document for number, document in enumerate(found) if limit is None or number < limit)


def _pieces(documents: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    held = 0
    for document in documents:
        own = len(document.get("text") or document.get("tokens") or "")
        if piece and held + own > size:
            yield piece
            piece, held = [], 0
        piece.append(document)
        held += own
    if piece:
        yield piece


class _Engine:
    """What a worker holds: the model, loaded once."""

    def __init__(self, model: str, precision: str, threads: int | None) -> None:
        import moescope

        self._model = moescope.load(model, precision=precision, threads=threads)  # type: ignore[call-overload]

    def trace(self, documents: list[dict[str, Any]], folder: str, options: dict[str, Any]) -> int:
        """Traces a piece into a folder, which appears when it is whole; returns its tokens."""
        import moescope

        target = Path(folder)
        # Of a worker that died over this piece.
        for left in target.parent.glob(f".{target.name}.*"):
            shutil.rmtree(left, ignore_errors=True)
        staged = Path(mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            made = moescope.trace(self._model, documents, output=staged / "trace", **options)
            os.replace(staged / "trace", target)
            return sum(int(shard["tokens"]) for shard in made.manifest["shards"])
        finally:
            shutil.rmtree(staged, ignore_errors=True)


class _Run:
    """Pieces given to workers as they become free; those of workers that die are given out again."""

    def __init__(
        self, ray: Any, settings: Mapping[str, Any], parts: Path, count: int, threads: int | None, report: Any
    ) -> None:
        self._ray = ray
        self._settings = settings
        self._parts = parts
        self._threads = threads
        self._report = report
        cluster = ray.cluster_resources().get("CPU", 1)
        # A share of the processors for each, so that Ray spreads them over the machines.
        share = threads if threads is not None else max(1, int(cluster // count))
        self._threads = share
        self._make = ray.remote(num_cpus=min(share, max(1, int(cluster // count))), max_restarts=0)(_Engine).options(
            scheduling_strategy="SPREAD"
        )
        self._free: deque[Any] = deque(self._worker() for _ in range(count))
        self._running: dict[Any, tuple[Any, int]] = {}
        self._waiting: dict[int, list[dict[str, Any]]] = {}
        self._tries: dict[int, int] = {}
        self._documents = [0, 0]

    def _worker(self) -> Any:
        return self._make.remote(self._settings["model"], self._settings["precision"], self._threads)

    def all(self, pieces: Iterator[list[dict[str, Any]]], digest: Any) -> list[Path]:
        """The folders of all pieces, in order. At most two pieces for each worker are in memory."""
        folders: list[Path] = []
        for piece in pieces:
            lines = "".join(json.dumps(document, sort_keys=True, ensure_ascii=False) + "\n" for document in piece)
            digest.update(lines.encode())
            # Named by what is in it, so that a piece of another corpus is never taken for it.
            name = f"{len(folders):06d}-{hashlib.sha256(lines.encode()).hexdigest()[:16]}"
            folders.append(self._parts / name)
            self._documents[1] += len(piece)
            if folders[-1].exists():
                self._documents[0] += len(piece)
                continue
            while not self._free:
                self._collect(folders)
            self._submit(len(folders) - 1, piece, folders)
        while self._running:
            self._collect(folders)
        for worker in self._free:
            self._ray.kill(worker)
        return folders

    def _submit(self, number: int, piece: list[dict[str, Any]], folders: Sequence[Path]) -> None:
        worker = self._free.popleft()
        self._waiting[number] = piece
        job = worker.trace.remote(piece, str(folders[number]), dict(self._settings["options"]))
        self._running[job] = worker, number

    def _collect(self, folders: Sequence[Path]) -> None:
        """Waits for one job. A worker that died is replaced, and its piece given out again."""
        ready, _ = self._ray.wait(list(self._running), num_returns=1)
        worker, number = self._running.pop(ready[0])
        piece = self._waiting.pop(number)
        try:
            self._ray.get(ready[0])
        except self._ray.exceptions.RayTaskError as problem:
            raise problem.as_instanceof_cause() from None
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.RaySystemError) as problem:
            self._free.append(self._worker())
            # It may have died after the folder got its name.
            if not folders[number].exists():
                self._tries[number] = self._tries.get(number, 1) + 1
                if self._tries[number] > _ATTEMPTS:
                    raise RuntimeError(
                        f"piece {number} (documents from {piece[0]['id']!r}): {_ATTEMPTS} workers died over it: {problem}"
                    ) from None
                self._submit(number, piece, folders)
                return
        else:
            self._free.append(worker)
        self._documents[0] += len(piece)
        if self._report is not None:
            self._report(*self._documents)


def _reporter(progress: bool | Callable[[int, int], object]) -> Callable[[int, int], object] | None:
    if progress is False or progress is True:
        return _Line() if progress else None
    return progress


class _Line:
    """Documents done over the whole cluster, on standard error."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __call__(self, done: int, read: int) -> None:
        rate = done / max(time.monotonic() - self._start, 1e-9)
        put_line(f"{done:,} documents of {read:,} read so far, {rate:,.1f} documents/s")
