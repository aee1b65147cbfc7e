# SPDX-License-Identifier: GPL-2.0
"""Fuzz saved transcripts and live events; tests/fuzz_transcripts.py is the command.

Evidence of many ends is cut, shuffled, forged and spoilt; a conversation is fed with answers that
are. Nothing may raise but what a caller is told of, and no evidence may become a pass that lost a
part or has a forged event in it. Prints how many were tried; a failure prints its seed.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from rmaplab.errors import InfraError
from rmaplab.evidence.ends import SampleLabel
from rmaplab.evidence.events import Exit, Line, decode, decode_agent
from rmaplab.guest import prepare, sampling, settings
from rmaplab.guest.agent import Agent, AgentGone
from rmaplab.guest.command import Accelerator
from rmaplab.guest.settings import GuestSetup
from rmaplab.guest.transcript import Transcript
from rmaplab.model import Verdict

from . import builders
from .builders import PROGRAM, TAINTED
from .evidence_cases import Evidence, cases, forged, observed, verdict
from .scripted_agent import audit_event, exit_event

TOLD = (InfraError, AgentGone, prepare.Unusable)
"""The exceptions that a conversation's caller is told of."""

_ODD: tuple[Any, ...] = (
    None, True, -1, 10**18, 10**19, 10**400, 1.5, "", "0x", "9" * 5000, "\x00\x1b", "agent:free",
    [], {}, [1], {"a": 1}, "/proc/vmstat",
)  # fmt: skip
_RAW = (
    b"", b"{}", b"[", b"[" * 5000, b'{"ev": "exit"}', b"\xff\xfe\x00", b"NaN", b"1" * 6000,
    b'{"at": 1, "from": "agent", "ev": "beat", "t": 1, "t": 2}', b'{"at": Infinity}',
    b'{"at": 1, "from": "lab", "ev": "end", "how": "bye", "detail": ""}',
    b'{"at": 1, "from": "agent", "t": 1, "ev": "out", "id": 6, "text": "\\ud800"}',
)  # fmt: skip


# -- saved evidence --------------------------------------------------------------------------------


def spoilt_line(rng: random.Random, raw: bytes) -> bytes:
    """A line with bytes or a value of it replaced."""
    if rng.random() < 0.4:
        size = len(raw)
        start = rng.randrange(size + 1)
        return raw[:start] + rng.randbytes(rng.randrange(4)) + raw[start + rng.randrange(9) :]
    if rng.random() < 0.2:
        return rng.choice(_RAW)
    try:
        line = json.loads(raw)
    except (ValueError, RecursionError):
        return raw
    return json.dumps(spoilt(rng, line)).encode() if isinstance(line, dict) else raw


def spoilt(rng: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    """An object with a value replaced, removed, or added, maybe deep inside."""
    found = dict(value)
    key = rng.choice([*found, "id", "n", "more"])
    inner = found.get(key)
    if isinstance(inner, dict) and inner and rng.random() < 0.6:
        found[key] = spoilt(rng, inner)
    elif rng.random() < 0.2:
        found.pop(key, None)
    else:
        found[key] = rng.choice(_ODD)
    return found


def taken_away(rng: random.Random, text: bytes, shown: bytes) -> tuple[bytes, bytes]:
    """The files with a part gone: lines, an end, or a piece of the console."""
    lines = text.splitlines(keepends=True)
    match rng.randrange(3):
        case 0:
            gone = {rng.randrange(len(lines)) for _ in range(rng.randrange(1, 6))}
            return b"".join(line for n, line in enumerate(lines) if n not in gone), shown
        case 1:
            return text[: rng.randrange(len(text))], shown
    start = rng.randrange(len(shown))
    return text, shown[:start] + shown[rng.randrange(start + 1, len(shown) + 1) :]


def fuzz_saved(rng: random.Random, folder: Path) -> None:
    """Try one cell's evidence."""
    name = rng.choice(list(cases()))
    whole = cases()[name]
    passes = name.startswith("pass")
    match rng.randrange(3):
        case 0:
            text, shown = taken_away(rng, *whole.files(folder))
            assert verdict(observed(folder, text, shown)) is not Verdict.PASS, name
        case 1:
            lines = list(whole.lines)
            numbers = [line["id"] for line in lines if line["ev"] == "request"] or [0]
            for _ in range(rng.randrange(1, 5)):
                line = rng.choice(forged(rng.choice([*numbers, 4000])))
                lines.insert(rng.randrange(len(lines) + 1), line)
            seen = observed(folder, *Evidence(tuple(lines), whole.console).files(folder))
            assert passes or verdict(seen) is not Verdict.PASS, name
        case _:
            text, shown = whole.files(folder)
            raws = text.split(b"\n")
            for _ in range(rng.randrange(1, 6)):
                number = rng.randrange(len(raws))
                raws[number] = spoilt_line(rng, raws[number])
            if rng.random() < 0.3:
                rng.shuffle(raws)
            observed(folder, b"\n".join(raws), shown)


# -- a live conversation ---------------------------------------------------------------------------


class Deaf:
    """The writing end of a channel that nobody reads."""

    def write(self, _data: bytes) -> None:
        """Take a request."""

    async def drain(self) -> None:
        """Wait for nothing."""

    def close(self) -> None:
        """Do nothing."""


def answers() -> list[dict[str, Any]]:
    """All that an agent without fault says in the conversation below."""
    files: dict[str, Any] = {"ev": "files", "files": {TAINTED: "0\n"}, "errors": {}, "last": True}
    drained = {"ev": "drained", "errno": 0, "free": 1, "pcp": 1, "steady": True, "polls": 1}
    enabled = {builders.ENABLED: "never\n"}
    said: list[dict[str, Any]] = [
        {"ev": "swapped", "errno": 0, "step": ""}, {**files, "files": {}},
        {"ev": "stats", "stats": {builders.ENABLED: "reg"}, "errors": {}},
        {"ev": "wrote", "errno": 0}, {**files, "files": enabled},
        {"ev": "auditing", "on": True, "pfns": 1}, {"ev": "khugepaged", "errno": 0, "scans": 1},
        drained, files, {"ev": "staged", "pid": 7}, {"ev": "start", "pid": 7},
    ]  # fmt: skip
    run = len(said)
    found = [{"t": 1.0, "id": number, **one} for number, one in enumerate(said, start=1)]
    outs = [{"ev": "out", "text": text} for text in builders.KTAP_PASS]
    found += [{"t": 1.0, "id": run, **one} for one in (*outs, audit_event(), exit_event())]
    found += [{"t": 1.0, "id": run + 1, **drained}, {"t": 1.0, "id": run + 2, **files}]
    ready = {"t": 1.0, "ev": "ready", "protocol": 2, "cpus": 1, "nodes": [0],
             "memory_kb": 500_000}  # fmt: skip
    return [ready, *found]


async def conversation(reader: asyncio.StreamReader, folder: Path) -> None:
    """Conduct a cell's conversation, without a guest's limits and deaths."""

    async def within(_limit: float, _how: object, awaited: Any) -> Any:
        return await awaited

    guest = builders.guest(devices=())
    with Transcript(folder / "agent.jsonl") as transcript:
        writer: Any = Deaf()
        agent = Agent(reader, writer, transcript)
        vm: Any = SimpleNamespace(agent=agent, guest=guest, within=within)
        await prepare.boot(vm, Accelerator.KVM, transcript, ())
        await settings.apply_settings(vm, GuestSetup(builders.settings(), (), ()), transcript)
        request = await agent.send("run", "1000", "0", PROGRAM)
        ahead = await sampling.ask(agent, ())
        while True:
            event = await agent.event()
            if isinstance(event, Exit) and event.id == request.number:
                break
        await sampling.sample(agent, SampleLabel.AFTER, transcript, (), ahead)


async def fuzz_live(rng: random.Random, folder: Path) -> bool:
    """Try one conversation; whether it came to its end."""
    raws = [json.dumps(one).encode() for one in answers()]
    for _ in range(rng.randrange(4)):
        number = rng.randrange(len(raws))
        match rng.randrange(5):
            case 0:
                raws[number] = spoilt_line(rng, raws[number])
            case 1:
                raws.insert(number, raws[rng.randrange(len(raws))])
            case 2:
                del raws[number]
            case 3:
                event = rng.choice(forged(rng.randrange(16)))
                own = {k: v for k, v in event.items() if k not in {"at", "from"}}
                raws.insert(number, json.dumps(own).encode())
            case _:
                raws.insert(number, rng.choice(_RAW))
    reader = asyncio.StreamReader(limit=1 << 22)
    reader.feed_data(b"".join(raw + b"\n" for raw in raws))
    reader.feed_eof()
    try:
        await conversation(reader, folder)
    except TOLD:
        return False
    finally:
        text = (folder / "agent.jsonl").read_bytes().splitlines()
        assert all(isinstance(decode(line), Line) for line in text)
    return True


# -- the loop --------------------------------------------------------------------------------------


def once(seed: int, folder: Path) -> str:
    """Try what a seed stands for; what was tried."""
    rng = random.Random(seed)
    kind = rng.random()
    if kind < 0.6:
        fuzz_saved(rng, folder)
        return "transcripts"
    if kind < 0.9:
        ended = asyncio.run(fuzz_live(rng, folder))
        return "conversations that ended" if ended else "conversations that were given up"
    raw = rng.randbytes(rng.randrange(300))
    if rng.random() < 0.5:
        raw = spoilt_line(rng, json.dumps(rng.choice(answers())).encode())
    decode(raw)
    decode_agent(raw)
    return "lines"


def main(words: Sequence[str]) -> int:
    """Fuzz for so many seconds."""
    seconds = float(words[0]) if words else 60.0
    seed = int(words[1]) if len(words) > 1 else random.randrange(1 << 48)
    print(f"seed {seed}")
    ends = time.monotonic() + seconds
    tried: dict[str, int] = {}
    with tempfile.TemporaryDirectory(prefix="rmaplab-fuzz-") as scratch:
        while time.monotonic() < ends:
            try:
                kind = once(seed, Path(scratch))
            except BaseException:
                print(f"failed with seed {seed}")
                raise
            tried[kind] = tried.get(kind, 0) + 1
            seed += 1
    print(f"{sum(tried.values())} tried in {seconds:.0f} s: {tried}")
    return 0
