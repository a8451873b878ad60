"""Makes the traces in this folder and reference.json, their router saturation computed with numpy.

    python3 Models/polyglot/prepare.py
    python3 Models/polyglot/train.py --tokens 400e3 --batch 4096 --warmup 10 --compute float32 --processes 1 \\
        --windows 0:256 --keep 8e3,24e3,72e3,180e3 --validate-every 1e9 --output RUN
    pip install -r Tests/Fixtures/routing-trace/requirements.txt
    python3 Tests/Fixtures/saturation/make.py Models/polyglot/.work/checkpoints

Checkpoints of a short run of their own: polyglot's architecture, data and seed, but after 8, 25, 74 and 180 thousand tokens,
where the rate of learning had not begun to fall. The weights in Models/polyglot come from another, longer run (9.2 million
tokens) whose early checkpoints were not kept: no trace here is polyglot's. Twelve held-out documents, two of each group, cut
to 96 tokens. The last checkpoint is called "last".
"""

import argparse
import json
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from scipy.special import log_softmax

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PER_GROUP, TOKENS = 2, 96


def corpus(path):
    seen, lines = {}, []
    for line in (ROOT / "Models/polyglot/heldout.jsonl").read_text(encoding="utf-8").splitlines():
        group = json.loads(line)["group"]
        seen[group] = seen.get(group, 0) + 1
        if seen[group] <= PER_GROUP:
            lines.append(line + "\n")
    path.write_text("".join(lines), encoding="utf-8")


def trace(moescope, checkpoint, documents, output):
    shutil.rmtree(output, ignore_errors=True)
    subprocess.run(
        [moescope, "trace", checkpoint, "--corpus", documents, "--output", output, "--capture", "router_logits_f16",
         "--precision", "exact", "--max-tokens", str(TOKENS)], check=True)
    (output / "vocabulary.json").unlink()  # the same 8,192 pieces every time, and not needed here


def rows(folder):
    """Logits [L, n, E], experts [L, n, K], log-probabilities [n] of all rows but documents' first."""
    parts = [load_file(path) for path in sorted((folder / "shards").glob("*.safetensors"))]
    kept = np.concatenate([p["position"] for p in parts]) > 0
    return (np.concatenate([p["router_logits"] for p in parts], 1)[:, kept].astype(np.float64),
            np.concatenate([p["expert_indices"] for p in parts], 1)[:, kept],
            np.concatenate([p["logprob"] for p in parts])[kept].astype(np.float64))


def compare(folder, last):
    (z, sets, logprob), (z_last, sets_last, logprob_last) = rows(folder), rows(last)
    p, p_last = log_softmax(z, -1), log_softmax(z_last, -1)
    experts, k = z.shape[-1], sets.shape[-1]
    load = [np.stack([np.bincount(s.ravel(), minlength=experts) / s.size for s in x]) for x in (sets, sets_last)]
    common = (sets[..., :, None] == sets_last[..., None, :]).any(-1)
    return {
        "trace": folder.name, "tokens": z.shape[1], "nll": -logprob.mean(), "last_nll": -logprob_last.mean(),
        "overlap": common.mean((1, 2)).tolist(), "load_chance": (k * (load[0] * load[1]).sum(1)).tolist(),
        "same_set": common.all(-1).mean(1).tolist(),
        "same_first": (sets[..., 0] == sets_last[..., 0]).mean(1).tolist(),
        "kl": (np.exp(p_last) * (p_last - p)).sum(-1).mean(1).tolist(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, help="folder with tokens-N, as train.py leaves it")
    parser.add_argument("--moescope", type=Path, default=ROOT / ".build/release/moescope")
    options = parser.parse_args()
    documents = HERE / "corpus.jsonl"
    corpus(documents)
    found = sorted(options.checkpoints.glob("tokens-*"), key=lambda path: int(path.name.split("-")[1]))
    *found, last = found
    for checkpoint in found:
        trace(options.moescope, checkpoint, documents, HERE / checkpoint.name)
    trace(options.moescope, last, documents, HERE / "last")
    documents.unlink()
    reference = {
        "made_by": {"python": platform.python_version(), "numpy": np.__version__},
        "traces": [compare(HERE / checkpoint.name, HERE / "last") for checkpoint in found],
    }
    (HERE / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
