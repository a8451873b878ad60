#!/usr/bin/env python3
"""What a report costs of a trace of 48 layers x 64 experts (8 per token) x 30 groups x 20,000 tokens.

It makes a checkpoint of that shape with random weights and a corpus of 30 groups that share half of their words, traces it, and
measures `moescope report` and `moescope metrics`: seconds of the clock, of all processors, peak memory, the first word on standard
error, and the page in headless Chromium. Where other programs run too, seconds of processors are what can be compared.

    .venv/bin/python Benchmarks/report_scale.py              parallel texts in all groups (the most work)
    .venv/bin/python Benchmarks/report_scale.py --apart      every document by itself
    .venv/bin/python Benchmarks/report_scale.py --page-only  the page that is there
"""

import argparse
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

import numpy as np
from checkpoints import checkpoint
from measure import MOESCOPE, ROOT, WORK

GROUPS, TEXTS, LENGTH, FIRST_WORD, VOCABULARY = 30, 22, 30, 259, 8192
OPENINGS = 3


def corpus(path: Path, *, parallel: bool) -> Path:
    """Zipf-distributed words: half of a group's tokens by an order that all share, half by its own."""
    words = VOCABULARY - FIRST_WORD
    weights = 1 / np.arange(1, words + 1)
    generator = np.random.default_rng(1)
    shared = generator.permutation(words)
    own = [np.random.default_rng(100 + group).permutation(words) for group in range(GROUPS)]
    with path.open("w") as file:
        for text in range(TEXTS):
            for group in range(GROUPS):
                ranks = generator.choice(words, size=LENGTH, p=weights / weights.sum())
                tokens = np.where(generator.random(LENGTH) < 0.5, own[group][ranks], shared[ranks]) + FIRST_WORD
                line = {"id": f"{text}-{group}", "group": f"g{group:02d}", "tokens": [1, *tokens.tolist()]}
                if parallel:
                    line["parallel_id"] = str(text)
                file.write(json.dumps(line) + "\n")
    return path


def measured(*words: str | Path) -> dict[str, float]:
    """Runs a command: seconds of the clock and of processors, MiB of peak memory, and seconds to the first line on standard error."""
    begin = time.monotonic()
    process = subprocess.Popen([str(word) for word in words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT)
    assert process.stderr is not None
    first_line = process.stderr.readline()
    first = time.monotonic() - begin
    rest = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((first_line + rest).decode()[-2000:])
    return {
        "seconds": time.monotonic() - begin,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_MiB": usage.ru_maxrss / 1024,
        "first_line_seconds": first,
    }


def opened(page: Path) -> dict[str, float]:
    """The page in Chromium, the medians of `OPENINGS`: seconds until it can be read, until the figures near the reader are drawn, and for all of
    them (as for paper). Then milliseconds of the steps of every slider, until the page has been painted again."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        seconds: dict[str, list[float]] = {"load_seconds": [], "drawn_seconds": [], "all_drawn_seconds": []}
        for _ in range(OPENINGS):
            tab = browser.new_page(viewport={"width": 1280, "height": 900})
            begin = time.monotonic()
            tab.goto(page.as_uri(), wait_until="load")
            seconds["load_seconds"].append(time.monotonic() - begin)
            tab.wait_for_selector("html[data-drawn]", timeout=120_000)
            seconds["drawn_seconds"].append(time.monotonic() - begin)
            begin = time.monotonic()
            tab.evaluate("() => drawAll()")
            seconds["all_drawn_seconds"].append(time.monotonic() - begin)
        steps = tab.evaluate("""async () => {
            const times = {};
            for (const control of document.querySelectorAll("input[type=range]")) {
                control.scrollIntoView();
                await new Promise((resume) => setTimeout(resume, 100));
                times[control.id] = [];
                for (let step = 0; step < 8; step++) {
                    control.value = Number(control.min) + (step * 7) % (Number(control.max) + 1);
                    const begin = performance.now();
                    control.dispatchEvent(new Event("input"));
                    for (const id of (control.dataset.figures ?? "").split(" ").filter(Boolean)) await figures.get(id).view.runAsync();
                    await new Promise((resume) => requestAnimationFrame(() => setTimeout(resume)));
                    times[control.id].push(performance.now() - begin);
                }
            }
            return times;
        }""")
        browser.close()
    result = {name: statistics.median(values) for name, values in seconds.items()}
    for slider, times in steps.items():
        result |= {f"{slider}_median_ms": statistics.median(times), f"{slider}_slowest_ms": max(times)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apart", action="store_true", help="no parallel texts")
    parser.add_argument("--no-page", action="store_true", help="without the browser")
    parser.add_argument("--page-only", action="store_true", help="only the browser, of a page that was made before")
    arguments = parser.parse_args()
    folder = WORK / ("report-apart" if arguments.apart else "report-parallel")
    folder.mkdir(parents=True, exist_ok=True)
    trace, page = folder / "trace", folder / "report.html"
    if not (trace / "manifest.json").exists():
        model = checkpoint("wide", "F32")
        texts = corpus(folder / "corpus.jsonl", parallel=not arguments.apart)
        words = ["trace", model, "--corpus", texts, "--output", trace, "--precision", "exact"]
        subprocess.run([MOESCOPE, *words, "--capture", "router_logits,attention_summary"], check=True, cwd=ROOT)
    results: dict[str, dict[str, float]] = {}
    if not arguments.page_only:
        results["metrics"] = measured(MOESCOPE, "metrics", trace, "--json")
        results["report"] = measured(MOESCOPE, "report", trace, "--html", page, "--csv", folder / "csv")
    results["page"] = {"MB": page.stat().st_size / 1e6}
    if not arguments.no_page:
        results["page"] |= opened(page)
    for name, values in results.items():
        print(f"{name}: " + ", ".join(f"{key.replace('_', ' ')} {value:,.2f}" for key, value in values.items()))


if __name__ == "__main__":
    main()
