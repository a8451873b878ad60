"""What Scripts/endurance runs and compares, what it counts, and a large trace made without MoEScope."""

import argparse
import hashlib
import json
import math
import os
import random
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


class Faults:
    """What one check found."""

    def __init__(self, name: str, tries: int):
        self.name, self.tries, self.done, self.faults, self.notes = name, tries, 0, [], {}
        self.started = time.monotonic()

    def fault(self, text: str) -> None:
        self.faults.append(text)
        print(f"  FAULT {self.name}, try {self.done + 1}: {text}", flush=True)

    def note(self, text: str) -> None:
        self.notes[text] = self.notes.get(text, 0) + 1

    def row(self) -> list[str]:
        notes = "; ".join(f"{text} ({count})" if count > 1 else text for text, count in sorted(self.notes.items()))
        seconds = time.monotonic() - self.started
        return [self.name, str(self.done), str(len(self.faults)), f"{seconds:.0f} s", notes]


class Runs:
    """Runs of the command in folders of their own, held against an uninterrupted one."""

    def __init__(self, options: argparse.Namespace, work: Path):
        self.options, self.work, self.random = options, work, random.Random(options.seed)
        self.command = str(Path(options.moescope).resolve())
        self.environment = os.environ | {"XDG_CACHE_HOME": str(work / "cache"), "SOURCE_DATE_EPOCH": "0"}
        lines = (ROOT / "Models/polyglot/heldout.jsonl").read_text(encoding="utf-8").splitlines()
        self.corpus = work / "corpus.jsonl"
        self.corpus.write_text("\n".join(lines[: options.documents]) + "\n", encoding="utf-8")
        self.number = 0

    # Running the command

    def trace_arguments(self, folder: Path, *more: str) -> list[str]:
        return [
            self.command, "trace", "polyglot", "--corpus", str(self.corpus), "--output", str(folder),
            "--max-tokens", "40", "--wave-tokens", "100", "--threads", "1", *more,
        ]  # fmt: skip

    def experiment_arguments(self, folder: Path, *more: str) -> list[str]:
        return [
            self.command, "experiment", "top-k", "polyglot", "--corpus", str(self.corpus), "--output", str(folder),
            "--max-tokens", "24", "--counts", "1,2,3", "--threads", "1", "--bootstrap", "20", "--permutations", "20",
            *more,
        ]  # fmt: skip

    def start(self, arguments: list[str], prefix: list[str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (prefix or []) + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            env=self.environment, cwd=self.work,
        )  # fmt: skip

    def run(self, arguments: list[str]) -> tuple[int, str, str]:
        process = self.start(arguments)
        output, errors = process.communicate(timeout=600)
        return process.returncode, output, errors

    def folder(self) -> Path:
        self.number += 1
        return self.work / f"{self.number}"

    # What must hold

    def contents(self, folder: Path) -> dict[str, bytes]:
        found = {}
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                found[str(file.relative_to(folder))] = file.read_bytes()
        if "manifest.json" in found:
            manifest = json.loads(found["manifest.json"])
            for changing in ("created", "updated", "manifest_sha256"):
                del manifest[changing]
            found["manifest.json"] = json.dumps(manifest, sort_keys=True).encode()
        return found

    def differences(self, folder: Path, reference: dict[str, bytes]) -> str:
        found = self.contents(folder)
        different = [name for name in reference if name in found and found[name] != reference[name]]
        parts = {
            "missing": [name for name in reference if name not in found],
            "left over": [name for name in found if name not in reference],
            "different": different,
        }
        return "; ".join(f"{what}: {', '.join(names[:3])}" for what, names in parts.items() if names)

    def check_trace(self, faults: Faults, folder: Path, reference: dict[str, bytes]) -> None:
        code, _, errors = self.run([self.command, "verify", str(folder)])
        if code != 0:
            faults.fault(f"verify: {errors.strip()[:200]}")
        if text := self.differences(folder, reference):
            faults.fault(text)

    def reference(self) -> tuple[dict[str, bytes], float]:
        folder = self.folder()
        started = time.monotonic()
        code, _, errors = self.run(self.trace_arguments(folder))
        seconds = time.monotonic() - started
        if code != 0:
            sys.exit(f"the uninterrupted run failed: {errors}")
        found = self.contents(folder)
        shutil.rmtree(folder)
        return found, seconds


def synthetic_trace(folder: Path, wanted: int) -> int:
    """A sound trace of about so many bytes, written without MoEScope: 16 layers of 128 experts."""
    layers, experts, chosen, rows, shards_rows = 16, 128, 8, 512, 64 * 512
    per_row = layers * (experts * 4 + chosen * 5) + 16
    count = max(1, round(wanted / (per_row * shards_rows)))
    (folder / "shards").mkdir(parents=True)
    shards, lines = [], []
    documents = shards_rows // rows
    for number in range(count):
        first = number * documents
        parts = [
            ("document", "I32", [shards_rows], b"".join(struct.pack("<i", first + d) * rows for d in range(documents))),
            ("position", "I32", [shards_rows], struct.pack(f"<{rows}i", *range(rows)) * documents),
            ("token", "I32", [shards_rows], struct.pack("<i", 7) * shards_rows),
            ("logprob", "F32", [shards_rows], struct.pack(f"<{rows}f", math.nan, *[-1] * (rows - 1)) * documents),
            ("router_logits", "F32", [layers, shards_rows, experts], struct.pack(f"<{experts}f", *range(experts))),
            ("expert_weights", "F32", [layers, shards_rows, chosen], struct.pack("<f", 0.125)),
            ("expert_indices", "U8", [layers, shards_rows, chosen], bytes(range(chosen))),
        ]
        header, begin = {}, 0
        for name, dtype, shape, _ in parts:
            size = (1 if dtype == "U8" else 4) * math.prod(shape)
            header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}
            begin += size
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        hasher = hashlib.sha256()
        file = folder / f"shards/{number:06}.safetensors"
        with open(file, "wb") as handle:

            def put(data: bytes, handle=handle, hasher=hasher) -> None:
                handle.write(data)
                hasher.update(data)

            put(struct.pack("<Q", len(text)) + text)
            for name, _, _, data in parts:
                begin, end = header[name]["data_offsets"]
                left = end - begin
                block = data * max(1, (1 << 20) // len(data))
                while left > 0:
                    put(block[:left])
                    left -= len(block)
        shards.append({
            "file": f"shards/{number:06}.safetensors", "tokens": shards_rows, "documents": documents,
            "sha256": hasher.hexdigest(),
        })  # fmt: skip
        for d in range(documents):
            lines.append({
                "index": first + d, "id": f"d{first + d}", "group": "even" if d % 2 else "odd", "text_sha256": "",
                "tokens": rows, "truncated": False, "shard": number, "first_row": d * rows, "parallel_id": None,
            })  # fmt: skip
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    (folder / "documents.jsonl").write_bytes(text)
    manifest = {
        "format": "moescope-trace", "version": 2, "status": "complete", "interventions": [], "shards": shards,
        "created": "2026-01-01T00:00:00Z", "updated": "2026-01-01T00:00:00Z",
        "model": {
            "name": "large", "architecture": "none", "layers": layers, "experts": experts, "experts_per_token": chosen,
            "heads": 1, "kv_heads": 1, "hidden_size": 8, "vocab_size": 100, "quantization": "F32",
            "parameters_total": 1, "parameters_active": 1, "sha256": "",
        },
        "tokenizer": {"kind": "none", "sha256": ""},
        "capture": {
            "router_logits": "f32", "attention_summary": False, "attention_pattern": [], "layers": list(range(layers)),
        },
        "compute": {"precision": "exact", "isa": "none", "threads": 1, "version": "0"},
        "corpus": {
            "source": "none", "sha256": "", "documents": len(lines), "tokens": len(lines) * rows,
            "groups": {"even": len(lines) // 2, "odd": len(lines) - len(lines) // 2},
        },
        "files": {"documents.jsonl": {"bytes": len(text), "sha256": hashlib.sha256(text).hexdigest()}},
        "manifest_sha256": "0" * 64,
    }  # fmt: skip
    text = json.dumps(manifest, indent=2, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(text.replace("0" * 64, digest))
    return sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def table(rows: list[list[str]]) -> str:
    header = ["check", "tries", "faults", "time", "seen"]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, ["---"] * len(header), *rows])
