"""Text of a corpus is data: it never becomes markup, script or a formula, and never runs over the page."""

import csv

HOSTILE = ["<script>document.title='owned'</script>", "</style></script><h1>owned</h1>", "<img/src=x/onerror=alert(1)>", "{{{title}}}"]


def test_hostile_text_is_text(visit, hostile_file):
    seen = visit(file=hostile_file)
    page = seen.page
    assert seen.messages == []
    assert "owned" not in page.title()
    assert page.locator("h1").count() == 1 and page.locator("img").count() == 0
    page.evaluate("""() => { const select = document.getElementById('browser-document');
        select.value = browserTexts.findIndex(text => text.group.includes('cmd')); select.dispatchEvent(new Event('change')); }""")
    shown = page.locator("#browser-panes .pane").first.locator(".t").all_text_contents()
    pieces = page.evaluate("report.browser.pieces.map(([piece]) => piece)")
    for text in HOSTILE:
        assert text in pieces
    assert any(text in HOSTILE for text in shown)
    # thousands of combining marks stay inside their box
    assert max(len(text) for text in shown) <= 66
    page.fill("#browser-search", "<script>")
    assert page.locator("#browser-hits script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_hostile_group_is_a_name_everywhere(visit, hostile_file):
    page = visit(file=hostile_file).page
    assert page.locator("main b:has-text('=cmd')").count() == page.locator("main .source b:has-text('=cmd')").count()
    labels = page.locator("#figure-group-layer .role-axis-label text").all_text_contents()
    assert any(label.startswith("<b>=cmd") for label in labels)


def test_formulas_are_text_in_tables(hostile_file):
    for file in (hostile_file.parent / "csv").glob("*.csv"):
        with open(file, encoding="utf-8", newline="") as lines:
            for row in csv.reader(lines):
                for cell in row:
                    if cell[:1] in "=+@\t\r" and cell:
                        raise AssertionError(f"{file.name}: {cell!r}")
                    if cell.startswith("-"):
                        float(cell)
