"""Runs sections and writes RESULTS.md and RESULTS.csv beside this file.

Every section's results are kept in Benchmarks/.work/, so one can be run again alone and the pages are made anew from all.
"""

import argparse
import sys
import time

SECTIONS = {
    "speed": "prefill and decoding of Mixtral's layers beside llama.cpp (checkpoints of 12 GB)",
    "block": "one block of Mixtral's experts beside kt-kernel, where the processor has AMX",
    "documents": "500 short documents beside transformers",
    "recording": "what recording router logits and attention summaries costs",
    "memory": "peak memory of documents of up to 32,768 tokens",
    "growth": "time by tokens per wave, length, layers, experts, captured hooks",
    "agreement": "fast beside exact, and beside llama.cpp on the same quantized file",
    "disk": "a model of 26 GB in 12 GiB of memory (only with --all or --only: it writes 26 GB and takes long)",
}


def main() -> None:
    listing = "\n".join(f"  {name:<10} {what}" for name, what in SECTIONS.items())
    parser = argparse.ArgumentParser(
        prog="Benchmarks/run",
        description=__doc__,
        epilog=f"sections:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a first look: few runs of smaller work")
    parser.add_argument("--only", action="append", choices=SECTIONS, metavar="SECTION", help="only this one; repeatable")
    parser.add_argument("--all", action="store_true", help="the long section too")
    parser.add_argument("--missing", action="store_true", help="leave out sections that have results already")
    parser.add_argument("--results", action="store_true", help="measure nothing; write RESULTS.md and .csv again")
    arguments = parser.parse_args()

    # Only now: --help works without the packages.
    import results
    import sections_agreement
    import sections_cost
    import sections_speed
    from measure import Section

    runners = {
        name: getattr(module, name)
        for module in (sections_speed, sections_cost, sections_agreement)
        for name in SECTIONS
        if hasattr(module, name)
    }
    names = arguments.only or [name for name in SECTIONS if arguments.all or name != "disk"]
    for name in [] if arguments.results else names:
        if arguments.missing and Section.load(name) is not None:
            continue
        print(f"==> {name}: {SECTIONS[name]}", file=sys.stderr, flush=True)
        begin = time.monotonic()
        section = runners[name](arguments.quick)
        section.machine = results.machine_facts()
        section.save()
        print(f"    done in {time.monotonic() - begin:.0f} s", file=sys.stderr)
    done = [section for name in SECTIONS if (section := Section.load(name)) is not None]
    results.write(done)
    print("Benchmarks/RESULTS.md and RESULTS.csv: " + ", ".join(section.name for section in done))


if __name__ == "__main__":
    main()
