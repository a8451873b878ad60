"""RESULTS.md and RESULTS.csv, from the sections kept in .work/, and the facts of the machine.

RESULTS.csv keeps what machines of other kinds gave: a section's rows are replaced only by the same section of the same kind.
"""

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
    known = [flag for flag in ("avx2", "fma", "f16c", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8") if flag in flags]
    return {
        "Processor": f"{cpu.get('model name', platform.processor())} ({', '.join(known)})",
        "Processors used": str(len(os.sched_getaffinity(0))),
        "Memory": f"{memory:.1f} GiB",
        "System": f"Linux {platform.release()}",
        "MoEScope": subprocess.run([MOESCOPE, "--version"], capture_output=True, text=True).stdout.strip(),
        "Peers": ", ".join(f"{name} {version(name)}" for name in ("llama-cpp-python", "ik-llama-cpp-python", "transformers", "torch")),
    }


def _lines(path: str) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in Path(path).read_text().splitlines() if ":" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def machine_kind(processor: str) -> str:
    """"AMD EPYC, AVX2" of "AMD EPYC (avx2, fma, f16c)": the name and the best unit of a "Processor" fact."""
    name, _, flags = processor.partition(" (")
    units = {"amx_bf16": "AMX", "avx512f": "AVX-512", "avx2": "AVX2"}
    return f"{name}, {next((unit for flag, unit in units.items() if flag in flags), 'no AVX2')}"


COLUMNS = ("machine", "section", "case", "engine", "setting", "unit", "median", "lowest", "highest", "samples", "ratio")
Row = dict[str, str]


def write(sections: list[Section]) -> None:
    path = ROOT / "Benchmarks" / "RESULTS.csv"
    before = list(csv.DictReader(io.StringIO(path.read_text()))) if path.exists() else []
    rows = merged(before, sections)
    path.write_text(table(rows))
    (ROOT / "Benchmarks" / "RESULTS.md").write_text(markdown(sections, rows))


def merged(before: list[Row], sections: list[Section]) -> list[Row]:
    """Rows of the sections, and of those rows that were there, the ones of other machines and of other sections."""
    rows: list[Row] = []
    for section in sections:
        machine = machine_kind(section.machine["Processor"])
        for one in section.measurements:
            # What MoEScope gave in turn with a peer, as many times what the peer gave.
            ours = [m for m in section.measurements if m.engine == "MoEScope" and (m.case, m.unit) == (one.case, one.unit)]
            ratio = f"{ours[0].times(one):.6g}" if ours and one.engine != "MoEScope" else ""
            numbers = [f"{value:.6g}" for value in (one.median, min(one.samples), max(one.samples))]
            fields = [machine, section.name, one.case, one.engine, one.setting, one.unit, *numbers, str(len(one.samples)), ratio]
            rows.append(dict(zip(COLUMNS, fields, strict=True)))
    new = {(row["machine"], row["section"]) for row in rows}
    return rows + [row for row in before if (row["machine"], row["section"]) not in new]


def table(rows: list[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def machines_beside(rows: list[Row]) -> list[str]:
    """Ours on every kind of machine, and how many times the best peer's that is: one line a case with a peer."""
    machines = list(dict.fromkeys(row["machine"] for row in rows))
    lines = [f"| tokens/s, and times the best peer | {' | '.join(machines)} |", f"|---|{'--:|' * len(machines)}"]
    for case in dict.fromkeys(row["case"] for row in rows if row["engine"] != "MoEScope" and row["unit"] == "tokens/s"):
        cells = []
        for machine in machines:
            found = [row for row in rows if row["machine"] == machine and row["case"] == case]
            ours = [float(row["median"]) for row in found if row["engine"] == "MoEScope"]
            ratios = [float(row["ratio"]) for row in found if row["engine"] != "MoEScope"]
            cells.append(f"{number(ours[0])}, {min(ratios):.2f} ×" if ours and ratios else "–")
        lines.append(f"| {case} | {' | '.join(cells)} |")
    return lines if len(lines) > 2 else []


def markdown(sections: list[Section], rows: list[Row]) -> str:
    lines = [
        "# Results",
        "",
        "Made by `make bench`. Programs alternate on the same file; figures are medians, in brackets the lowest and highest.",
        "A ratio is the median of the rounds' ratios, so it need not be that of the medians beside it.",
        "Each peer runs at the best of its settings, tried beforehand and named beside its figure.",
        "",
    ]
    checks = [(section, check) for section in sections for check in section.checks]
    if checks:
        lines += ["## What must be seen", "", "| | asked | seen | |", "|---|---|---|---|"]
        marks = {True: "yes", False: "**no**", None: "–"}
        lines += [f"| {c.claim} | {c.wanted} | {c.seen}{' (quick)' * s.quick} | {marks[c.passed]} |" for s, c in checks]
        lines.append("")
    if beside := machines_beside(rows):
        lines += ["## Machines beside each other", "", *beside, ""]
        lines += ["What each kind of machine gave when it was last measured; every figure is in RESULTS.csv.", ""]
    for section in sections:
        lines += [f"## {section.title}", ""]
        if section.quick:
            lines += ["A quick look: few runs, so no more than a hint.", ""]
        if section.measurements:
            lines += ["| case | engine | setting | | |", "|---|---|---|--:|---|"]
            lines += [*(_row(one) for one in section.measurements), ""]
        lines += [*(f"{note}\n" for note in section.notes)]
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
