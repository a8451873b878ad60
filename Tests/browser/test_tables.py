"""Tables of the page: copied, searched, and saved out of a page that is alone; and a page of many groups and experts."""

import csv
import json
import shutil

import pytest

from conftest import FIXTURE, make_report, make_trace


def rows(file):
    with open(file, encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_table_is_copied_as_programs_read_it(visit, page_file):
    seen = visit()
    page = seen.page
    page.evaluate("""() => {
        window.copied = [];
        Object.defineProperty(navigator, 'clipboard', { value: { writeText: async (text) => { window.copied.push(text); } } });
    }""")
    page.locator("#figure-load summary").click()
    page.locator("#figure-load .table-tools button").click()
    page.wait_for_function("copied.length === 1")
    lines = page.evaluate("copied[0]").rstrip("\n").split("\n")
    table = rows(page_file.parent / "csv/load.csv")
    assert len(lines) == len(table) + 1 == 41
    assert lines[0].split("\t")[:2] == ["layer", "expert"]
    for line, row in zip(lines[1:], table, strict=True):
        cells = line.split("\t")
        assert cells[:3] == list(row.values())[:3], "numbers have no commas between their digits"
        assert float(cells[3]) == pytest.approx(float(list(row.values())[3]), abs=0.006)
    assert page.locator("#figure-load .table-tools [role=status]").inner_text() == "40 rows copied"
    assert seen.messages == []


def test_a_page_that_is_alone_has_its_tables(browser, tmp_path):
    file = make_report(FIXTURE / "trace", tmp_path, "--embed")
    alone = tmp_path / "alone" / "page.html"
    alone.parent.mkdir()
    shutil.copy(file, alone)
    context = browser.new_context(accept_downloads=True)
    page = context.new_page()
    page.goto(alone.as_uri())
    page.wait_for_selector("html[data-drawn]")
    names = page.locator("a.download").all_inner_texts()
    assert "load.csv" in names and "domain-share.csv" in names
    for name in ["load.csv", "domain-share.csv"]:
        with page.expect_download() as download:
            page.locator("a.download", has_text=name).first.click()
        assert download.value.suggested_filename == name
        assert open(download.value.path(), "rb").read() == (tmp_path / "csv" / name).read_bytes()
    context.close()


def test_paper_keeps_colours(visit):
    page = visit().page
    page.emulate_media(media="print")
    kept = "(selector) => getComputedStyle(document.querySelector(selector)).printColorAdjust"
    for selector in [".t", ".track i", ".chip", ".card"]:
        assert page.evaluate(kept, selector) == "exact", selector
    assert not page.locator(".table-tools").first.is_visible()


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The fixture's routing with 48 experts, and every group in four: 20 groups of five documents."""
    folder = tmp_path_factory.mktemp("wide")
    trace = make_trace(folder / "trace", "--experts", "48", "--layers", "25", "--documents", "20", "--length", "12", "--parts", "4")
    return make_report(trace, folder, "--bootstrap", "20", "--permutations", "199")


@pytest.mark.parametrize("width", [1280, 360])
def test_many_groups_and_experts_are_ranked(visit, wide, width):
    seen = visit(width, file=wide)
    page = seen.page
    assert seen.messages == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert wide.stat().st_size < 6_000_000
    # 20 groups × 25 layers × 48 experts: a row for each is in the CSV, the page has the largest of each group and layer.
    assert len(rows(wide.parent / "csv/domain-share.csv")) == 20 * 25 * 48
    strongest = rows(wide.parent / "csv/domain-share-strongest.csv")
    assert len(strongest) == 20 * 25
    whole = {}
    for row in rows(wide.parent / "csv/domain-share.csv"):
        key = row["group"], row["layer"]
        whole[key] = max(whole.get(key, 0), float(row["share"]))
    assert all(float(row["share"]) == whole[row["group"], row["layer"]] for row in strongest)
    largest = [max(float(row["share"]) for row in strongest[i : i + 25]) for i in range(0, len(strongest), 25)]
    assert largest == sorted(largest, reverse=True)
    pairs = rows(wide.parent / "csv/coactivation-strongest.csv")
    assert [int(row["rank"]) for row in pairs] == list(range(1, 25)) * 25
    assert "were not tested" in page.locator("#divergence .lead").inner_text()


def test_a_slider_takes_rows_of_its_layer(visit, wide):
    page = visit(file=wide).page
    table = {(r["group"], r["layer"], r["expert"]): float(r["share"]) for r in rows(wide.parent / "csv/domain-share.csv")}
    for layer in ["3", "24"]:
        page.evaluate("""(layer) => {
            const control = document.getElementById('groups-layer');
            control.value = layer;
            control.dispatchEvent(new Event('input'));
        }""", layer)
        page.wait_for_timeout(300)
        shown = page.evaluate("figures.get('figure-group-layer').view.data('domain-share')")
        assert len(shown) == 20 * 48
        assert {row["layer"] for row in shown} == {int(layer)}
        for row in shown:
            assert row["share"] == pytest.approx(table[row["group"], layer, str(row["expert"])], rel=1e-3, abs=1e-6)


def test_rows_are_found(visit, wide):
    page = visit(file=wide).page
    page.locator("#figure-group-layer summary").click()
    figure = page.locator("#figure-group-layer")
    group = rows(wide.parent / "csv/domain-share.csv")[0]["group"]
    figure.locator(".numbers .table-tools input").fill(f"{group} layer=7 expert=11")
    found = figure.locator("table.found tbody tr")
    found.first.wait_for()
    assert found.count() == 1
    cells = found.first.locator("td").all_inner_texts()
    assert cells[:3] == ["7", group, "11"]
    assert figure.locator(".numbers .table-tools [role=status]").inner_text() == "1 row fits"
    figure.locator(".numbers .table-tools input").fill("")
    figure.locator("table.found").wait_for(state="detached")
    assert figure.locator("tbody tr").count() == 200
    assert json.loads(page.evaluate("JSON.stringify(report.tables['domain-share'].count)")) == 20 * 25 * 48


def groups_shown(page, figure):
    return set(page.evaluate("(id) => figures.get(id).view.data('domain-share').map((row) => row.group)", figure))


def test_a_figure_shows_the_groups_asked_for(visit, wide):
    seen = visit(file=wide)
    page = seen.page
    figure = page.locator("#figure-group-layer")
    names = sorted({row["group"] for row in rows(wide.parent / "csv/domain-share.csv")})
    assert groups_shown(page, "figure-group-layer") == set(names)
    asked = [names[3], names[11]]
    field, said = figure.locator("> .table-tools input"), figure.locator("> .table-tools [role=status]")
    field.fill(", ".join(asked))
    page.wait_for_function("() => figures.get('figure-group-layer').view.data('domain-share').length === 2 * 48")
    assert groups_shown(page, "figure-group-layer") == set(asked)
    assert said.inner_text() == "2 of 20 groups"
    # The slider leaves them.
    page.evaluate("""() => {
        const control = document.getElementById('groups-layer');
        control.value = 7;
        control.dispatchEvent(new Event('input'));
    }""")
    page.wait_for_function("() => figures.get('figure-group-layer').view.data('domain-share')[0].layer === 7")
    assert groups_shown(page, "figure-group-layer") == set(asked)
    field.fill("no such group")
    page.wait_for_function("() => figures.get('figure-group-layer').view.data('domain-share').length === 20 * 48")
    assert said.inner_text() == "nothing fits"
    assert seen.messages == []


def test_few_groups_need_no_search(visit):
    page = visit().page
    assert page.locator("figure > .table-tools").count() == 0
    assert page.locator(".cards + .table-tools, .table-tools:has(+ .cards)").count() == 0


def test_experts_are_ranked_and_found(visit, wide):
    page = visit(file=wide).page
    cards = page.locator(".card:visible")
    assert cards.count() == 16
    layer = int(page.locator(".card").first.get_attribute("data-layer"))
    load = sorted(((-float(row["share"]), int(row["expert"])) for row in rows(wide.parent / "csv/load.csv") if int(row["layer"]) == layer))
    shown = [int(card.get_attribute("data-expert")) for card in cards.all()]
    assert shown == [expert for _, expert in load[:16]]
    tools = page.locator(".table-tools:has(+ .cards)")
    rare = str(load[-1][1])
    tools.locator("input").fill(rare)
    page.wait_for_function("() => document.querySelector('.table-tools:has(+ .cards) [role=status]').textContent === '1 of 48 experts'")
    assert [card.get_attribute("data-expert") for card in cards.all()] == [rare]
    tools.locator("input").fill("")
    page.wait_for_function("() => document.querySelector('.table-tools:has(+ .cards) [role=status]').textContent === ''")
    assert cards.count() == 16
    page.emulate_media(media="print")
    assert cards.count() == 48, "paper has no button"
    page.emulate_media(media="screen")
    tools.locator("button").click()
    assert cards.count() == 48


CELL = "(id) => { const find = (node) => node.marktype === 'rect' && node.role === 'mark' ? node.items[0] : (node.items ?? []).map(find).find(Boolean); return find(figures.get(id).view.scenegraph().root).strokeWidth; }"


@pytest.mark.parametrize("width", [1280, 360])
def test_narrow_cells_keep_their_colour(visit, wide, width):
    page = visit(width, file=wide).page
    room = page.evaluate("figures.get('figure-load').view.width()")
    assert page.evaluate(CELL, "figure-load") == pytest.approx(min(1.5, room / (8 * 48)))
    assert (room / (8 * 48) < 1) == (width == 360)
