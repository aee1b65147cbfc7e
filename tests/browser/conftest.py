# SPDX-License-Identifier: GPL-2.0
"""A headless Chromium. Without one these tests fail: a page that no browser saw is not tested."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

OpenBrowser = Callable[..., Any]
_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is not there: apt-get install chromium chromium-driver", pytrace=False)
    return found


def browser_with(
    profile: Path, width: int, height: int, *, dark: bool = False, js: bool = True
) -> Any:
    """Start a browser with a window of so many pixels and a new profile in ``profile``."""
    options = webdriver.ChromeOptions()
    options.binary_location = _program("chromium")
    for option in _OPTIONS:
        options.add_argument(option)
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    if not js:
        off = {"profile.managed_default_content_settings.javascript": 2}
        options.add_experimental_option("prefs", off)
    service = webdriver.ChromeService(_program("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    return browser


@pytest.fixture
def open_browser(tmp_path: Path) -> Iterator[OpenBrowser]:
    """Start browsers; they end with the test."""
    opened: list[Any] = []

    def start(width: int = 1280, height: int = 900, *, dark: bool = False, js: bool = True) -> Any:
        profile = tmp_path / f"profile{len(opened)}"
        opened.append(browser_with(profile, width, height, dark=dark, js=js))
        return opened[-1]

    yield start
    for browser in opened:
        browser.quit()
