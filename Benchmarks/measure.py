"""What is measured, how it is kept, and running programs in turn."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "Benchmarks" / ".work"
MOESCOPE = ROOT / ".build" / "release" / "moescope"


@dataclass
class Measurement:
    """Samples of one number, all of one sitting."""

    case: str
    engine: str
    setting: str
    unit: str
    samples: list[float]

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def times(self, other: "Measurement") -> float:
        """How many times as much as `other`, which was measured in turn with this."""
        return median_ratio(self.samples, other.samples)


def median_ratio(samples: list[float], base: list[float]) -> float:
    """The median of the rounds' ratios: a machine that is fast in one round and slow in the next is so for both."""
    return statistics.median(one / other for one, other in zip(samples, base, strict=True))


@dataclass
class Check:
    """A claim of the tracker's table and what was seen; `passed` is None where it cannot be judged here."""

    claim: str
    wanted: str
    seen: str
    passed: bool | None


@dataclass
class Section:
    """Results of one section, kept in .work/ until it is run again."""

    name: str
    title: str
    quick: bool
    measurements: list[Measurement] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    machine: dict[str, str] = field(default_factory=dict)

    def add(self, case: str, engine: str, setting: str, unit: str, samples: list[float]) -> Measurement:
        measurement = Measurement(case, engine, setting, unit, samples)
        self.measurements.append(measurement)
        say(f"{case}: {engine} ({setting}) {measurement.median:,.4g} {unit}")
        return measurement

    def check(self, claim: str, wanted: str, seen: str, passed: bool | None) -> None:
        self.checks.append(Check(claim, wanted, seen, passed))
        say(f"{claim}: {seen}, wanted {wanted}")

    def save(self) -> None:
        WORK.mkdir(parents=True, exist_ok=True)
        path = WORK / f"{self.name}.json"
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self), indent=1) + "\n")
        os.replace(partial, path)

    @classmethod
    def load(cls, name: str) -> "Section | None":
        """The section as it was last run; None where it never was."""
        path = WORK / f"{name}.json"
        if not path.exists():
            return None
        fields = json.loads(path.read_text())
        fields["measurements"] = [Measurement(**item) for item in fields["measurements"]]
        fields["checks"] = [Check(**item) for item in fields["checks"]]
        return cls(**fields)


def in_turn(rounds: int, programs: Mapping[str, Callable[[], list[float]]]) -> dict[str, list[float]]:
    """Runs the programs one after the other, round after round, so that what slows the machine slows all alike. A round gives one
    sample, the median of a program's own runs."""
    samples: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            samples[name].append(statistics.median(program()))
    return samples


@dataclass
class Finished:
    output: str
    errors: str
    peak_bytes: int


def execute(command: list[str | Path], environment: Mapping[str, str] | None = None) -> Finished:
    """Runs a program to its end; a failure stops the benchmark with the program's own words."""
    words = [str(word) for word in command]
    errors = WORK / "stderr.txt"
    errors.parent.mkdir(parents=True, exist_ok=True)
    with errors.open("w+") as log:
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT, env=os.environ | dict(environment or {})
        )
        assert process.stdout is not None
        output = process.stdout.read()
        # wait4 and not wait: it also tells the peak of resident memory.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        said = log.read()
    if process.returncode:
        sys.exit(f"error: {' '.join(words)}\nended with {process.returncode}:\n{said[-4000:]}")
    return Finished(output, said, usage.ru_maxrss * 1024)


def say(line: str) -> None:
    print(f"    {line}", file=sys.stderr, flush=True)
