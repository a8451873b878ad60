"""Whether fast stays right: beside exact on the built-in model, and beside llama.cpp on the same quantized file."""

import json
import sys
from pathlib import Path

import numpy as np
from checkpoints import POLYGLOT, checkpoint, newer_checkpoint, polyglot_documents, quantized
from engines import HERE, trace
from measure import MOESCOPE, WORK, Section, execute


def agreement(quick: bool) -> Section:
    section = Section("agreement", "Agreement", quick)
    beside_exact(section, quick)
    tokens = [document[:256] for document in polyglot_documents()[:: 240 if quick else 40]]
    generator = np.random.default_rng(13)
    random = [[1, *generator.integers(3, 32_000, 127).tolist()] for _ in range(1 if quick else 4)]
    for kind in ("Q8_0", "Q4_K_M", "BF16"):
        beside_llama(section, f"polyglot {kind}", quantized("polyglot", kind), tokens)
    for kind in ("Q8_0", "Q4_K_M"):
        beside_llama(section, f"small {kind}, random weights", checkpoint("small", kind), random)
    # The experts' type stays as it is; the rest becomes Q8_0.
    narrow = [[token % 8000 for token in tokens] for tokens in random]
    experts = "gpt-oss-small MXFP4, random weights"
    # llama.cpp rounds all activations to 8 bits, and a random router's margins are small: what it changes is no fault.
    beside_llama(section, experts, quantized(newer_checkpoint("gpt-oss-small"), "Q8_0"), narrow, bound=None)
    fast_and_exact(section, experts, newer_checkpoint("gpt-oss-small"), narrow, bound=2e-3)
    fast_and_exact(section, "deepseek-v3-small FP8, random weights", newer_checkpoint("deepseek-v3-small"), narrow)
    return section


def beside_exact(section: Section, quick: bool) -> None:
    """Traces of the held-out texts in both precisions, compared by `moescope compare`."""
    heldout = POLYGLOT / "heldout.jsonl"
    folders = {precision: WORK / "traces" / precision for precision in ("exact", "fast")}
    options = ["--max-tokens", 64] if quick else []
    for precision, folder in folders.items():
        trace("polyglot", heldout, folder, "--precision", precision, *options)
    counts = ["--bootstrap", "100", "--permutations", "99"] if quick else []
    seen = json.loads(execute([MOESCOPE, "compare", folders["exact"], folders["fast"], "--json", *counts]).output)
    tables = {table["name"]: as_rows(table) for table in seen["metrics"]["agreement"]["tables"]}
    by_layer, margins, likelihoods = (tables[name] for name in ("agreement", "agreement-margins", "agreement-nll"))

    tokens = sum(row["tokens"] for row in likelihoods)
    exact, fast = (sum(row[name] * row["tokens"] for row in likelihoods) / tokens for name in ("first", "second"))
    change = fast / exact - 1
    section.add("polyglot, held-out texts: mean NLL", "MoEScope", "exact", "nats", [exact])
    section.add("polyglot, held-out texts: mean NLL", "MoEScope", "fast", "nats", [fast])
    section.check("fast against exact: mean NLL", "within 0.2 %", f"{100 * change:+.3f} %", abs(change) < 0.002)
    for row in by_layer:
        case = f"polyglot, layer {row['layer']}: tokens whose experts are the same"
        section.add(case, "MoEScope", "fast against exact", "%", [100 * row["same_set"]])
    section.notes.append(
        "Tokens whose experts differ between exact and fast, by tenth of the margin between the last chosen and the "
        "first not chosen expert (smallest margins first), in % over all layers: "
        + ", ".join(f"{100 * share:.2f}" for share in flips_by_decile(margins))
    )


def flips_by_decile(margins: list[dict]) -> list[float]:
    shares = []
    for decile in sorted({row["decile"] for row in margins}):
        rows = [row for row in margins if row["decile"] == decile]
        shares.append(sum(row["flips"] * row["tokens"] for row in rows) / sum(row["tokens"] for row in rows))
    return shares


def as_rows(table: dict) -> list[dict]:
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def beside_llama(
    section: Section, case: str, model: Path, documents: list[list[int]], *, bound: float | None = 1e-3
) -> None:
    """Mean KL(llama.cpp ‖ MoEScope) of the next-token distribution, every position of the documents."""
    tokens = written(documents)
    output = tokens.with_name("llama.npy")
    execute([sys.executable, HERE / "peer_llama.py", model, "--tokens", tokens, "--logits", output])
    theirs = log_softmax(np.load(output))
    for precision in ("fast", "exact"):
        divergence = mean_divergence(theirs, our_log_probabilities(model, tokens, precision))
        section.add(f"{case}: KL of the next token", precision, "against llama.cpp", "nats", [divergence])
        if precision == "fast" and bound is not None:
            section.check(
                f"{case}: mean KL against llama.cpp", f"< {bound:.0e}", f"{divergence:.1e}", bool(divergence < bound)
            )


def fast_and_exact(
    section: Section, case: str, model: Path, documents: list[list[int]], *, bound: float = 1e-3
) -> None:
    """Mean KL(exact ‖ fast) of the next-token distribution, for what no peer reads."""
    tokens = written(documents)
    divergence = mean_divergence(*(our_log_probabilities(model, tokens, precision) for precision in ("exact", "fast")))
    section.add(f"{case}: KL of the next token", "fast", "against exact", "nats", [divergence])
    section.check(
        f"{case}: mean KL of fast against exact", f"< {bound:.0e}", f"{divergence:.1e}", bool(divergence < bound)
    )


def written(documents: list[list[int]]) -> Path:
    tokens = WORK / "logits" / "tokens.json"
    tokens.parent.mkdir(parents=True, exist_ok=True)
    tokens.write_text(json.dumps(documents))
    return tokens


def mean_divergence(first: np.ndarray, second: np.ndarray) -> float:
    """Mean KL(first ‖ second) in nats, of log-probabilities [rows, V]."""
    return float((np.exp(first) * (first - second)).sum(1).mean())


def our_log_probabilities(model: Path, tokens: Path, precision: str) -> np.ndarray:
    output = tokens.with_name(f"{precision}.npy")
    execute([MOESCOPE, "run", HERE / "logits_ours.py", model, tokens, output, precision],
            {"VIRTUAL_ENV": sys.prefix, "PYTHONPATH": str(HERE.parent / "Python")})  # fmt: skip
    return log_softmax(np.load(output))


def log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
