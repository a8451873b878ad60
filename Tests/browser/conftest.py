"""Pages as a reader sees them: Debian's chromium, driven by Playwright, with no network to reach."""

import os
import pathlib
import subprocess
import sys

import pytest
from playwright.sync_api import Browser, sync_playwright

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
MOESCOPE = pathlib.Path(os.environ.get("MOESCOPE", REPOSITORY / ".build/release/moescope"))
FIXTURE = REPOSITORY / "Tests/Fixtures/report"


def make_report(trace, folder, *more, env=None):
    """Runs `moescope report`; the page's path."""
    command = [MOESCOPE, "report", trace, "--html", folder / "index.html", "--csv", folder / "csv", *more]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **(env or {})})
    assert done.returncode == 0, done.stderr
    return folder / "index.html"


def make_trace(folder, *more):
    """A trace with planted routing, made by the fixture's script."""
    subprocess.run([sys.executable, FIXTURE / "make_trace.py", folder, *more], check=True)
    return folder


class Visit:
    """An open page, and everything it complained of or asked for; with every figure drawn, unless only those near the reader are wanted."""

    def __init__(self, browser: Browser, file: pathlib.Path, whole: bool = True, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.messages, self.requests = [], []
        self.page.on("console", lambda message: self.messages.append(message.text))
        self.page.on("pageerror", lambda error: self.messages.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("html[data-drawn]", timeout=60_000)
        if whole:
            self.page.evaluate("() => drawAll()")
            self.page.wait_for_selector("html[data-drawn=all]", timeout=60_000)


@pytest.fixture(scope="session")
def browser() -> Browser:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page_file(tmp_path_factory):
    return make_report(FIXTURE / "trace", tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def hostile_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    return make_report(make_trace(folder / "trace", "--hostile"), folder)


@pytest.fixture
def visit(browser, page_file):
    """Opens a page: visit(width=…, scheme=…, file=…, whole=…)."""
    visits = []

    def open_page(width=1280, scheme="light", file=page_file, whole=True):
        visits.append(Visit(browser, file, whole, viewport={"width": width, "height": 900}, color_scheme=scheme))
        return visits[-1]

    yield open_page
    for each in visits:
        each.context.close()
