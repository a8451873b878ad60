"""Speed beside the peers: one long document, decoding, many short documents, models larger than memory."""

import statistics

from checkpoints import POLYGLOT, checkpoint, polyglot_corpus, random_corpus, read_anew
from engines import bench, best_llama_setting, best_transformers_settings, ik_llama, kt_kernel, llama, trace, transformers
from measure import WORK, Section, in_turn
from results import machine_facts, machine_kind

# What the tracker asks of prefill, beside llama.cpp at its best setting.
PREFILL_TARGETS = {"Q4_K_M": 1.0, "Q8_0": 3.5, "BF16": 2.0}


def speed(quick: bool) -> Section:
    """layer2, the layers of Mixtral-8x7B twice: prefill of 512 tokens and decoding, the same file as llama.cpp and its
    offshoot ik_llama.cpp."""
    section = Section("speed", "Prefill and decoding beside llama.cpp and ik_llama.cpp", quick)
    section.notes.append(
        "Prefill makes the logits of every token in each program; decoding those of one. Files are read from disk before they are "
        "measured, so that no program maps the small pages of a file that was just written."
    )
    prefill, decode, repeat = (512, 8, 1) if quick else (512, 64, 1)
    # The memory of a machine that others use too is fast one minute and slow the next, which decoding feels and prefill does not.
    rounds = {"prefill": 1, "decode": 1} if quick else {"prefill": 5, "decode": 11}
    for kind, target in PREFILL_TARGETS.items():
        model = read_anew(checkpoint("layer2", kind))
        settings = best_llama_setting(model, prefill, decode, quick)
        ik_settings = best_llama_setting(model, prefill, decode, quick, ik_llama)
        machine: dict[str, list[float]] = {"arithmetic": [], "memory": []}

        def ours(model=model, machine=machine) -> list[float]:
            seen = bench(model, "-p", prefill, "-n", 0, "--repeat", repeat, "--record", "--logprobs")
            machine["arithmetic"].append(seen["prefill"]["share_of_arithmetic_peak"])
            return [prefill / seconds for seconds in seen["prefill"]["runs"]]

        def ours_decoding(model=model, machine=machine) -> list[float]:
            # 32 tokens before it, as peer_llama.py has.
            seen = bench(model, "-p", 32, "-n", decode, "--repeat", repeat)
            machine["memory"].append(seen["decode"]["share_of_memory_peak"])
            return [decode / seconds for seconds in seen["decode"]["runs"]]

        def theirs(program=llama, settings=settings, model=model) -> list[float]:
            options = ["--prefill", prefill, "--decode", 0, "--repeat", repeat, *settings["prefill"]]
            return program(model, *options)["prefill"]

        def theirs_decoding(program=llama, settings=settings, model=model) -> list[float]:
            options = ["--prefill", 0, "--decode", decode, "--repeat", repeat, *settings["decode"]]
            return program(model, *options)["decode"]

        for what, work, own, other, wanted, peak in (
            (f"prefill {prefill}", "prefill", ours, theirs, target, "arithmetic"),
            ("decode", "decode", ours_decoding, theirs_decoding, 1.0, "memory"),
        ):
            programs = {
                "MoEScope": own,
                "llama.cpp": other,
                "ik_llama.cpp": lambda other=other, settings=ik_settings: other(ik_llama, settings),
            }
            samples = in_turn(rounds[work], programs)
            case = f"layer2 {kind}, {what}"
            recorded = "log-probabilities, router logits and load to disk" if peak == "arithmetic" else "default"
            mine = section.add(case, "MoEScope", recorded, "tokens/s", samples["MoEScope"])
            peer = section.add(case, "llama.cpp", " ".join(settings[work]), "tokens/s", samples["llama.cpp"])
            fork = section.add(case, "ik_llama.cpp", " ".join(ik_settings[work]), "tokens/s", samples["ik_llama.cpp"])
            ratio, share = mine.times(peer), statistics.median(machine[peak])
            seen = f"{ratio:.2f} × ({100 * share:.0f} % of the {peak} peak)"
            if ratio < wanted and ratio / share < wanted:
                seen = f"{seen[:-1]}, at which it would be {ratio / share:.1f} ×)"
            section.check(case, f"≥ {wanted} × llama.cpp", seen, ratio >= wanted)
            if work == "decode":
                ratio = mine.times(fork)
                section.check(case, "≥ 1.0 × ik_llama.cpp", f"{ratio:.2f} ×", ratio >= 1)
    return section


def block(quick: bool) -> Section:
    """One block of Mixtral-8x7B's experts in bf16, 2,048 tokens, beside kt-kernel, which is made for processors with AMX."""
    section = Section("block", "A block of Mixtral's experts beside kt-kernel", quick)
    if not machine_kind(machine_facts()["Processor"]).endswith(", AMX"):
        section.notes.append("This processor has no AMX: kt-kernel was not measured.")
        return section
    tokens, rounds, repeat = (512, 1, 1) if quick else (2048, 3, 2)
    models = [checkpoint("layer2", "BF16"), checkpoint("layer2", "BF16", layers=1)]
    peers: list[dict] = []

    def ours() -> list[float]:
        both, one = (
            statistics.median(bench(model, "-p", tokens, "-n", 0, "--repeat", repeat)["prefill"]["runs"]) for model in models
        )
        return [tokens / (both - one)]

    def theirs() -> list[float]:
        peers.append(kt_kernel("--tokens", tokens, "--repeat", repeat))
        return peers[-1]["tokens_per_second"]

    samples = in_turn(rounds, {"MoEScope": ours, "kt-kernel": theirs})
    case = f"Mixtral MoE block, {tokens} tokens"
    mine = section.add(case, "MoEScope", "two layers less one: with attention", "tokens/s", samples["MoEScope"])
    peer = section.add(case, "kt-kernel", f"{peers[0]['version']}, AMX bf16, experts alone", "tokens/s", samples["kt-kernel"])
    ratio = mine.times(peer)
    section.check(case, "≥ 1.0 × kt-kernel", f"{ratio:.2f} ×", ratio >= 1)
    return section


def documents(quick: bool) -> Section:
    """500 documents of about 100 tokens, router logits and every log-probability to disk, beside transformers at its best
    setting and in bfloat16, which the tracker names; where bfloat16 crawls, it reads a tenth of the documents."""
    section = Section("documents", "Many short documents beside transformers", quick)
    count, rounds = (40, 1) if quick else (500, 5)
    small = read_anew(checkpoint("small", "hf"))
    random = random_corpus(count, 32_000, (60, 140))
    texts = polyglot_corpus(count, (60, 140))
    for case, ours, theirs, corpus in (
        ("small bf16", small, small, random),
        ("small Q8_0", read_anew(checkpoint("small", "Q8_0")), small, random),
        ("polyglot", POLYGLOT, POLYGLOT, texts),
    ):
        settings = best_transformers_settings(theirs, corpus, quick)
        if "bfloat16" in settings[0]:
            settings = settings[:1]
        else:
            settings[1] += ["--limit", str(count // 10)]
        programs = {
            "MoEScope": lambda ours=ours, corpus=corpus: [
                trace(ours, corpus, WORK / "traces" / "documents").tokens_per_second
            ]
        }
        for setting in settings:
            programs[" ".join(setting)] = lambda theirs=theirs, corpus=corpus, setting=setting: transformers(
                theirs, corpus, "--repeat", 1, *setting
            )["tokens_per_second"]
        samples = in_turn(rounds, programs)
        name = f"{case}, {count} documents of about 100 tokens"
        mine = section.add(name, "MoEScope", "trace, log-probabilities", "tokens/s", samples.pop("MoEScope"))
        peers = [section.add(name, "transformers", setting, "tokens/s", speeds) for setting, speeds in samples.items()]
        fastest, in_bf16 = peers[0], peers[-1]
        ratio = mine.times(in_bf16)
        section.check(
            name,
            "≥ 2 × transformers bf16",
            f"{ratio:.2f} × ({mine.times(fastest):.2f} × transformers at its best setting)",
            ratio >= 2,
        )
    return section


def disk(quick: bool) -> Section:
    """Mixtral-8x7B's shape in Q4_K, 26 GB, in 12 GiB: the speed of a layer beside the same layers in memory."""
    section = Section("disk", "A model larger than its memory", quick)
    tokens = 512 if quick else 4096
    shape = ["-n", 0, "-p", 512, "--documents", tokens // 512, "--repeat", 1]
    large = checkpoint("mixtral32", "Q4_K")
    in_memory = checkpoint("layer2", "Q4_K")
    before = bench(in_memory, *shape)["prefill"]["runs"]
    corpus = random_corpus(tokens // 512, 32_000, (512, 512))
    streamed = bench(large, *shape, "--memory", "12G", "--cold")["prefill"]["runs"]
    after = bench(in_memory, *shape)["prefill"]["runs"]
    name = f"waves of {tokens:,} tokens"
    mine = section.add(
        name, "MoEScope", "mixtral32 Q4_K, --memory 12G", "layer-tokens/s", [32 * tokens / s for s in streamed]
    )
    fits = section.add(
        name, "MoEScope", "layer2 Q4_K in memory", "layer-tokens/s", [2 * tokens / s for s in before + after]
    )
    ratio = mine.median / fits.median
    section.check(f"mixtral32, {name}: speed of a layer", "≥ 60 % of that in memory", f"{100 * ratio:.0f} %", ratio > 0.6)
    if quick:
        large.unlink()
        section.notes.append("Peak memory of `moescope trace` is measured in the full run.")
        return section
    run = trace(large, corpus, WORK / "traces" / "disk", "--memory", "12G", "--wave-tokens", tokens)
    # 26 GB that nobody wants to find later.
    large.unlink()
    section.add("peak memory", "MoEScope", "trace, --memory 12G", "GiB", [run.peak_bytes / 2**30])
    section.check("mixtral32, peak memory of the trace", "≤ 12 GiB", f"{run.peak_bytes / 2**30:.1f} GiB",
                  run.peak_bytes <= 12 << 30)  # fmt: skip
    section.notes += [f"What it says beforehand: {line}" for line in run.said.splitlines() if "read once per wave" in line]
    return section
