"""What recording costs, and how time and memory grow."""

from checkpoints import checkpoint, random_corpus
from engines import bench, trace
from measure import WORK, Section, median_ratio

NOTHING, ROUTING, SUMMARY = "none", "router_logits", "router_logits,attention_summary"


def recording(quick: bool) -> Section:
    """The same wave with nothing recorded and with router logits, load and attention summaries recorded to disk."""
    section = Section("recording", "What recording costs", quick)
    repeat = 3 if quick else 15
    for case, model, shape in (
        ("layer2 Q4_K_M, 512 tokens", checkpoint("layer2", "Q4_K_M"), ["-p", 512]),
        ("small Q8_0, 16 documents of 128", checkpoint("small", "Q8_0"), ["-p", 128, "--documents", 16]),
        ("small Q8_0, 2 documents of 2,048", checkpoint("small", "Q8_0"), ["-p", 2048, "--documents", 2]),
    ):
        if quick and "layer2" in case:
            continue
        captures = [word for capture in (NOTHING, ROUTING, SUMMARY) for word in ("--capture", capture)]
        seen = bench(model, "-n", 0, *shape, "--record", "--repeat", repeat, *captures)
        base, *recorded = [capture["speed"]["runs"] for capture in seen["captures"]]
        tokens = seen["prefill"]["tokens"]
        section.add(case, "MoEScope", "nothing recorded", "tokens/s", [tokens / s for s in base])
        for capture, runs in zip((ROUTING, SUMMARY), recorded, strict=True):
            section.add(case, "MoEScope", capture, "tokens/s", [tokens / s for s in runs])
        routing = median_ratio(recorded[0], base) - 1
        summary = median_ratio(recorded[1], recorded[0]) - 1
        section.check(f"{case}: cost of router logits and load", "≤ 3 %", f"{100 * routing:+.1f} %", routing <= 0.03)
        section.check(f"{case}: cost of attention summaries", "≤ 15 %", f"{100 * summary:+.1f} %", summary <= 0.15)
    section.notes.append("Runs in turn, round after round; a cost is the median of the rounds' ratios.")
    return section


def memory(quick: bool) -> Section:
    """One document of growing length: peak memory of `moescope trace`."""
    section = Section("memory", "Memory of a long document", quick)
    lengths = [1024, 2048, 4096] if quick else [1024, 4096, 16_384, 32_768]
    model = checkpoint("small", "Q8_0", layers=2)
    peaks = []
    for length in lengths:
        run = trace(model, random_corpus(1, 32_000, (length, length)), WORK / "traces" / "memory")
        peaks.append(run.peak_bytes)
        case = f"one document of {length:,} tokens"
        section.add(case, "MoEScope", "peak resident memory", "MiB", [run.peak_bytes / 2**20])
        section.add(case, "MoEScope", "trace, log-probabilities", "tokens/s", [run.tokens_per_second])
    # Linear: the bytes of one more token are the same at both ends. Quadratic growth would make them grow with length.
    slopes = [(b - a) / (m - n) for a, b, n, m in zip(peaks, peaks[1:], lengths, lengths[1:], strict=False)]
    section.check(
        f"memory of a document of {lengths[-1]:,} tokens",
        "linear in length",
        f"KiB per further token: {', '.join(f'{slope / 1024:.1f}' for slope in slopes)}",
        slopes[-1] <= 1.5 * max(slopes[0], 1024.0),
    )
    return section


def growth(quick: bool) -> Section:
    """Time by tokens per wave, length of documents, layers, experts and captured hooks; the model is `small` in Q8_0."""
    section = Section("growth", "How cost grows", quick)
    repeat = 1 if quick else 5
    small = checkpoint("small", "Q8_0")

    def measure(case: str, setting: str, model, *options: str | int) -> None:
        seen = bench(model, "-n", 0, "--repeat", repeat, *options)["prefill"]
        section.add(case, "MoEScope", setting, "µs/token", [1e6 * run / seen["tokens"] for run in seen["runs"]])

    for count in (1, 4, 16) if quick else (1, 4, 16, 64):
        measure("tokens per wave", f"{128 * count:,}", small, "-p", 128, "--documents", count)
    for length in (128, 512, 2048) if quick else (128, 512, 2048, 8192, 32_768):
        measure("length of the document", f"{length:,}", small, "-p", length, "--documents", max(1, 2048 // length))
    for layers in (2, 4) if quick else (2, 4, 8, 16):
        measure("layers", str(layers), checkpoint("small", "Q8_0", layers=layers), "-p", 128, "--documents", 8)
    for experts in (4, 8, 16) if quick else (4, 8, 16, 32, 64):
        model = checkpoint("small", "Q8_0", layers=2, experts=experts)
        measure("experts (two chosen, 2 layers)", str(experts), model, "-p", 128, "--documents", 16)
    hooks = [NOTHING, ROUTING, SUMMARY, ROUTING + ",attention_pattern:0.0", SUMMARY + ",attention_pattern:*.*"]
    captures = [word for hook in hooks for word in ("--capture", hook)]
    seen = bench(small, "-n", 0, "-p", 512, "--documents", 2, "--repeat", repeat, "--record", *captures)
    for hook, captured in zip(hooks, seen["captures"], strict=True):
        runs = captured["speed"]["runs"]
        section.add("captured, 2 documents of 512", "MoEScope", hook, "µs/token", [1e6 * run / 1024 for run in runs])
    return section
