# SPDX-License-Identifier: GPL-2.0
"""A guest on the host's userspace: vng's command line with the lab's channels and machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.guest import command, virtme
from rmaplab.guest.command import Accelerator, Channels, Launch
from rmaplab.model import NumaNode, Userspace
from rmaplab.proc import Finished

from .builders import guest

# The command line that vng 1.42 prints, shortened.
VNG = (
    "/usr/bin/qemu-system-x86_64", "-name", "rmaplab",
    "-fsdev", "local,id=virtfs5,path=/,security_model=none,readonly=on,multidevs=remap",
    "-device", "virtio-9p-pci,fsdev=virtfs5,mount_tag=/dev/root",
    "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "1G",
    "-serial", "chardev:console", "-chardev", "file,id=console,path=/dev/null",
    "-chardev", "stdio,id=stdin,signal=on,mux=off",
    "-device", "virtserialport,name=virtme.stdin,chardev=stdin",
    "-chardev", "file,id=ret,path=/tmp/virtme_ret",
    "-no-reboot", "-kernel", "/k/bzImage", "-append", "panic=-1 init=/x/virtme-ng-init",
)  # fmt: skip
ONE = dataclasses.replace(guest("virtme"), userspace=Userspace.HOST)
LAUNCH = Launch(Path("/k/bzImage"), Path("/k/initramfs.cpio"), Accelerator.TCG, vng=VNG)
CHANNELS = Channels(console=5, agent=6, qmp=7)


def test_a_cells_guest_is_this_command() -> None:
    assert virtme.qemu(ONE, LAUNCH, CHANNELS) == [
        "/usr/bin/qemu-system-x86_64", "-nodefaults", "-no-user-config",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        "-machine", "q35,sata=off,smbus=off,vmport=off,i8042=off,memory-backend=node0",
        "-accel", "tcg,thread=single",
        "-cpu", "qemu64", "-smp", "1,sockets=1,cores=1,threads=1",
        "-m", "512M", "-object", "memory-backend-ram,id=node0,size=512M",
        "-name", "rmaplab",
        "-fsdev", "local,id=virtfs5,path=/,security_model=none,readonly=on,multidevs=remap",
        "-device", "virtio-9p-pci,fsdev=virtfs5,mount_tag=/dev/root",
        "-serial", "chardev:console",
        "-chardev", "file,id=console,path=/dev/fdset/1,append=on",
        "-chardev", "null,id=stdin",
        "-device", "virtserialport,name=virtme.stdin,chardev=stdin",
        "-chardev", "null,id=ret",
        "-no-reboot", "-kernel", "/k/bzImage", "-append", "panic=-1 init=/x/virtme-ng-init",
        "-add-fd", "set=1,fd=5",
        "-chardev", "socket,id=qmp,fd=7", "-mon", "chardev=qmp,mode=control",
        "-device", "virtio-serial-pci,id=rmaplab",
        "-chardev", "socket,id=agent,fd=6",
        "-device", "virtserialport,bus=rmaplab.0,chardev=agent,name=org.rmaplab.agent",
        "-device", "pvpanic-pci", "-action", "panic=none,shutdown=pause",
        "-device", "vmcoreinfo",
    ]  # fmt: skip


def test_the_machine_is_the_profiles_as_for_every_guest() -> None:
    two = dataclasses.replace(
        guest("numa", nodes=[NumaNode(512, (0,)), NumaNode(256, (1,))]), userspace=Userspace.HOST
    )
    argv = virtme.qemu(two, LAUNCH, CHANNELS)
    fast = command.qemu(two, dataclasses.replace(LAUNCH, vng=()), CHANNELS)
    for option in ("-machine", "-accel", "-cpu", "-smp", "-m", "-numa", "-object", "-action"):
        values = [
            [words[n + 1] for n, word in enumerate(words) if word == option]
            for words in (argv, fast)
        ]
        assert values[0] == values[1], option


def test_a_guest_without_a_console_is_refused() -> None:
    odd = dataclasses.replace(LAUNCH, vng=VNG[: VNG.index("-serial")])
    with pytest.raises(InfraError, match="without a console"):
        virtme.qemu(ONE, odd, CHANNELS)


def test_what_reproduces_a_guest_needs_nothing_of_the_lab() -> None:
    words = virtme.reproduce(ONE, LAUNCH)
    assert "fd=" not in " ".join(words)
    assert "stdio,id=console,signal=on" in words
    assert "-qmp" not in words


def test_vng_finds_its_helpers_and_no_configuration_of_a_user() -> None:
    variables = virtme.environment({"PATH": "/usr/bin", "HOME": "/home/me", "TERM": "xterm"})
    assert variables["PATH"].endswith(":/usr/bin")
    assert (Path(variables["PATH"].partition(":")[0]) / "virtme-run").exists()
    assert variables["HOME"] == "/nonexistent"
    assert variables["TERM"] == "xterm"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (1, "no such kernel"),
        (0, ""),
        (0, "Usage: vng"),
        (0, "/usr/bin/qemu-system-x86_64 -m 1G"),
        (0, "/usr/bin/qemu-system-x86_64 -append 'no end"),
        (0, "rm -rf -append"),
    ],
)
def test_a_vng_that_says_no_command_is_an_error(
    monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    answer = Finished(("vng",), status, said.encode(), b"no such kernel", 0.1)
    monkeypatch.setattr(proc, "run", lambda *words, **options: answer)
    with pytest.raises(InfraError, match="vng does not say how it would start a guest"):
        virtme.ask(ONE, Path("/k/bzImage"), Path("/programs"))
