"""The package of this checkout, and the built-in model, for every test here."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Python"))

import moescope as ms  # noqa: E402

TEXTS = {
    "de": "Der Rauch steigt langsam auf, und der Hund schläft vor dem Haus.",
    "en": "The smoke rises slowly, and the dog sleeps in front of the house.",
    "fr": "La fumée monte lentement, et le chien dort devant la maison.",
    "code": "def smoke(rises):\n    return [dog for dog in rises if dog.sleeps]\n",
}


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def model() -> ms.Model:
    return ms.load("polyglot", precision="exact")


@pytest.fixture(scope="session")
def corpus() -> list[dict[str, str]]:
    """Twelve documents in each of four groups, different enough to be told apart."""
    return [
        {"id": f"{group}-{number}", "group": group, "text": f"{number}. {text} {text[number:]}"}
        for group, text in TEXTS.items()
        for number in range(12)
    ]


@pytest.fixture(scope="session")
def traced(model: ms.Model, corpus: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> ms.Trace:
    return ms.trace(
        model,
        corpus,
        output=tmp_path_factory.mktemp("traces") / "t",
        capture=["router_logits", "attention_summary", "attention_pattern:1.0"],
    )
