# SPDX-License-Identifier: GPL-2.0
"""Guests on the host's userspace, through virtme-ng.

``vng --dry-run`` says which QEMU would bring the host's root folder, read-only, and virtme-ng's own
init into a guest; the lab starts that QEMU itself, because vng closes every descriptor that it
inherits (so the lab's channels would not reach QEMU) and because a QEMU that vng started outlives
a vng that was killed. From vng come the shares, the kernel and its command line; machine, memory
and vCPUs come from the profile, as for every other guest.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.evidence.protocol import AGENT_PORT
from rmaplab.guest import command
from rmaplab.guest.command import Accelerator, Channels, Launch
from rmaplab.model import Architecture, Guest

VNG = "vng"
PROGRAMS = "/run/rmaplab"
"""The folder in which a virtme guest has the agent, ``init``, and the workloads, ``bin``."""

# Options that follow from the guest profile.
_MACHINE = frozenset({"-machine", "-accel", "-cpu", "-smp", "-m"})
_CONSOLE = "console"

NEEDS = ("NET_9P_VIRTIO", "9P_FS")
"""The Kconfig symbols that a kernel needs to mount its root; the fragment virtme has them."""


def _run(image: Path) -> list[str]:
    # vng puts its words into a shell's command line without quoting them.
    return ["--run", shlex.quote(str(image)), "--force-9p", "--skip-modules"]


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for vng, which looks for its helpers in PATH.

    The user's ``~/.config/virtme-ng`` must not change the guest, so HOME is none.
    """
    own = Path(sys.prefix) / "bin"
    path = f"{own}{os.pathsep}{variables.get('PATH', os.defpath)}"
    return {**variables, "PATH": path, "HOME": "/nonexistent"}


def ask(guest: Guest, image: Path, programs: Path) -> tuple[str, ...]:
    """Return the command that vng would start for a cell.

    The guest has the folder ``programs`` at PROGRAMS. Raises InfraError if vng prints no command.
    """
    architecture = guest.architecture
    return _dry_run(
        [
            *_run(image), "--disable-kvm", "--name", "rmaplab", "--cwd", "/",
            "--rodir", shlex.quote(f"{PROGRAMS}={programs}"),
            "--append", shlex.join([*command.CMDLINE, *architecture.cmdline, *guest.cmdline]),
            "--exec", _start_agent(architecture),
        ]
    )  # fmt: skip


def _start_agent(architecture: Architecture) -> str:
    # The agent's complaints go to the console, like those of a fast guest's.
    return f"exec {PROGRAMS}{command.INIT} </dev/null >/dev/{architecture.console} 2>&1"


def shell(
    guest: Guest, image: Path, accelerator: Accelerator, terminal: os.terminal_size
) -> list[str]:
    """Return the QEMU command line of a guest for a person, whose terminal has vng's channels.

    Raises InfraError if vng prints no command.
    """
    size = f"virtme_stty_con=rows {terminal.lines} cols {terminal.columns} iutf8"
    # Without the parameters of a cell's guest: a person wants no panic at each oops.
    cmdline = (*guest.architecture.cmdline, command.RANDOM, *guest.cmdline, size)
    vng = _dry_run(
        [
            *_run(image), "--disable-kvm", "--name", f"rmaplab-{guest.name}",
            "--append", shlex.join(cmdline),
        ]
    )  # fmt: skip
    return [vng[0], *_on_profile(vng, guest, accelerator)]


def _dry_run(words: Sequence[str]) -> tuple[str, ...]:
    done = proc.run([VNG, "--dry-run", *words], env=environment(os.environ), check=False)
    said = done.text.strip().splitlines()
    try:
        argv = tuple(shlex.split(said[-1])) if said and done.ok else ()
    except ValueError:
        argv = ()
    if not argv or not Path(argv[0]).name.startswith("qemu-system-") or "-append" not in argv:
        raise InfraError(
            f"vng does not say how it would start a guest: {done.complaint or done.text}"
        )
    return argv


def qemu(guest: Guest, launch: Launch, channels: Channels) -> list[str]:
    """Return the argument list that starts a cell's guest: vng's command on the lab's channels."""
    return [
        launch.vng[0],
        "-nodefaults", "-no-user-config",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        *_with_console(
            _on_profile(launch.vng, guest, launch.accelerator),
            command.CONSOLE,
        ),
        *command.console_fd(channels),
        "-chardev", f"socket,id=qmp,fd={channels.qmp}", "-mon", "chardev=qmp,mode=control",
        *_agent_port(f"socket,id=agent,fd={channels.agent}"),
        *command.POSTMORTEM,
    ]  # fmt: skip


def reproduce(guest: Guest, launch: Launch) -> list[str]:
    """Return the command line of a cell's guest for a person at a terminal.

    The console is on standard output, the agent's channel is the socket agent.sock.
    """
    return [
        launch.vng[0],
        "-nodefaults", "-no-user-config",
        *_with_console(
            _on_profile(launch.vng, guest, launch.accelerator), f"stdio,id={_CONSOLE},signal=on"
        ),
        *_agent_port("socket,id=agent,path=agent.sock,server=on,wait=on"),
    ]  # fmt: skip


def _agent_port(chardev: str) -> list[str]:
    return [
        "-device", "virtio-serial-pci,id=rmaplab",
        "-chardev", chardev,
        "-device", f"virtserialport,bus=rmaplab.0,chardev=agent,name={AGENT_PORT}",
    ]  # fmt: skip


def _on_profile(vng: Sequence[str], guest: Guest, accelerator: Accelerator) -> list[str]:
    """Return vng's options with the profile's machine in place of vng's."""
    words = command.machine(guest, accelerator)
    words += command.memory(guest, Launch(Path(), Path(), accelerator))
    for option in _options(vng[1:]):
        if option[0] not in _MACHINE:
            words += option
    return words


def _with_console(words: Sequence[str], console: str) -> list[str]:
    """Return the options with another console; vng's other channels are connected to nothing."""
    result: list[str] = []
    found = False
    for option in _options(words):
        if option[0] == "-chardev":
            name = _id(option[1])
            found = found or name == _CONSOLE
            result += [option[0], console if name == _CONSOLE else f"null,id={name}"]
        else:
            result += option
    if not found:
        raise InfraError("vng would start a guest without a console")
    return result


def _id(chardev: str) -> str:
    return next(
        (part.removeprefix("id=") for part in chardev.split(",") if part.startswith("id=")), ""
    )


def _options(words: Sequence[str]) -> Iterator[list[str]]:
    """Yield QEMU's options, each with its value if it has one."""
    option: list[str] = []
    for word in words:
        if word.startswith("-") and option:
            yield option
            option = []
        option.append(word)
    if option:
        yield option


def with_vng(launch: Launch, guest: Guest, programs: Path) -> Launch:
    """Return the launch of a guest on the host's userspace, from that of one with an initramfs.

    Raises InfraError if vng prints no command.
    """
    return replace(launch, vng=ask(guest, launch.image, programs))
