"""Figures are drawn when the reader comes near, and all of them for paper."""

DRAWN = "[...figures.keys()].sort()"
ALL = "report.figures.map(({ id }) => id).sort()"


def test_what_is_far_away_is_not_drawn(visit):
    seen = visit(whole=False)
    page = seen.page
    assert page.evaluate("document.documentElement.dataset.drawn") == "near"
    # The viewport and six tenths of its height; a figure that was drawn may have pushed the next one out of it.
    first = page.evaluate("innerHeight * 1.6")
    tops = page.evaluate("Object.fromEntries(report.figures.map(({ id }) => [id, document.getElementById(id).getBoundingClientRect().top]))")
    drawn = page.evaluate(DRAWN)
    assert 0 < len(drawn) < len(tops) / 2
    assert {figure for figure, top in tops.items() if top < first - 1} <= set(drawn)
    assert max(tops[figure] for figure in drawn) < first + 800
    assert page.evaluate("document.querySelectorAll('.plot:empty').length") == len(tops) - len(drawn)
    assert seen.messages == []


def test_every_figure_is_drawn_on_the_way_down(visit):
    seen = visit(whole=False)
    page = seen.page
    for _ in range(200):
        page.mouse.wheel(0, 700)
        page.wait_for_timeout(60)
        if page.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 1"):
            break
    page.wait_for_selector("html[data-drawn=all]")
    assert page.evaluate(DRAWN) == page.evaluate(ALL)
    assert page.evaluate("document.querySelectorAll('.plot:empty').length") == 0
    assert seen.messages == []


def test_a_link_of_the_contents_leads_to_its_section(visit):
    page = visit(whole=False).page
    page.locator('.contents a[href="#confidence"]').click()
    page.wait_for_function("() => figures.has('figure-confidence')")
    page.wait_for_timeout(300)
    top = page.evaluate("document.getElementById('confidence').getBoundingClientRect().top")
    assert -5 <= top < 200, "figures that are drawn above do not push the section away"


def test_a_slider_holds_for_a_figure_that_comes_later(visit):
    page = visit(whole=False).page
    assert not page.evaluate("figures.has('figure-coactivation')")
    page.evaluate("""() => {
        const control = document.getElementById('coactivation-layer');
        control.value = 1;
        control.dispatchEvent(new Event('input'));
    }""")
    page.locator("#figure-coactivation").scroll_into_view_if_needed()
    page.wait_for_function("() => figures.has('figure-coactivation')")
    assert page.evaluate("figures.get('figure-coactivation').view.signal('layer')") == 1


def test_paper_has_every_figure(visit):
    page = visit(whole=False).page
    page.evaluate("() => { dispatchEvent(new Event('beforeprint')); }")
    assert page.evaluate(DRAWN) == page.evaluate(ALL)
    assert page.evaluate("document.documentElement.dataset.drawn") == "all"


def test_numbers_come_back_where_a_figure_cannot_be_drawn(visit):
    page = visit(whole=False).page
    page.evaluate("""() => {
        report.figures.find(({ id }) => id === 'figure-confidence').spec = { $schema: report.figures[0].spec.$schema, mark: 'no such mark' };
        return drawAll();
    }""")
    assert not page.locator("#figure-confidence .plot").is_visible()
    assert page.locator("#figure-confidence table").is_visible()
    assert not page.locator("#figure-load table").is_visible()
