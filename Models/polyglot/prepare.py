#!/usr/bin/env python3
"""Make the corpus and the tokenizer of the polyglot model, from Debian packages alone.

    python3 prepare.py [--work .work] [--root DIR]

1. Downloads the packages in PACKAGES with `apt-get download` (no root needed) and unpacks them under
   .work/root. `--root DIR` reads an already unpacked tree instead.
2. Extracts one text per document, aligned across languages by package and file name.
3. Removes lines that were never translated, and lines of 40 characters or more seen before in the group.
4. Holds out documents (heldout.jsonl, and a validation split for train.py) in all languages at once;
   whatever line of theirs occurs elsewhere is removed from the training text, and a candidate that still shares
   too many word 8-grams with the training text is refused.
5. Adds a second source to heldout.jsonl: sections of manuals, and code of projects, of which nothing is trained on.
   The copyright files of what heldout.jsonl quotes go to licenses/.
6. Trains the SentencePiece tokenizer and writes tokenizer.model, tokenizer.json, tokenizer_config.json.
7. Encodes the training text to .work/train.npz.

Everything random is drawn from SEED; the same packages give the same bytes.
"""

import argparse
import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

HERE = Path(__file__).resolve().parent
SEED = 20240607
LANGUAGES = ["en", "de", "fr", "es", "it"]
GROUPS = LANGUAGES + ["code"]
VOCABULARY = 8192

HELDOUT_PARALLEL, HELDOUT_CODE = 80, 80
VALIDATION_PARALLEL, VALIDATION_CODE = 24, 24
SHORTEST, LONGEST = 300, 1800  # characters of a held-out document, in every language
LARGEST_OVERLAP = 0.20  # of a held-out document's word 8-grams in its group's training text, in any language
NGRAM = 8

PACKAGES = (
    ["libreoffice-help-" + l for l in ("en-us", "de", "fr", "es", "it")]
    + ["gimp-help-" + l for l in LANGUAGES]
    + ["gimp-help-common", "gnome-user-docs", "libpython3.11-stdlib", "libpython3.11-minimal"]
)
LICENSES = {
    "libreoffice-help": "MPL-2.0",
    "gimp-help": "GFDL-1.2-no-invariants-or-later",
    "gnome-user-docs": "CC-BY-SA-3.0",
    "python-stdlib": "PSF-2.0",
    "apt-doc": "GPL-2.0-or-later",
    "debian-edu-doc": "GPL-2.0-or-later",
    "debian-handbook": "GPL-2.0-or-later OR CC-BY-SA-3.0",
    "debian-reference": "GPL-2.0-or-later",
    "harden-doc": "GPL-2.0-or-later",
    "installation-guide": "GPL-2.0-only",
    "maint-guide": "GPL-2.0-or-later",
    "attrs": "MIT",
    "click": "BSD-3-Clause",
    "dateutil": "BSD-3-Clause",
    "mako": "MIT",
    "markdown": "BSD-3-Clause",
    "pytest": "MIT",
    "requests": "Apache-2.0",
}

# The second source: Debian's own manuals, and Python projects outside the standard library.
SECOND_PER_MANUAL, SECOND_PER_PROJECT = 6, 3
SECOND_SHORTEST, SECOND_LONGEST = 400, 1000  # characters; shorter than the first source's, for the size of the file
MANUALS = {  # name: [its packages]
    "apt-doc": ["apt-doc"],
    "debian-edu-doc": ["debian-edu-doc-" + l for l in LANGUAGES],
    "debian-handbook": ["debian-handbook"],
    "debian-reference": ["debian-reference-common"] + ["debian-reference-" + l for l in LANGUAGES],
    "harden-doc": ["harden-doc"],
    "installation-guide": ["installation-guide-amd64"],
    "maint-guide": ["maint-guide"] + ["maint-guide-" + l for l in LANGUAGES[1:]],
}
PROJECTS = {  # name: (its package, its folder of modules)
    "attrs": ("python3-attr", "attr"),
    "click": ("python3-click", "click"),
    "dateutil": ("python3-dateutil", "dateutil"),
    "mako": ("python3-mako", "mako"),
    "markdown": ("python3-markdown", "markdown"),
    "pytest": ("python3-pytest", "_pytest"),
    "requests": ("python3-requests", "requests"),
}
PACKAGES += [p for packages in MANUALS.values() for p in packages] + [p for p, _ in PROJECTS.values()]
# Whose copyright file goes to licenses/: one package for each source that heldout.jsonl quotes.
QUOTED = dict(
    {name: packages[-1] for name, packages in MANUALS.items()},
    **{name: package for name, (package, _) in PROJECTS.items()},
    **{"libreoffice-help": "libreoffice-help-en-us", "gimp-help": "gimp-help-en", "python-stdlib": "libpython3.11-stdlib"},
)

# Frequent function words: enough to tell an untranslated English line from a translated one.
FUNCTION_WORDS = {
    "en": "the of to and a in is you that it for on with as are be this by from or an can will if not when your at which",
    "de": "der die das und in zu den ist sie von mit für auf ein eine im dem des nicht werden wird oder als an bei wenn können",
    "fr": "le la les de des et un une du en dans est pour que vous à au sur par pas avec ou ce cette sont qui ne il si",
    "es": "el la los las de y un una del en que es para se con por al no o su como este esta si son más puede lo",
    "it": "il la le lo gli i di e un una del della in che è per si con da al non o come questo questa se sono più può dei",
}
FUNCTION_WORDS = {k: frozenset(v.split()) for k, v in FUNCTION_WORDS.items()}
WORD = re.compile(r"[^\W\d_]+")


# ---------------------------------------------------------------- packages


def download(work: Path) -> Path:
    """Fetches and unpacks the packages; returns the tree. Skips what is already there."""
    root, debs = work / "root", work / "debs"
    debs.mkdir(parents=True, exist_ok=True)
    present = {p.name.split("_")[0] for p in debs.glob("*.deb")}
    missing = [p for p in PACKAGES if p not in present]
    if not missing and (root / ".complete").exists():
        return root
    if missing:
        print(f"downloading {len(missing)} Debian packages", flush=True)
        done = subprocess.run(["apt-get", "download", *missing], cwd=debs, capture_output=True, text=True)
        if done.returncode:
            sys.exit("apt-get download failed; has `apt-get update` been run?\n" + done.stderr)
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg", "-x", str(deb), str(root)], check=True)
    versions = "".join(
        subprocess.run(["dpkg-deb", "-f", str(d), "Package", "Version"], check=True, capture_output=True, text=True).stdout
        for d in sorted(debs.glob("*.deb"))
    )
    (work / "versions.txt").write_text(versions)
    (root / ".complete").touch()
    return root


# ---------------------------------------------------------------- text of one document

BLOCKS = frozenset(
    "p h1 h2 h3 h4 h5 h6 li ul ol dl dt dd td th tr table div pre br hr section title caption blockquote header footer".split()
)
VOID = frozenset("br hr img meta link input area base col embed source track wbr".split())
SKIPPED = frozenset("script style svg pre head nav button aside".split())
SKIPPED_CLASSES = frozenset("navheader navfooter indexterm toc debug MAC bascode pycode sqlcode smathcode code codeintable".split())


class BlockText(HTMLParser):
    """Collects the text of block elements; one line per block."""

    def __init__(self, inside_id=None):
        super().__init__(convert_charrefs=True)
        self.inside_id, self.lines, self.buffer = inside_id, [], []
        self.stack, self.skip, self.inside = [], 0, inside_id is None

    def handle_starttag(self, tag, attrs):
        if tag in BLOCKS:
            self.flush()
        if tag in VOID:
            return
        attrs = dict(attrs)
        skip = tag in SKIPPED or bool(SKIPPED_CLASSES.intersection((attrs.get("class") or "").split()))
        enter = self.inside_id is not None and attrs.get("id") == self.inside_id
        self.stack.append((tag, skip, enter))
        self.skip += skip
        self.inside = self.inside or enter

    def handle_endtag(self, tag):
        if tag in BLOCKS:
            self.flush()
        if tag in VOID or not any(t == tag for t, _, _ in self.stack):
            return
        while self.stack:
            t, skip, enter = self.stack.pop()
            self.skip -= skip
            if enter:
                self.flush()
                self.inside = False
            if t == tag:
                break

    def handle_data(self, data):
        if self.inside and not self.skip:
            self.buffer.append(data)

    def flush(self):
        text = " ".join("".join(self.buffer).split())
        self.buffer = []
        if text:
            self.lines.append(text)


class SectionText(BlockText):
    """As `BlockText`, cut where a heading begins."""

    def __init__(self):
        super().__init__()
        self.cuts = []

    def handle_starttag(self, tag, attrs):
        super().handle_starttag(tag, attrs)
        if re.fullmatch("h[1-6]", tag) and not self.skip:
            self.cuts.append(len(self.lines))

    def sections(self):
        """[[line]]: each begins with its heading; what stands before the first is left out."""
        return [self.lines[a:b] for a, b in zip(self.cuts, self.cuts[1:] + [len(self.lines)])]


def html_sections(path):
    parser = SectionText()
    parser.feed(Path(path).read_text(encoding="utf-8", errors="replace"))
    parser.flush()
    return parser.sections()


def html_lines(job):
    path, inside_id = job
    parser = BlockText(inside_id)
    parser.feed(Path(path).read_text(encoding="utf-8", errors="replace"))
    parser.flush()
    return parser.lines


MALLARD_BLOCKS = frozenset("title subtitle desc p td th item cmd screen".split())
MALLARD_SKIPPED = frozenset("info code screen credit license links keywords".split())


def mallard_lines(path):
    lines = []

    def visit(element):
        tag = element.tag.rsplit("}", 1)[-1] if isinstance(element.tag, str) else ""
        if tag in MALLARD_SKIPPED:
            return
        if tag in ("title", "p"):
            text = " ".join("".join(element.itertext()).split())
            if text:
                lines.append(text)
            return
        for child in element:
            visit(child)

    try:
        visit(ElementTree.parse(path).getroot())
    except ElementTree.ParseError:
        return []
    return lines


def is_untranslated(line, language, english):
    """A line of a translated document that is really English: identical to one of the English document,
    or with more English function words than its own language's."""
    words = [w.lower() for w in WORD.findall(line)]
    if len(words) >= 3 and line in english:
        return True
    if len(words) < 5:
        return False
    foreign = sum(w in FUNCTION_WORDS["en"] for w in words)
    return foreign >= 2 and foreign > sum(w in FUNCTION_WORDS[language] for w in words)


def read_languages(root: Path):
    """{parallel_id: {language: [line]}} and {parallel_id: {language: share of characters that was untranslated}}"""
    share = root / "usr/share"
    jobs = []  # (parallel_id, language, path, inside_id)
    for language in LANGUAGES:
        base = share / "libreoffice/help" / ("en-US" if language == "en" else language) / "text"
        jobs += [("libreoffice-help/" + str(p.relative_to(base).with_suffix("")), language, p, "DisplayArea") for p in base.rglob("*.html")]
        base = share / "gimp/2.0/help" / language
        jobs += [("gimp-help/" + p.stem, language, p, None) for p in base.glob("*.html")]
        base = share / "help" / ("C" if language == "en" else language)
        jobs += [("gnome-user-docs/" + str(p.relative_to(base).with_suffix("")), language, p, "mallard") for p in base.rglob("*.page")]
    jobs.sort(key=lambda j: (j[0], j[1]))
    html = [(str(j[2]), j[3]) for j in jobs if j[3] != "mallard"]
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        parsed = iter(list(pool.map(html_lines, html, chunksize=64)))
    documents, untranslated = defaultdict(dict), defaultdict(dict)
    for name, language, path, kind in jobs:
        documents[name][language] = mallard_lines(path) if kind == "mallard" else next(parsed)
    for name, versions in documents.items():
        english = set(versions.get("en", []))
        for language in versions:
            lines = versions[language]
            kept = lines if language == "en" else [l for l in lines if not is_untranslated(l, language, english)]
            kept = [l for l in kept if any(c.isalpha() for c in l)]
            total = sum(map(len, lines))
            untranslated[name][language] = 1 - sum(map(len, kept)) / total if total else 1.0
            versions[language] = kept
    return documents, untranslated


CODE_SKIPPED = re.compile(r"(^|/)(test|tests|idle_test|encodings|pydoc_data|__pycache__|config-[^/]*|lib-dynload)/|_sysconfigdata|/topics\.py$")


def code_pieces(text, longest=LONGEST):
    """Cuts a source file into pieces of at most `longest` characters, at blank lines before top-level statements
    where possible, else at any blank line."""
    blocks, block = [], []
    for line in text.split("\n"):
        if block and block[-1] == "" and line and not line[0].isspace():
            blocks.append("\n".join(block))
            block = []
        block.append(line)
    blocks.append("\n".join(block))
    small = []
    for b in blocks:
        if len(b) <= longest:
            small.append(b)
            continue
        part = []
        for paragraph in b.split("\n\n"):
            if part and sum(map(len, part)) + len(paragraph) > longest:
                small.append("\n\n".join(part))
                part = []
            part.append(paragraph)
        small.append("\n\n".join(part))
    pieces, piece = [], ""
    for b in small:
        if piece and len(piece) + 1 + len(b) > longest:
            pieces.append(piece)
            piece = b
        else:
            piece = piece + "\n" + b if piece else b
    pieces.append(piece)
    return [p.strip("\n") for p in pieces if p.strip()]


def read_code(root: Path):
    base = root / "usr/lib/python3.11"
    documents = {}
    for path in sorted(base.rglob("*.py")):
        name = str(path.relative_to(base))
        if CODE_SKIPPED.search(name):
            continue
        text = source_text(path)
        if len(text) >= 200:
            documents["python-stdlib/" + name] = text
    return documents


def source_text(path):
    text = path.read_text(encoding="utf-8", errors="replace")
    return "\n".join(l.rstrip() for l in text.expandtabs(8).replace("\r", "").replace("\f", "").split("\n"))


# ---------------------------------------------------------------- splits


def truncate(lines, longest=LONGEST):
    """The first lines, up to `longest` characters: the cut is at a paragraph's end."""
    kept, size = [], 0
    for line in lines:
        if size + len(line) + bool(kept) > longest:
            break
        size += len(line) + bool(kept)
        kept.append(line)
    return kept


def ngrams(text):
    words = re.findall(r"\w+", text.lower())
    return {hash(tuple(words[i : i + NGRAM])) for i in range(len(words) - NGRAM + 1)}


def overlap(text, index):
    mine = ngrams(text)
    return len(mine & index) / len(mine) if mine else 1.0


def split(documents, untranslated, code):
    """Returns (training {group: [text]}, heldout [record], validation [record], index {group: n-grams of training}, report)."""
    rng = random.Random(SEED)
    occurrences = {l: Counter() for l in LANGUAGES}
    for versions in documents.values():
        for language, lines in versions.items():
            occurrences[language].update({l for l in lines if len(l) >= 40})

    def eligible(name):
        versions = documents[name]
        if len(versions) < len(LANGUAGES):
            return False
        sizes = []
        for language in LANGUAGES:
            lines = truncate(versions[language])
            size = sum(map(len, lines)) + len(lines) - 1
            if not SHORTEST <= size <= LONGEST or untranslated[name][language] > 0.15:
                return False
            if sum(len(l) for l in lines if len(l) >= 40 and occurrences[language][l] == 1) < 0.7 * size:
                return False
            sizes.append(size)
        return max(sizes) <= 2 * min(sizes)

    candidates = sorted(n for n in documents if eligible(n))
    rng.shuffle(candidates)
    code_names = sorted(n for n in code if len(code[n]) >= 2500)
    rng.shuffle(code_names)
    pool = set(candidates[: 2 * (HELDOUT_PARALLEL + VALIDATION_PARALLEL)])
    code_pool = set(code_names[: 3 * (HELDOUT_CODE + VALIDATION_CODE) // 2])

    # n-grams of everything outside the pool; what is refused below joins the training text again.
    index = {g: set() for g in GROUPS}
    for name, versions in documents.items():
        if name not in pool:
            for language, lines in versions.items():
                index[language] |= ngrams("\n".join(lines))
    for name, text in code.items():
        if name not in code_pool:
            index["code"] |= ngrams(text)

    chosen, refused = [], 0
    for name in [n for n in candidates if n in pool]:
        texts = {l: "\n".join(truncate(documents[name][l])) for l in LANGUAGES}
        shares = {l: overlap(texts[l], index[l]) for l in LANGUAGES}
        if max(shares.values()) > LARGEST_OVERLAP or len(chosen) >= HELDOUT_PARALLEL + VALIDATION_PARALLEL:
            refused += max(shares.values()) > LARGEST_OVERLAP
            for l in LANGUAGES:
                index[l] |= ngrams("\n".join(documents[name][l]))
            continue
        chosen.append((name, texts))
    chosen_code = []
    for name in [n for n in code_names if n in code_pool]:
        pieces = [p for p in code_pieces(code[name]) if SHORTEST <= len(p) <= LONGEST]
        piece = rng.choice(pieces) if pieces else ""
        if not piece or overlap(piece, index["code"]) > LARGEST_OVERLAP or len(chosen_code) >= HELDOUT_CODE + VALIDATION_CODE:
            refused += bool(piece) and overlap(piece, index["code"]) > LARGEST_OVERLAP
            index["code"] |= ngrams(code[name])
            continue
        chosen_code.append((name, piece))
    if len(chosen) < HELDOUT_PARALLEL + VALIDATION_PARALLEL or len(chosen_code) < HELDOUT_CODE + VALIDATION_CODE:
        sys.exit(f"too few held-out documents: {len(chosen)} parallel, {len(chosen_code)} code")

    # The training text: every other document, without lines seen before and without any line of a held-out document.
    out = {name for name, _ in chosen} | {name for name, _ in chosen_code}
    seen = {g: set() for g in LANGUAGES}
    for name in out & documents.keys():
        for l in LANGUAGES:
            seen[l].update(x for x in documents[name][l] if len(x) >= 40)
    training = {g: [] for g in GROUPS}
    order = sorted(documents)
    rng.shuffle(order)
    for name in order:
        if name in out:
            continue
        for language, lines in sorted(documents[name].items()):
            kept = []
            for line in lines:
                if len(line) >= 40:
                    if line in seen[language]:
                        continue
                    seen[language].add(line)
                kept.append(line)
            text = "\n".join(kept)
            if len(text) >= 80 and any(len(l) >= 40 for l in kept):
                training[language].append(text)
    for name, text in code.items():
        if name not in out:
            training["code"] += [p for p in code_pieces(text) if len(p) >= 80]
    for group in GROUPS:
        rng.shuffle(training[group])

    # Final measurement, against exactly what is trained on; drops what the bound above let slip.
    index = {g: set() for g in GROUPS}
    for group in GROUPS:
        for text in training[group]:
            index[group] |= ngrams(text)
    shares = {name: {l: overlap(t[l], index[l]) for l in LANGUAGES} for name, t in chosen}
    shares.update({name: {"code": overlap(p, index["code"])} for name, p in chosen_code})
    bad = {n for n, s in shares.items() if max(s.values()) > LARGEST_OVERLAP}
    chosen = [c for c in chosen if c[0] not in bad]
    chosen_code = [c for c in chosen_code if c[0] not in bad]

    heldout = records(sorted(chosen[VALIDATION_PARALLEL:]), sorted(chosen_code[VALIDATION_CODE:]))
    validation = records(sorted(chosen[:VALIDATION_PARALLEL]), sorted(chosen_code[:VALIDATION_CODE]))
    kept = {r["id"] for r in heldout}
    per_group = defaultdict(list)
    for name, s in shares.items():
        for g, x in s.items():
            if f"{name}#{g}" in kept:
                per_group[g].append(x)
    report = dict(
        candidates=len(candidates),
        refused=refused + len(bad),
        overlap={g: dict(mean=round(sum(x) / len(x), 4), max=round(max(x), 4)) for g, x in per_group.items()},
        validation=dict(Counter(r["group"] for r in validation)),
        training={g: dict(documents=len(t), bytes=sum(len(x.encode()) for x in t)) for g, t in training.items()},
    )
    return training, heldout, validation, index, report


def records(parallel, pieces):
    """parallel: (name, {language: text}); pieces: (name, text). → rows of heldout.jsonl

    The cluster is the whole manual or project. LibreOffice's programs have help of their own, but are routed alike, where GIMP's
    manual is routed unlike all of them: they are no independent samples of manuals."""

    def row(name, group, text):
        source = name.split("/")[0]
        shared = {} if group == "code" else dict(parallel_id=name)
        return dict(id=f"{name}#{group}", group=group, text=text, **shared, cluster=source, source=source, license=LICENSES[source])

    return [row(name, l, texts[l]) for name, texts in parallel for l in LANGUAGES] + [row(name, "code", text) for name, text in pieces]


# ---------------------------------------------------------------- the second source


def manual_pages(root: Path):
    """[(manual, page, {language: path})]: the pages that are there in all five languages."""
    doc = root / "usr/share/doc"
    country = dict(en="en-US", de="de-DE", fr="fr-FR", es="es-ES", it="it-IT")

    def tree(manual, name, folders):
        return [
            (manual, name + str(page.relative_to(folders["en"]).with_suffix("")), {l: folders[l] / page.relative_to(folders["en"]) for l in LANGUAGES})
            for page in folders["en"].rglob("*.html")
        ]

    def flat(manual, folders):
        return [
            (manual, page.name.removesuffix(".en.html"), {l: folders[l] / page.name.replace(".en.html", f".{l}.html") for l in LANGUAGES})
            for page in folders["en"].glob("*.en.html")
        ]

    pages = []
    for book in ("guide", "offline"):
        pages += tree("apt-doc", book + "/", {l: doc / "apt-doc" / (book + ("" if l == "en" else "." + l) + ".html") for l in LANGUAGES})
    name = "debian-edu-bookworm-manual"
    pages.append(("debian-edu-doc", name, {l: doc / "debian-edu-doc" / l / (name + ".html") for l in LANGUAGES}))
    for manual in ("debian-handbook", "harden-doc"):
        pages += tree(manual, "", {l: doc / manual / "html" / country[l] for l in LANGUAGES})
    pages += flat("debian-reference", {l: root / "usr/share/debian-reference" for l in LANGUAGES})
    pages += tree("installation-guide", "", {l: doc / "installation-guide-amd64" / l for l in LANGUAGES})
    pages += flat("maint-guide", {l: doc / ("maint-guide" + ("" if l == "en" else "-" + l)) / "html" for l in LANGUAGES})
    return sorted(p for p in pages if all(path.exists() for path in p[2].values()) and not p[1].endswith("index"))


def read_manuals(root: Path):
    """{manual/page.section: {language: [line]}}: sections with the same lines, one for one, in the five languages."""
    pages = manual_pages(root)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        parsed = iter(list(pool.map(html_sections, [str(p[2][l]) for p in pages for l in LANGUAGES], chunksize=16)))
    documents = {}
    for manual, page, _ in pages:
        sections = {l: next(parsed) for l in LANGUAGES}
        if len({len(s) for s in sections.values()}) > 1:
            continue
        for number, versions in enumerate(zip(*sections.values()), start=1):
            if len({len(v) for v in versions}) == 1:
                lines = [line for line in zip(*versions) if all(any(c.isalpha() for c in text) for text in line)]
                documents[f"{manual}/{page}.{number}"] = {l: [line[i] for line in lines] for i, l in enumerate(LANGUAGES)}
    return documents


def second_source(root: Path, index):
    """Returns ([record], report) of what joins heldout.jsonl. index: {group: n-grams of the training text}."""
    rng = random.Random(SEED + 2)
    documents = read_manuals(root)
    occurrences = {l: Counter(x for versions in documents.values() for x in versions[l] if len(x) >= 40) for l in LANGUAGES}

    def text(name):
        """{language: text}, cut after the same line in all; None where the section will not do."""
        versions = documents[name]
        english = set(versions["en"])
        for language, lines in versions.items():
            foreign = sum(len(x) for x in lines if language != "en" and is_untranslated(x, language, english))
            if foreign > 0.15 * sum(map(len, lines)):
                return None
        count = min(sum(1 for _ in truncate(lines, SECOND_LONGEST)) for lines in versions.values())
        texts = {l: "\n".join(lines[:count]) for l, lines in versions.items()}
        sizes = [len(t) for t in texts.values()]
        own = [sum(len(x) for x in versions[l][:count] if len(x) >= 40 and occurrences[l][x] == 1) for l in LANGUAGES]
        if min(sizes) < SECOND_SHORTEST or max(sizes) > 2 * min(sizes) or any(o < 0.7 * s for o, s in zip(own, sizes)):
            return None
        return texts

    chosen, shares, refused, candidates = [], defaultdict(list), 0, 0
    for manual in MANUALS:
        names = [n for n in sorted(documents) if n.startswith(manual + "/") and text(n)]
        candidates += len(names)
        rng.shuffle(names)
        pages = Counter()
        for name in names:  # as many pages as there are, before any gives a second section
            page = name.rpartition(".")[0]
            pages[page] += 1
            documents[name]["turn"] = pages[page]
        names.sort(key=lambda n: documents[n].pop("turn"))
        mine = []
        for name in names:
            share = {l: overlap(t, index[l]) for l, t in text(name).items()}
            refused += max(share.values()) > LARGEST_OVERLAP
            if max(share.values()) <= LARGEST_OVERLAP and len(mine) < SECOND_PER_MANUAL:
                mine.append((name, text(name)))
                for l in LANGUAGES:
                    shares[l].append(share[l])
        if len(mine) < SECOND_PER_MANUAL:
            sys.exit(f"{manual}: expected {SECOND_PER_MANUAL} sections, found {len(mine)}")
        chosen += mine

    chosen_code = []
    for project, (_, folder) in PROJECTS.items():
        base = root / "usr/lib/python3/dist-packages"
        paths = [p for p in sorted((base / folder).rglob("*.py")) if not re.search(r"(^|/)(_py|testing|tests?)/", str(p.relative_to(base)))]
        rng.shuffle(paths)
        mine = []
        for path in paths:
            pieces = [p for p in code_pieces(source_text(path), SECOND_LONGEST) if SECOND_SHORTEST <= len(p) <= SECOND_LONGEST]
            if not pieces or len(mine) == SECOND_PER_PROJECT:
                continue
            piece = rng.choice(pieces)
            share = overlap(piece, index["code"])
            refused += share > LARGEST_OVERLAP
            if share <= LARGEST_OVERLAP:
                mine.append((f"{project}/{path.relative_to(base / folder)}", piece))
                shares["code"].append(share)
        if len(mine) < SECOND_PER_PROJECT:
            sys.exit(f"{project}: expected {SECOND_PER_PROJECT} files, found {len(mine)}")
        chosen_code += mine
    rows = records(sorted(chosen), sorted(chosen_code))
    return rows, dict(
        candidates=candidates,
        refused=refused,
        overlap={g: dict(mean=round(sum(x) / len(x), 4), max=round(max(x), 4)) for g, x in shares.items()},
    )


def copy_licenses(root: Path, out: Path):
    """licenses/: the copyright files of what heldout.jsonl quotes, and the texts of the licenses that they name."""
    folder = out / "licenses"
    folder.mkdir(exist_ok=True)
    for source, package in QUOTED.items():
        shutil.copyfile(root / "usr/share/doc" / package / "copyright", folder / f"{source}.txt")
    for name in ("GPL-2", "GFDL-1.2", "MPL-2.0"):
        shutil.copyfile(Path("/usr/share/common-licenses") / name, folder / f"{name}.txt")


# ---------------------------------------------------------------- tokenizer


def train_tokenizer(training, out: Path, work: Path):
    import sentencepiece

    rng = random.Random(SEED + 1)
    path = work / "tokenizer-input.txt"
    budget = 3_000_000  # bytes of text per group: balanced, so that no language pays for another's size
    with open(path, "w", encoding="utf-8") as f:
        for group in GROUPS:
            texts = training[group][:]
            rng.shuffle(texts)
            size = 0
            for text in texts:
                if size > budget:
                    break
                size += len(text.encode())
                f.write(text + "\n")
    here = os.getcwd()
    os.chdir(work)  # the model file records the names it was given: relative ones, the same everywhere
    sentencepiece.SentencePieceTrainer.train(
        input=path.name,
        model_prefix="tokenizer",
        vocab_size=VOCABULARY,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=0.9999,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        max_sentence_length=16384,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        num_threads=os.cpu_count(),
        minloglevel=1,
    )
    os.chdir(here)
    (work / "tokenizer.model").replace(out / "tokenizer.model")


def write_fast_tokenizer(out: Path):
    """tokenizer.json: the same merges for the `tokenizers` library, ranked by the score of the piece they make."""
    import sentencepiece
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

    sp = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    pieces = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    normal = {p: i for p, i in pieces.items() if not (sp.is_byte(i) or sp.is_control(i) or sp.is_unknown(i))}
    merges = []
    for piece, i in normal.items():
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in normal and right in normal:
                merges.append((-sp.get_score(i), normal[left], normal[right], left, right))
    merges.sort()
    tokenizer = Tokenizer(
        models.BPE(vocab=pieces, merges=[(l, r) for *_, l, r in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(content=" ", left=1, right=0)]
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in ("<unk>", "<s>", "</s>")])
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "tokenizer_config.json").write_text(
        json.dumps(
            dict(
                tokenizer_class="PreTrainedTokenizerFast",
                add_bos_token=True,
                add_eos_token=False,
                bos_token="<s>",
                eos_token="</s>",
                unk_token="<unk>",
                clean_up_tokenization_spaces=False,
                model_max_length=2048,
            ),
            indent=2,
        )
        + "\n"
    )


def check_tokenizers(out: Path, rows):
    import sentencepiece
    from transformers import AutoTokenizer

    sp = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    fast = AutoTokenizer.from_pretrained(str(out))
    different = [r["id"] for r in rows if fast(r["text"], add_special_tokens=False).input_ids != sp.encode(r["text"])]
    lossy = [r["id"] for r in rows if sp.decode(sp.encode(r["text"])) != r["text"]]
    print(f"tokenizer.json against tokenizer.model: {len(rows) - len(different)} of {len(rows)} documents identical; "
          f"{len(lossy)} don't decode to themselves", flush=True)
    if different or lossy:
        sys.exit(f"tokenizers differ on {different[:5]} or lose text on {lossy[:5]}")


def encode(training, validation, out: Path, work: Path):
    import numpy as np
    import sentencepiece

    sp = sentencepiece.SentencePieceProcessor(model_file=str(out / "tokenizer.model"))
    arrays = {}
    for group in GROUPS:
        ids = sp.encode(training[group], num_threads=os.cpu_count())
        arrays[group + ".tokens"] = np.concatenate([np.array([1] + x, dtype=np.uint16) for x in ids])
        arrays[group + ".lengths"] = np.array([1 + len(x) for x in ids], dtype=np.int32)
        size = sum(len(t.encode()) for t in training[group])
        print(f"{group}: {len(ids)} documents, {arrays[group + '.tokens'].size / 1e6:.2f} M tokens, "
              f"{size / 1e6:.1f} MB, {size / arrays[group + '.tokens'].size:.2f} bytes per token", flush=True)
    np.savez(work / "train.npz", **arrays)
    write_rows(work / "validation.jsonl", validation)


def write_rows(path: Path, rows):
    temporary = path.with_suffix(".tmp")
    temporary.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), encoding="utf-8")
    temporary.rename(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=HERE / ".work")
    parser.add_argument("--root", type=Path, help="an unpacked tree to read instead of downloading")
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    options.work, options.output = options.work.resolve(), options.output.resolve()
    root = options.root or download(options.work)
    print("reading documents", flush=True)
    documents, untranslated = read_languages(root)
    code = read_code(root)
    print(f"{len(documents)} documents in up to five languages, {len(code)} source files", flush=True)
    training, heldout, validation, index, report = split(documents, untranslated, code)
    second, report["second_source"] = second_source(root, index)
    heldout += second
    report["heldout"] = {g: dict(Counter(r["cluster"] for r in heldout if r["group"] == g)) for g in GROUPS}
    copy_licenses(root, options.output)
    write_rows(options.output / "heldout.jsonl", heldout)
    report["heldout_sha256"] = hashlib.sha256((options.output / "heldout.jsonl").read_bytes()).hexdigest()
    (options.work / "corpus-report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1), flush=True)
    train_tokenizer(training, options.output, options.work)
    write_fast_tokenizer(options.output)
    check_tokenizers(options.output, heldout + validation)
    encode(training, validation, options.output, options.work)


if __name__ == "__main__":
    main()
