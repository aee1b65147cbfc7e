# SPDX-License-Identifier: GPL-2.0
"""The QEMU command line, as a list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rmaplab.guest.command import (
    CMDLINE,
    REQUEST_PATH,
    Accelerator,
    Channels,
    Launch,
    environment,
    qemu,
    ram_file,
    ram_files,
    reproduce,
)
from rmaplab.model import Dimm, Guest, NumaNode

from .builders import guest

ONE = guest()
TWO = guest("numa", nodes=[NumaNode(512, (0,)), NumaNode(256, (1, 2))], cmdline=["mce=off"])
TIERED = guest(
    "tiered",
    nodes=[
        NumaNode(512, (0,), latency_ns=10, bandwidth_mb_s=9000),
        NumaNode(512, (), latency_ns=100, bandwidth_mb_s=900),
    ],
)
WITH_DIMM = guest("dimm", dimms=[Dimm(256, 0)])
CHANNELS = Channels(console=5, agent=6, qmp=7)
Q35 = "q35,sata=off,smbus=off,vmport=off,i8042=off"


def launch(
    accelerator: Accelerator = Accelerator.TCG,
    *,
    ram: Path | None = None,
    state: Path | None = None,
) -> Launch:
    return Launch(Path("/k/bzImage"), Path("/k/initramfs.cpio"), accelerator, ram, state)


def after(argv: list[str], option: str) -> list[str]:
    """Every value of an option."""
    return [argv[n + 1] for n, word in enumerate(argv) if word == option]


def test_a_record_adds_a_plugin_and_nothing_else() -> None:
    wanted = replace(launch(), plugin=Path("/cache/a,b/blocks.so"))
    argv = qemu(ONE, wanted, replace(CHANNELS, record=8))
    assert after(argv, "-plugin") == ["file=/cache/a,,b/blocks.so,record=8"]
    at = argv.index("-plugin")
    assert argv[:at] + argv[at + 2 :] == qemu(ONE, launch(), CHANNELS)


def test_a_plain_guest_is_this_command() -> None:
    assert qemu(ONE, launch(), CHANNELS) == [
        "qemu-system-x86_64",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-machine", f"{Q35},memory-backend=node0", "-accel", "tcg,thread=single",
        "-cpu", "qemu64", "-smp", "1,sockets=1,cores=1,threads=1",
        "-m", "512M", "-object", "memory-backend-ram,id=node0,size=512M",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny",
        "-add-fd", "set=1,fd=5",
        "-chardev", "file,id=console,path=/dev/fdset/1,append=on", "-serial", "chardev:console",
        "-chardev", "socket,id=qmp,fd=7", "-mon", "chardev=qmp,mode=control",
        "-device", "virtio-serial-pci,max_ports=2,ioeventfd=off",
        "-chardev", "socket,id=agent,fd=6",
        "-device", "virtserialport,chardev=agent,name=org.rmaplab.agent",
        "-device", "pvpanic-pci", "-action", "panic=none,shutdown=pause",
        "-device", "vmcoreinfo",
        "-kernel", "/k/bzImage", "-initrd", "/k/initramfs.cpio", "-append",
        f"console=ttyS0 rdinit=/init {' '.join(CMDLINE)} no_timer_check",
    ]  # fmt: skip


def test_each_node_has_its_memory_and_its_cpus() -> None:
    argv = qemu(TWO, launch(), CHANNELS)
    assert after(argv, "-m") == ["768M"]
    assert after(argv, "-numa") == [
        "node,nodeid=0,memdev=node0,cpus=0",
        "node,nodeid=1,memdev=node1,cpus=1,cpus=2",
    ]
    assert after(argv, "-smp")[0].startswith("3,")
    assert after(argv, "-accel") == ["tcg,thread=multi"]
    assert after(argv, "-append")[0].endswith(" mce=off")


def test_a_node_without_cpus_says_how_slow_its_memory_is() -> None:
    argv = qemu(TIERED, launch(), CHANNELS)
    assert after(argv, "-machine") == [f"{Q35},hmat=on"]
    memory = "hmat-lb,initiator=0,target={},hierarchy=memory,data-type=access-{}"
    assert after(argv, "-numa") == [
        "node,nodeid=0,memdev=node0,cpus=0",
        "node,nodeid=1,memdev=node1,initiator=0",
        memory.format(0, "latency,latency=10"),
        memory.format(0, "bandwidth,bandwidth=9000M"),
        memory.format(1, "latency,latency=100"),
        memory.format(1, "bandwidth,bandwidth=900M"),
    ]


def test_a_dimm_has_a_slot_a_file_of_its_own_and_is_onlined_as_movable() -> None:
    folder = Path("/t")
    argv = qemu(WITH_DIMM, launch(ram=folder), CHANNELS)
    assert after(argv, "-m") == ["512M,slots=1,maxmem=768M"]
    assert after(argv, "-numa") == ["node,nodeid=0,memdev=node0,cpus=0"]
    assert after(argv, "-object")[-1] == (
        "memory-backend-file,id=dimm0,size=256M,mem-path=/t/dimm0.ram,share=on"
    )
    assert "pc-dimm,memdev=dimm0,node=0" in after(argv, "-device")
    assert "memhp_default_state=online_movable" in after(argv, "-append")[0].split()
    assert ram_files(WITH_DIMM, folder) == [
        (folder / "node0.ram", 512),
        (folder / "dimm0.ram", 256),
    ]


def test_kvm_is_asked_for_by_name_and_nothing_falls_back() -> None:
    assert after(qemu(ONE, launch(Accelerator.KVM), CHANNELS), "-accel") == ["kvm"]


@pytest.mark.parametrize("which", [ONE, TWO, TIERED, WITH_DIMM])
def test_a_guest_has_no_network_no_host_folder_and_a_sandbox(which: Guest) -> None:
    words = " ".join(qemu(which, launch(), CHANNELS))
    for word in ("netdev", "virtio-net", "-nic", "virtfs", "9p", "vhost-user-fs", "-drive"):
        assert word not in words
    assert "-nodefaults" in words
    assert "-sandbox on," in words


def test_a_template_writes_its_ram_to_files_that_its_clones_read_privately() -> None:
    folder = Path("/t")
    template = qemu(TWO, launch(ram=folder), CHANNELS)
    clone = qemu(TWO, launch(ram=folder, state=folder / "state"), CHANNELS)
    for number, size in ((0, 512), (1, 256)):
        path = ram_file(folder, number)
        start = f"memory-backend-file,id=node{number},size={size}M,mem-path={path}"
        assert f"{start},share=on" in after(template, "-object")
        assert f"{start},share=off" in after(clone, "-object")
    assert "-incoming" not in template
    assert after(clone, "-incoming") == ["defer"]


@pytest.mark.parametrize("which", [TWO, TIERED, WITH_DIMM])
def test_a_template_and_its_clone_are_the_same_machine_but_for_that(which: Guest) -> None:
    folder = Path("/t")
    template = qemu(which, launch(ram=folder), CHANNELS)
    clone = qemu(which, launch(ram=folder, state=folder / "state"), CHANNELS)
    same = [word.replace("share=off", "share=on") for word in clone[:-2]]
    assert same == template[: template.index("-kernel")]


def test_a_guest_that_goes_on_reads_no_kernel_again() -> None:
    words = qemu(ONE, launch(ram=Path("/t"), state=Path("/t/state")), CHANNELS)
    assert not {"-kernel", "-initrd", "-append"} & set(words)


def test_qemu_allocates_from_one_arena_unless_the_user_wants_otherwise() -> None:
    assert environment({"PATH": "/bin"}) == {
        "PATH": "/bin",
        "GLIBC_TUNABLES": "glibc.malloc.arena_max=1",
    }
    assert environment({"GLIBC_TUNABLES": "x"}) == {"GLIBC_TUNABLES": "x"}


def test_a_guest_in_exact_mode_has_its_request_as_a_device() -> None:
    exact = replace(launch(ram=Path("/t"), state=Path("/t/state")), request=Path("/c/request"))
    (found,) = after(qemu(ONE, exact, CHANNELS), "-fw_cfg")
    name = REQUEST_PATH.split("/by_name/")[1].removesuffix("/raw")
    assert found == f"name={name},file=/c/request"
    assert after(qemu(ONE, exact, CHANNELS), "-kernel") == ["/k/bzImage"]
    assert after(qemu(ONE, launch(), CHANNELS), "-fw_cfg") == []


def test_what_reproduces_a_guest_needs_nothing_of_the_lab() -> None:
    argv = reproduce(ONE, launch(ram=Path("/t"), state=Path("/t/state")))
    words = " ".join(argv)
    assert ",fd=" not in words
    assert "/t" not in words
    assert after(argv, "-serial") == ["stdio"]
    assert after(argv, "-append") == after(qemu(ONE, launch(), CHANNELS), "-append")


def test_tcg_stretches_limits_and_kvm_does_not() -> None:
    assert Accelerator.KVM.slowdown == 1
    assert Accelerator.TCG.slowdown > 1
