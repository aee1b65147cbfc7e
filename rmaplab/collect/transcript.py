# SPDX-License-Identifier: GPL-2.0
"""Reading agent.jsonl back: the transcript that a cell left, whole or cut."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass(slots=True)
class Saved:
    """What a transcript says, sorted by what it is about.

    ``how`` is the lab's ``end`` line, empty if there is none: the lab was killed. ``exit`` is the
    agent's word on the workload, None if there was none. ``phase`` is the last one begun.
    ``garbled`` is the first line that makes no sense, empty if all do. ``console_dropped`` counts
    the bytes of console that were not kept; ``guest_end`` is QEMU's word that the guest panicked or
    ended itself, empty if it said none.
    """

    how: str = ""
    detail: str = ""
    phase: str = ""
    skip: str = ""
    exit: Line | None = None
    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)
    floods: list[Line] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    samples: dict[str, Mapping[str, str]] = field(default_factory=dict)
    duration_s: float = 0.0
    test_s: float | None = None
    garbled: str = ""
    console_dropped: int = 0
    guest_end: str = ""


def read(path: Path) -> Saved:
    """Read a transcript. A line that is cut or is no JSON ends it: what is before still counts."""
    saved = Saved()
    labels: dict[int, str] = {}
    files: dict[int, dict[str, str]] = {}
    for line in _lines(path):
        at = line.get("at")
        if isinstance(at, int | float):
            saved.duration_s = float(at)
        try:
            match line.get("from"):
                case "lab":
                    _from_lab(saved, line, labels)
                case "agent":
                    _from_agent(saved, line, files)
                case "qemu":
                    _from_qemu(saved, line)
        except (TypeError, ValueError, AttributeError, KeyError):
            saved.garbled = saved.garbled or str(line)[:200]
    for number, label in labels.items():
        if number in files:
            saved.samples[label] = files[number]
    return saved


def _lines(path: Path) -> list[Line]:
    if not path.exists():
        return []
    found: list[Line] = []
    for raw in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            break
        if not isinstance(line, dict):
            break
        found.append(line)
    return found


def _from_lab(saved: Saved, line: Line, labels: dict[int, str]) -> None:
    match line.get("ev"):
        case "end":
            saved.how, saved.detail = str(line["how"]), str(line["detail"])
        case "phase":
            saved.phase = str(line["phase"])
        case "skip":
            saved.skip = str(line["reason"])
        case "console-cut":
            saved.console_dropped = int(line["dropped"])
        case "setting":
            saved.settings[str(line["path"])] = str(line["got"])
        case "sample":
            labels[int(line["id"])] = str(line["label"])


def _from_qemu(saved: Saved, line: Line) -> None:
    facts = line.get("facts", {})
    match line.get("ev"):
        case "GUEST_PANICKED":
            saved.guest_end = "panic"
        case "SHUTDOWN" if facts.get("guest"):
            reset = facts.get("reason") == "guest-reset"
            saved.guest_end = saved.guest_end or ("reset" if reset else "poweroff")


def _from_agent(saved: Saved, line: Line, files: dict[int, dict[str, str]]) -> None:
    match line.get("ev"):
        case "out":
            saved.stdout.append(str(line.get("text", "")))
        case "err":
            saved.stderr.append(str(line.get("text", "")))
        case "flood":
            saved.floods.append(line)
        case "exit":
            saved.exit = line
            if "start_t" in line and "end_t" in line:
                saved.test_s = float(line["end_t"]) - float(line["start_t"])
        case "files" if isinstance(line.get("id"), int):
            for path, text in line.get("files", {}).items():
                if not isinstance(text, str):
                    raise TypeError(f"{path} is no text")
                files.setdefault(line["id"], {})[path] = text
