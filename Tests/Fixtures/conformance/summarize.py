"""Reads what compare.py wrote and prints: combinations, agreements, refusals by setting, notices by setting, silent differences.

    python summarize.py PART.jsonl ...

Exits 1 where anything differs.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path


def main() -> None:
    lines = [json.loads(line) for path in sys.argv[1:] for line in Path(path).read_text().splitlines()]
    outcomes = {form: Counter[str]() for form in ("hf", "converted", "gguf")}
    reasons, notices = Counter[str](), Counter[str]()
    differing: list[str] = []
    for line in lines:
        for form, counter in outcomes.items():
            if (result := line.get(form)) is None:
                continue
            outcome = result["outcome"]
            # A refusal where the reference refuses too is the same answer.
            if outcome == "refused" and "reference" in line:
                outcome = "both refused"
            counter[outcome] += 1
            if outcome == "refused":
                reasons[subject(result["reason"])] += 1
            for notice in result.get("notices", []):
                notices[subject(notice)] += 1
            if outcome == "differs":
                differing.append(f"{line['name']} ({form}): {result['by']}; notices: {result['notices']}")
    print(f"{len(lines)} combinations")
    for form, title in (("hf", "folders"), ("converted", "GGUF files made of them"), ("gguf", "GGUF files as found")):
        counts = outcomes[form]
        print(
            f"  {title:<24} {counts['equal']} equal · {counts['refused']} refused · {counts['both refused']} refused by both · "
            f"{counts['reference refused']} run here only · {counts['differs']} silent differences"
        )
    print("\nrefused, though the reference runs it:")
    for reason, count in reasons.most_common():
        print(f"  {count:>6}  {reason}")
    print("\nnamed in a notice:")
    for notice, count in notices.most_common():
        print(f"  {count:>6}  {notice}")
    for line in differing[:100]:
        print("DIFFERS", line)
    sys.exit(1 if differing else 0)


def subject(text: str) -> str:
    """A sentence without its numbers, so that equal ones count together."""
    text = re.sub(r"^/?\S*(config\.json|model\.safetensors|\.gguf): ", "", text)
    text = re.sub(r"layers\.\d+", "layers.N", text)
    text = re.sub(r"found \S+( \[[\d, ]*\])?", "found …", text)
    return re.sub(r"\d+(\.\d+)?", "#", text)[:150]


main()
