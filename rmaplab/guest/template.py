# SPDX-License-Identifier: GPL-2.0
"""Boot a guest once and save it as a template, so that each cell gets a clone of it.

QEMU maps the guest's RAM from files (``share=on``) while the template boots; with migration's
``x-ignore-shared`` capability only the devices' state goes to the state file. A clone maps the same
files privately (``share=off``), so it starts from exactly the saved memory and cannot change it.
kata-containers' VM templating works the same way.

A template comes in two steps: the guest that booted, once a kernel and profile, and from it one for
each hugepage settings, with those applied, read back and sampled.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, KernelError
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import CONSOLE_LOG, QEMU_LOG, TRANSCRIPT
from rmaplab.evidence.protocol import REQUEST_BYTES
from rmaplab.guest import prepare
from rmaplab.guest.agent import AgentGarbled
from rmaplab.guest.command import Channels, Launch, qemu, ram_files, slowdown
from rmaplab.guest.settings import GuestSetup, apply_settings
from rmaplab.guest.transcript import Transcript
from rmaplab.guest.vm import STUCK_QEMU, GuestDied, LimitReached, Vm, running
from rmaplab.model import Guest
from rmaplab.model.digest import digest_of
from rmaplab.store import entryseal

# Part of every key: raise it when the way templates are made changes.
RECIPE = "7"
STATE = "state"
SETUP_RESULT = "settled.json"
SETUP_TRANSCRIPT = "prologue.jsonl"
REQUEST = "request"


class BootFailed(KernelError):
    """A guest did not come up; ``folder`` holds the evidence of the attempt."""

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


def key(guest: Guest, launch: Launch, held: tuple[str, ...]) -> str:
    """Return the content address of a template, of all that could change what a clone does."""
    version = proc.run([guest.architecture.qemu, "--version"]).text.splitlines()[0]
    ram = Path("/ram")
    argv = qemu(guest, dataclasses.replace(launch, ram=ram, state=None), Channels(0, 0, 0))
    return digest_of(
        "template", RECIPE, guest.arch, version, *argv, str(guest.swap_mb), *held,
        # Their nodes are checked when the template is made, and never again in its clones.
        *(f"device {device.name}" for device in guest.devices),
        _cpu_model() if launch.accelerator == "kvm" else "",
    )  # fmt: skip


def settings_key(booted: str, setup: GuestSetup) -> str:
    """Return the content address of a template with settings, made from the template ``booted``."""
    writes = [part for w in setup.settings.writes for part in (w.path, w.value, w.expect)]
    audit = "none" if setup.audit is None else " ".join(("audit", *setup.audit))
    return digest_of("settled", booted, audit, str(len(writes)), *writes, *setup.required)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line
    return ""


async def save(
    guest: Guest, launch: Launch, folder: Path, scratch: Path, *, held: tuple[str, ...]
) -> None:
    """Boot a guest, make it ready and save it in ``folder``.

    The agent holds the files of ``held`` and reads them once, so that what their first reading
    allocates is in the template and not in a cell's counters.
    The evidence of the boot stays there, or in ``scratch`` if the boot failed: then BootFailed is
    raised for the kernel's fault, InfraError for the lab's.
    """
    for path, size_mb in ram_files(guest, folder):
        with path.open("wb") as file:
            file.truncate(size_mb << 20)

    launch = dataclasses.replace(launch, request=no_request(guest, folder))

    async def make_ready(vm: Vm, transcript: Transcript) -> None:
        await prepare.boot(vm, launch.accelerator, transcript, held)
        ready_s = guest.limits.ready_s * slowdown(guest, launch.accelerator)
        await vm.within(ready_s, EndCause.READY_LIMIT, vm.agent.ask("sample"))

    boot = dataclasses.replace(launch, ram=folder, state=None)
    await _save(guest, boot, folder, scratch, make_ready)


async def save_with_settings(
    guest: Guest, launch: Launch, setup: GuestSetup, folder: Path, scratch: Path
) -> None:
    """Give the guest of a template, which ``launch`` restores, its settings; save it in ``folder``.

    Raises as ``save`` does. If the kernel lacks what the settings need, only that is saved.
    """
    assert launch.ram is not None
    for path, _ in ram_files(guest, launch.ram):
        proc.run(["cp", "--reflink=auto", "--sparse=always", path, folder])

    async def apply_and_stage(vm: Vm, transcript: Transcript) -> None:
        await vm.go()
        limit = guest.limits.ready_s * slowdown(guest, launch.accelerator)
        prepare.phase(transcript, "settings", limit)
        result = await vm.within(limit, EndCause.READY_LIMIT, apply_settings(vm, setup, transcript))
        result.save(folder / SETUP_RESULT)

    again = dataclasses.replace(launch, ram=folder, keeps=True, request=no_request(guest, folder))
    await _save(guest, again, folder, scratch, apply_and_stage)
    (folder / SETUP_TRANSCRIPT).write_bytes(_setup_transcript(folder / TRANSCRIPT))
    _seal(folder)


def no_request(guest: Guest, folder: Path) -> Path | None:
    """Write the file of Launch.request, empty so far; None for a guest that needs no such file."""
    if not guest.icount:
        return None
    path = folder / REQUEST
    path.write_bytes(bytes(REQUEST_BYTES))
    return path


def _setup_transcript(path: Path) -> bytes:
    """Return the lines of a guest's set-up, as they go into its clones' transcripts."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    said = [line for line in lines if line["from"] in {"lab", "agent"}]
    first = next(n for n, line in enumerate(said) if line["ev"] == "phase")
    setup = [line for line in said[first:] if line["ev"] not in {"end", "console", "sealed"}]
    # A clone's transcript has one line before them.
    return b"".join(
        json.dumps({**line, "n": n, "template": True}).encode() + b"\n"
        for n, line in enumerate(setup, start=1)
    )


async def _save(
    guest: Guest,
    launch: Launch,
    folder: Path,
    scratch: Path,
    work: Callable[[Vm, Transcript], Awaitable[None]],
) -> None:
    with Transcript(folder / TRANSCRIPT) as transcript:
        try:
            async with running(guest, launch, folder=folder, transcript=transcript) as vm:
                try:
                    await work(vm, transcript)
                except GuestDied:
                    await vm.last_words()  # a panic's trace comes after the line that says so
                    raise
                except LimitReached as reached:
                    if await vm.qemu_answers():
                        raise
                    raise InfraError(
                        f"guest {guest.name}: {reached}, and QEMU does not answer: {STUCK_QEMU}"
                    ) from reached
                await _write_state(vm, folder / STATE)
                transcript.say("lab", "end", how=str(EndCause.BYE), detail="")
        except GuestDied as died:
            how, detail = died.death.how, died.death.detail
        except LimitReached as reached:
            how, detail = reached.how, str(reached)
        except prepare.Unusable as error:
            how, detail = EndCause.UNUSABLE, str(error)
        except AgentGarbled as error:
            how, detail = EndCause.GARBLED, str(error)
        else:
            _seal(folder)
            return
        transcript.say("lab", "end", how=str(how), detail=detail)
    for name in (TRANSCRIPT, CONSOLE_LOG, QEMU_LOG):
        shutil.copy2(folder / name, scratch / name)
    raise BootFailed(f"guest {guest.name}: {detail}", scratch)


async def _write_state(vm: Vm, path: Path) -> None:
    with path.open("wb") as file:
        await vm.save(file.fileno())


def _seal(folder: Path) -> None:
    """Record the hashes of a template's files, by which a later run checks that it is whole."""
    entryseal.seal(folder, [path.name for path in _parts(folder)])


def broken(folder: Path) -> str:
    """Return what is wrong with a saved template; an empty string if it is as it was saved."""
    try:
        sealed = entryseal.read(folder)
        parts = {path.name for path in _parts(folder)}
    except (OSError, ValueError, RecursionError) as error:
        return f"its seal cannot be read: {error}"
    if set(sealed) != parts:
        return f"it should hold {', '.join(sorted(sealed))}"
    return entryseal.broken(folder)


def _parts(folder: Path) -> list[Path]:
    optional = (folder / name for name in (SETUP_RESULT, SETUP_TRANSCRIPT))
    return [
        *sorted(folder.glob("node*.ram")), folder / STATE, folder / CONSOLE_LOG,
        *(path for path in optional if path.exists()),
    ]  # fmt: skip
