"""The token browser and the attention viewer do what they say, by mouse and by keyboard."""

import subprocess

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import FIXTURE, MOESCOPE, REPOSITORY, make_report


@pytest.fixture(scope="module")
def arrays():
    return load_file(FIXTURE / "trace/shards/000000.safetensors")


def test_token_shows_what_the_trace_holds(visit, arrays):
    page = visit().page
    page.select_option("#browser-document", index=0)
    page.locator("#browser-panes .pane").first.locator(".t").nth(3).hover()
    document = page.evaluate("browserTexts[Number(document.getElementById('browser-document').value)].index")
    row = int(np.flatnonzero(arrays["document"] == document)[3])
    layer = 2
    z = arrays["router_logits"][layer, row].astype(np.float64)
    p = np.exp(z - z.max())
    p /= p.sum()
    rows = page.locator("#browser-inspector .bars li").all_inner_texts()
    cells = [text.split("\n") for text in rows]
    order = np.argsort(-p, kind="stable")
    assert [int(cell[0]) for cell in cells[:2]] == order[:2].tolist()
    for cell, expert in zip(cells[:2], order):
        assert abs(float(cell[1].split()[0]) / 100 - p[expert]) < 0.01
    weights = [float(cell[2].lstrip("× ")) for cell in cells[:2]]
    assert np.allclose(weights, arrays["expert_weights"][layer, row], atol=0.006)
    surprise = -arrays["logprob"][row] / np.log(2)
    said = page.locator("#browser-inspector .said").first.inner_text()
    assert f"({np.round(surprise * 8) / 8:.1f} bits" in said


def test_arrow_keys_walk_through_the_text(visit):
    page = visit().page
    tokens = page.locator("#browser-panes .pane").first.locator(".t")
    tokens.nth(0).focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.dataset.i") == "5"
    assert "position 5" in page.locator("#browser-inspector").inner_text()
    page.keyboard.press("End")
    assert page.evaluate("Number(document.activeElement.dataset.i) + 1") == tokens.count()
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.i") == "0"
    assert page.evaluate("document.querySelectorAll('#browser-panes .pane:first-child .t[tabindex=\"0\"]').length") == 1


def test_expert_lights_up_its_tokens(visit, arrays):
    page = visit().page
    page.locator("#browser-experts .chip").nth(3).click()
    document = page.evaluate("browserTexts[Number(document.getElementById('browser-document').value)].index")
    rows = np.flatnonzero(arrays["document"] == document)
    expected = (arrays["expert_indices"][2, rows] == 3).any(axis=1)
    lit = page.evaluate("[...document.querySelectorAll('#browser-panes .pane:first-child .t')].map(t => !t.classList.contains('dim'))")
    assert lit == expected.tolist()
    page.locator("#browser-experts .chip").nth(3).click()
    assert page.locator("#browser-panes .t.dim").count() == 0


def test_layer_slider_recolours(visit):
    page = visit().page
    colours = "() => [...document.querySelectorAll('#browser-panes .t')].map(t => t.style.getPropertyValue('--c')).join()"
    before = page.evaluate(colours)
    page.focus("#browser-layer")
    page.keyboard.press("ArrowRight")
    assert page.locator("#browser .bar output").inner_text() == "3"
    assert page.evaluate(colours) != before


def test_search_finds_every_place(visit, arrays):
    page = visit().page
    page.fill("#browser-search", "river")
    token = page.evaluate("report.browser.pieces.find(([piece]) => piece === ' river')[1]")
    places = int((arrays["token"] == token).sum())
    assert page.locator("#browser-hits .note").inner_text().startswith(f"{places} places")
    assert page.locator("#browser-hits .hit").count() == min(80, places)
    page.locator("#browser-hits .hit").last.click()
    assert page.evaluate("document.activeElement.textContent") == " river"
    page.fill("#browser-search", "nothing-like-it")
    assert "There is no such token" in page.locator("#browser-hits").inner_text()


def test_parallel_texts_stand_side_by_side(visit):
    page = visit().page
    page.evaluate("""() => { const select = document.getElementById('browser-document');
        select.value = browserTexts.findIndex(text => text.group === 'de'); select.dispatchEvent(new Event('change')); }""")
    page.select_option("#browser-beside", label="Hebrew")
    panes = page.locator("#browser-panes .pane")
    assert panes.nth(0).locator(".text").get_attribute("lang") == "de"
    assert panes.nth(1).locator(".text").get_attribute("lang") == "he"
    assert panes.nth(1).locator(".text").get_attribute("dir") == "rtl"


def test_attention_of_a_token(visit):
    page = visit().page
    assert page.locator("#attention-heads .thumbnail").count() == 2 * 4
    # Head 1 of the planted trace attends to the previous token.
    page.get_by_label("Layer 0, head 1").click()
    assert page.locator("#attention-selected").inner_text() == "Layer 0, head 1"
    token = page.locator("#attention-pane .t").nth(9)
    token.hover()
    first = page.locator("#attention-inspector .key-name").first.inner_text()
    assert first == page.locator("#attention-pane .t").nth(8).text_content().replace(" ", "␣")  # white space is visible in lists
    assert page.locator("#attention-pane .lines path").count() >= 3
    assert page.locator("#attention-inspector li.chosen").count() == 2
    drawn = page.evaluate("""() => { const c = document.getElementById('attention-matrix');
        return c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((_, i) => i % 4 === 3 && _ > 0).length; }""")
    assert drawn > 500


def test_many_captured_patterns_do_not_make_a_large_page(visit, tmp_path):
    """All 48 heads of eight documents of 400 tokens: 61 million weights, of which the page takes what its budget holds."""
    lines = (REPOSITORY / "Models/polyglot/heldout.jsonl").read_text(encoding="utf-8").splitlines()
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(sorted(lines, key=len)[-8:]), encoding="utf-8")
    command = [MOESCOPE, "trace", "polyglot", "--corpus", corpus, "--output", tmp_path / "trace", "--max-tokens", "400",
               "--capture", "router_logits,attention_pattern:*.*"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    file = make_report(tmp_path / "trace", tmp_path)
    assert file.stat().st_size < 6_000_000
    seen = visit(file=file)
    assert seen.messages == []
    held = seen.page.evaluate("""() => {
        const data = JSON.parse(document.getElementById('report-data').textContent).attention;
        return data.documents.flatMap(d => d.heads.map(h => h.data.length));
    }""")
    assert len(held) >= 40 and 500_000 < sum(held) <= 1_500_000 * 4 / 3 + 4 * len(held)
    assert "1 document and up to 4" in seen.page.locator("#attention .method").inner_text()
