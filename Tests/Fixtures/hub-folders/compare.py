"""Five checkpoints as they lie on the Hub, through transformers and through MoEScope: as folders, as the GGUF files that `quantize`
makes of them, and as those of llama.cpp's converter.

    python compare.py PROGRAM [LLAMA_CPP]

PROGRAM: the command `moescope`. LLAMA_CPP: sources of llama.cpp with its converter; without them its files are left out. Ends with
status 1 where anything differs. The reference of a converter's file is transformers on the folder without what the converter
loses (converted.py).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import answers  # finds the modules of ../conformance, too
import checkpoints
import converted
import mistral_common
import moescope as ms
import numpy as np
import ours
import reference
import transformers

HERE = Path(__file__).parent
#: The real vocabulary of Mixtral 8x22B.
MISTRAL = Path(mistral_common.__file__).parent / "data" / "mistral_instruct_tokenizer_240323.model.v3"
#: Metadata that the two files may have apart, and why.
KNOWN = {
    "general.": "names and descriptions of the model",
    "moescope.": "what GGUF has no key for",
    "attention.key_length": "said, though it is what follows from the other sizes",
    "attention.value_length": "said, though it is what follows from the other sizes",
    "rope.dimension_count": "said, though it is what follows from the other sizes",
    "vocab_size": "said, though it is the number of tokens",
    "expert_weights_norm": "said, though llama.cpp does not ask",
    "feed_forward_length": "of dense layers, which the model does not have",
    "attn_factor": "the converter computes Phi's magnitude, the checkpoint says it",
    "tokenizer.ggml.add_space_prefix": "not used for byte-level vocabularies",
    "tokenizer.ggml.add_sep_token": "false, as without it",
    "tokenizer.ggml.bos_token_id": "of config.json; the tokenizer has none, and no text gets it",
    "tokenizer.ggml.eom_token_id": "an end of answers that llama.cpp would not know by its name",
    "tokenizer.ggml.token_type": "tokens that look like control tokens; control pieces that transformers does not know of",
    "tokenizer.ggml.scores": "the order of merges, or SentencePiece's own scores, which have the same order",
}


def reason(key: str) -> str | None:
    return next((why for name, why in KNOWN.items() if key.startswith(name) or key.endswith("." + name)), None)


def metadata(file: Path, theirs: Path, sources: Path) -> tuple[int, list[str], list[str]]:
    """Keys that are equal; known differences; others."""
    sys.path.insert(0, str(sources / "gguf-py"))
    import gguf

    a, b = (gguf.GGUFReader(path) for path in (file, theirs))
    mine, other = ({key: field.contents() for key, field in reader.fields.items()} for reader in (a, b))
    equal, known, unknown = 0, list[str](), list[str]()
    for key in sorted(mine.keys() | other.keys()):
        if key.startswith("GGUF."):
            continue
        if mine.get(key) == other.get(key):
            equal += 1
        else:
            (known if reason(key) else unknown).append(key)
    tensors = {tensor.name: tensor.data for tensor in a.tensors}
    others = {tensor.name: tensor.data for tensor in b.tensors}
    if tensors.keys() != others.keys():
        unknown.append(f"tensors {sorted(tensors.keys() ^ others.keys())}")
    unknown += [name for name in tensors.keys() & others.keys() if not np.array_equal(tensors[name], others[name])]
    return equal, known, unknown


class Table:
    def __init__(self) -> None:
        self.wrong = 0

    def row(self, name: str, what: str, differences: list[str]) -> None:
        self.wrong += len(differences)
        print(f"{name:32} {what:28} {'equal' if not differences else 'DIFFERS'}", flush=True)
        for difference in differences:
            print(f"    {difference[:400]}")


def compare(family: str, folder: Path, scratch: Path, program: Path, sources: Path | None, table: Table) -> None:
    expected = answers.theirs(folder, fresh(scratch / "theirs"))
    name = folder.name
    print(
        f"{name}: {len(expected['texts'])} texts, {len(expected['prompts']) + 1} prompts, ends {expected['ends']}, "
        f"{len(expected['endings'])} planted answers, {answers.DOCUMENTS} documents"
    )
    got = answers.mine(folder, expected, folder, program, fresh(scratch / "mine"))
    table.row(name, "folder", answers.differences(got, expected))
    file = scratch / f"{name}.gguf"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ms.quantize(folder, file, type="F32")
    table.row(name, "our GGUF file", answers.differences(answers.mine(file, expected, folder, program), expected))
    beyond_the_first_context(folder, file, table)
    if sources is None:
        return
    theirs = scratch / f"{name}-converted.gguf"
    arguments = [HERE / "convert.py", sources, folder, theirs, checkpoints.CHECKPOINTS[family].pre]
    done = subprocess.run([sys.executable, "-W", "ignore", *map(str, arguments)], capture_output=True, text=True)
    if done.returncode:
        table.row(name, "llama.cpp's converter", done.stderr.splitlines()[-1:])
        return
    as_read = converted.as_converted(family, folder, scratch / "as-read" / name)
    got = answers.mine(theirs, expected, folder, program)
    table.row(name, "llama.cpp's converter", answers.differences(got, answers.theirs(as_read, None, got["said"])))
    equal, known, unknown = metadata(file, theirs, sources)
    table.row(name, "metadata and tensors", unknown)
    print(f"    {equal} keys equal; apart, with a reason: {', '.join(known)}")


def beyond_the_first_context(folder: Path, file: Path, table: Table) -> None:
    """A text longer than the context that a model was first trained on turns by LongRoPE's other factors."""
    config = json.loads((folder / "config.json").read_text())
    if (context := config.get("original_max_position_embeddings")) is None:
        return
    text = [number * 31 % config["vocab_size"] for number in range(context + 8)]
    expected = reference.run(reference.load(folder), [text])
    for path, what in ((folder, "folder"), (file, "our GGUF file")):
        far = ours.difference(ours.run(path, [text])[0], expected)
        table.row(folder.name, f"{what}, {len(text)} tokens", [far] if far else [])


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    program, sources = Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None
    transformers.logging.set_verbosity(transformers.logging.CRITICAL)
    table = Table()
    for family, checkpoint in checkpoints.CHECKPOINTS.items():
        with tempfile.TemporaryDirectory() as scratch:
            compare(family, HERE / checkpoint.name, Path(scratch), program, sources, table)
    with tempfile.TemporaryDirectory() as scratch:
        print("with its real vocabulary:")
        folder = checkpoints.write(checkpoints.CHECKPOINTS["mixtral"], Path(scratch), MISTRAL)
        compare("mixtral", folder, Path(scratch), program, sources, table)
    print(f"{table.wrong} differences")
    sys.exit(1 if table.wrong else 0)


main()
