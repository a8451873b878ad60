"""The report page as a reader meets it: nothing asked of a network, every figure drawn with data, controls that work."""

import csv
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from conftest import FIXTURE, make_report, make_trace


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_quiet_and_alone(visit, width, scheme):
    seen = visit(width, scheme)
    assert seen.messages == []
    assert [url for url in seen.requests if not url.startswith("file:")] == []
    assert len(seen.requests) == 1
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [1280, 360])
def test_every_figure_is_drawn_with_data(visit, width):
    page = visit(width).page
    marks = page.evaluate("""() => report.figures.map(({id}) => {
        let items = 0;
        const walk = (node, inMark) => {
            const mark = node.marktype && node.role === 'mark' && node.marktype !== 'group';
            for (const item of node.items ?? []) {
                if (mark) items += 1;
                if (item.items) for (const child of item.items) walk(child);
            }
        };
        walk(figures.get(id).view.scenegraph().root);
        return [id, items];
    })""")
    assert len(marks) >= 9
    assert [figure for figure, items in marks if items < 5] == []


def test_slider_changes_the_layer(visit):
    page = visit().page
    shares = "() => [...document.querySelectorAll('#figure-group-layer .mark-text.role-mark text')].map(t => t.textContent)"
    assert page.locator("#groups-layer").input_value() == "2"
    before = page.evaluate(shares)
    page.focus("#groups-layer")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.wait_for_timeout(200)
    assert page.locator("#groups output").text_content() == "0"
    after = page.evaluate(shares)
    assert len(before) == len(after) == 5 * 8
    assert "50%" in before and "50%" not in after


def test_hover_tells_the_numbers(visit, page_file):
    page = visit().page
    page.locator("#figure-load .mark-text.role-mark text").first.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    lines = [line.split("\t") for line in page.locator("#vg-tooltip-element").inner_text().splitlines()]
    told = {name.strip(): value.strip() for name, value in lines}
    with open(page_file.parent / "csv/load.csv", encoding="utf-8", newline="") as file:
        row = next(row for row in csv.DictReader(file) if (row["layer"], row["expert"]) == (told["layer"], told["expert"]))
    shown = {name: f"{float(row[column]):.1%}" for name, column in [("95 % from", "share_lower"), ("to", "share_upper")]}
    assert {name: told[name] for name in shown} == shown
    page.mouse.move(2, 2)
    page.wait_for_selector("#vg-tooltip-element:not(.visible)", state="attached")


def test_colours_can_be_chosen(visit):
    page = visit().page
    background = "() => getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.click("#theme")
    assert page.evaluate(background) == light
    page.click("#theme")
    assert page.evaluate(background) != light


def test_paper_is_light_whatever_the_screen_is(visit):
    page = visit(scheme="dark").page
    label = "() => getComputedStyle(document.querySelector('#figure-load .role-axis-label text')).fill"
    on_screen = page.evaluate(label)
    page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    on_paper = page.evaluate(label)
    assert on_paper == page.evaluate("(() => { const d = document.createElement('i'); d.style.color = report.palettes.light.muted; return d.style.color; })()")
    page.evaluate("() => { dispatchEvent(new Event('afterprint')); }")
    assert page.evaluate(label) == on_screen != on_paper
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"


def test_cards_say_how_much_weight_an_expert_carries(visit, page_file):
    arrays = load_file(FIXTURE / "trace/shards/000000.safetensors")
    kept = np.flatnonzero(np.r_[False, arrays["document"][1:] == arrays["document"][:-1]])  # no document's first position
    chosen, weights = arrays["expert_indices"][:, kept], arrays["expert_weights"][:, kept].astype(np.float64)
    with open(page_file.parent / "csv/expert-confidence.csv", encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 5 * 8
    for row in rows:
        layer, expert = int(row["layer"]), int(row["expert"])
        here = chosen[layer] == expert
        assert int(row["count"]) == here.sum()
        assert np.isclose(float(row["weight"]), weights[layer][here].mean(), rtol=1e-6)
        assert np.isclose(float(row["first"]), here[:, 0].sum() / here.sum(), rtol=1e-12)
        assert float(row["weight_lower"]) <= float(row["weight"]) <= float(row["weight_upper"])
    row = rows[2 * 8 + 3]
    said = visit().page.locator('.card[aria-label="Expert 3 of layer 2"] .said').inner_text()
    assert said.startswith(f"Its mean weight is {float(row['weight']):.2f}. It is the first choice of ")


def test_a_group_called_all_is_not_the_pooled_row(visit, tmp_path):
    """Five groups, one of them called "all", beside the row of all documents together."""
    page = visit(file=make_report(make_trace(tmp_path / "trace", "--call-english", "all"), tmp_path)).page
    assert page.locator("#figure-confidence .mark-line.role-mark path").count() == 5 + 1
    # A point for each of the five layers, and the published ones: eight corpora in three layers.
    assert page.locator("#figure-repetition-first .mark-symbol.role-mark path").count() == 5 + 8 * 3
    said = page.locator("#repetition .lead").inner_text()
    assert " of 5 layers (p < 0.05 for all tests together)." in said


def test_without_the_figure_library_the_numbers_remain(browser, tmp_path):
    file = make_report(FIXTURE / "trace", tmp_path, env={"MOESCOPE_VEGA_BUNDLE": str(tmp_path / "absent.js")})
    context = browser.new_context()
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator("#figure-load table").is_visible()
    assert page.locator("#figure-load tbody tr").count() == 40
    assert "vegaEmbed=" not in file.read_text(encoding="utf-8")
    context.close()


def test_tables_satisfy_their_description(page_file):
    from frictionless import validate

    report = validate(str(page_file.parent / "csv/datapackage.json"))
    assert report.valid, report.flatten(["rowNumber", "fieldName", "type", "note"])[:5]
    package = json.loads((page_file.parent / "csv/datapackage.json").read_text())
    assert len(package["resources"]) >= 10
