# SPDX-License-Identifier: GPL-2.0
"""Take the pictures of the README: a run as the terminal and as the browser show it.

    make pictures RUN=reports/<run>

Writes docs/images/terminal.svg, report.png, report-dark.png, report-phone.png. Needs chromium.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pexpect
from rich.console import Console
from rich.text import Text

from .conftest import browser_with

ROOT = Path(__file__).parents[2]
IMAGES = ROOT / "docs/images"
COLUMNS = 120
# rich's page without what it would fetch from a server.
_FONTS = re.compile(r"@font-face \{.*?\}\n", re.S)


def terminal(run: Path) -> str:
    """Return what ``report`` prints on a terminal, as SVG."""
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)}
    child = pexpect.spawn(
        "./lab.py", ["report", str(run)], cwd=str(ROOT), env=environment, timeout=600,
        dimensions=(60, COLUMNS), encoding="utf-8",
    )  # fmt: skip
    shown = child.read()
    child.close()
    if child.exitstatus not in (0, 1):
        raise SystemExit(f"report ended with {child.exitstatus}: {shown}")
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        text = shown.replace("\r\n", "\n").rstrip()
        console.print(Text.from_ansi(f"$ ./lab.py report {run}\n{text}"))
        return _FONTS.sub("", console.export_svg(title="rmaplab"))


@contextmanager
def page(run: Path, width: int, height: int, *, dark: bool = False) -> Iterator[Any]:
    """Open a run's report in a window of so many pixels."""
    with TemporaryDirectory() as profile:
        browser = browser_with(Path(profile), width, height, dark=dark)
        try:
            browser.get((run / "report.html").as_uri())
            yield browser
        finally:
            browser.quit()


def main() -> None:
    """Write the pictures of the run that the command line names."""
    run = Path(sys.argv[1]).resolve()
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "terminal.svg").write_text(terminal(run.relative_to(ROOT)), encoding="utf-8")
    for name, width, height, dark in (
        ("report", 1280, 900, False), ("report-dark", 1280, 900, True),
        ("report-phone", 390, 844, False),
    ):  # fmt: skip
        with page(run, width, height, dark=dark) as browser:
            browser.save_screenshot(str(IMAGES / f"{name}.png"))
    subprocess.run(["ls", "-l", IMAGES], check=True)


if __name__ == "__main__":
    main()
