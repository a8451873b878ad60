"""Pages as a reader sees them: Debian's chromium, driven by Playwright, with no network to reach."""

import pathlib

import pytest
from playwright.sync_api import Browser, sync_playwright

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"


@pytest.fixture(scope="session")
def browser() -> Browser:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
