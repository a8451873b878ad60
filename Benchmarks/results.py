"""RESULTS.md and RESULTS.csv, from the sections kept in .work/, and the facts of the machine."""

import csv
import io
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from measure import MOESCOPE, ROOT, Measurement, Section


def machine_facts() -> dict[str, str]:
    """What a reader needs to judge the figures."""
    cpu = _lines("/proc/cpuinfo")
    memory = int(_lines("/proc/meminfo")["MemTotal"].split()[0]) / 2**20
    flags = cpu.get("flags", "").split()
    known = [flag for flag in ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8") if flag in flags]
    return {
        "Processor": f"{cpu.get('model name', platform.processor())} ({', '.join(known)})",
        "Processors used": str(len(os.sched_getaffinity(0))),
        "Memory": f"{memory:.1f} GiB",
        "System": f"Linux {platform.release()}",
        "MoEScope": subprocess.run([MOESCOPE, "--version"], capture_output=True, text=True).stdout.strip(),
        "Peers": ", ".join(f"{name} {version(name)}" for name in ("llama-cpp-python", "transformers", "torch")),
    }


def _lines(path: str) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def write(sections: list[Section]) -> None:
    (ROOT / "Benchmarks" / "RESULTS.md").write_text(markdown(sections))
    (ROOT / "Benchmarks" / "RESULTS.csv").write_text(table(sections))


def table(sections: list[Section]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["section", "case", "engine", "setting", "unit", "median", "lowest", "highest", "samples"])
    for section in sections:
        for one in section.measurements:
            numbers = [f"{value:.6g}" for value in (one.median, min(one.samples), max(one.samples))]
            writer.writerow([section.name, one.case, one.engine, one.setting, one.unit, *numbers, len(one.samples)])
    return text.getvalue()


def markdown(sections: list[Section]) -> str:
    lines = [
        "# Results",
        "",
        "Made by `make bench`. Programs alternate on the same file; figures are medians, in brackets the lowest and highest.",
        "Each peer runs at the best of its settings, tried beforehand and named beside its figure.",
        "",
    ]
    checks = [(section, check) for section in sections for check in section.checks]
    if checks:
        lines += ["## What must be seen", "", "| | asked | seen | |", "|---|---|---|---|"]
        marks = {True: "yes", False: "**no**", None: "–"}
        lines += [f"| {c.claim} | {c.wanted} | {c.seen}{' (quick)' * s.quick} | {marks[c.passed]} |" for s, c in checks]
        lines.append("")
    for section in sections:
        lines += [f"## {section.title}", ""]
        if section.quick:
            lines += ["A quick look: few runs, so no more than a hint.", ""]
        lines += ["| case | engine | setting | | |", "|---|---|---|--:|---|"]
        lines += [_row(one) for one in section.measurements]
        lines += ["", *(f"{note}\n" for note in section.notes)]
        lines += ["; ".join(f"{key}: {value}" for key, value in section.machine.items()), ""]
    return "\n".join(lines).rstrip() + "\n"


def _row(one: Measurement) -> str:
    spread = f" ({number(min(one.samples))}–{number(max(one.samples))})" if len(one.samples) > 1 else ""
    return f"| {one.case} | {one.engine} | {one.setting} | {number(one.median)}{spread} | {one.unit} |"


def number(value: float) -> str:
    """Three or four telling digits."""
    if value != 0 and abs(value) < 0.01:
        return f"{value:.1e}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
