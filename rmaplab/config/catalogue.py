# SPDX-License-Identifier: GPL-2.0
"""The names that a lab file can use: guest profiles, devices, testcases, Kconfig fragments."""

from __future__ import annotations

import functools
from pathlib import Path

from rmaplab.collect import ledger
from rmaplab.collect.splats import SEVERITIES
from rmaplab.config import schema, settings, yamlsource
from rmaplab.config.paths import project, shares
from rmaplab.config.yamlsource import Document
from rmaplab.errors import Diagnostic, DiagnosticsError, UserError
from rmaplab.model import (
    HOST,
    Architecture,
    Device,
    Dimm,
    Guest,
    HostTest,
    HugepageSettings,
    Isolation,
    Limits,
    NumaNode,
    Requirements,
    Severity,
    Testcase,
    TestcaseKind,
    Upstream,
    Userspace,
    Vmtest,
    Walker,
    Write,
    architecture_of,
    version_range,
)
from rmaplab.text import near_miss

DEVICES: tuple[Device, ...] = (
    Device(
        "dmirror",
        "hmm_dmirror with private memory (lib/test_hmm.c)",
        ("/dev/hmm_dmirror0", "/dev/hmm_dmirror1"),
    ),
    Device(
        "dmirror-coherent",
        "hmm_dmirror with memory that the CPU can access; the profile has to reserve it",
        ("/dev/hmm_dmirror2", "/dev/hmm_dmirror3"),
    ),
)


class Catalogue:
    """Every name that a lab file can use. Reading is lazy and happens once.

    ``root`` is the project's folder, ``roots`` are that and a user's, which add to it.
    Raises DiagnosticsError with all mistakes of all files of a folder at once.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or project()
        self.roots = (self.root, *(shares() if root is None else ()))

    def files(self, pattern: str) -> list[Path]:
        """Return the files of all folders that match a pattern such as ``guests/*.yaml``."""
        return [path for root in self.roots for path in sorted(root.glob(pattern))]

    def file(self, name: str | Path) -> Path | None:
        """Return the first file of that name, such as ``configs/rmap.yaml``; None if there is none.

        A user's folders come before the project's.
        """
        places = (root / name for root in (*self.roots[1:], self.root))
        return next((place for place in places if place.is_file()), None)

    @functools.cached_property
    def guests(self) -> dict[str, Guest]:
        """Guest profiles by name, from ``guests/*.yaml``, and ``host``, which has no file."""
        found: dict[str, Guest] = {HOST.name: HOST}
        mistakes: list[Diagnostic] = []
        for path in self.files("guests/*.yaml"):
            document = yamlsource.load(path)
            guest = _guest(document)
            mistakes += document.mistakes
            if guest is not None and guest.name == HOST.name:
                mistakes.append(Diagnostic(path, 1, f"{HOST.name!r} is the name of no guest's"))
            elif guest is not None and guest.name in found:
                mistakes.append(Diagnostic(path, 1, f"there is a guest {guest.name} already"))
            elif guest is not None:
                found[guest.name] = guest
        if mistakes:
            raise DiagnosticsError(mistakes)
        return found

    @functools.cached_property
    def settings(self) -> dict[str, HugepageSettings]:
        """Hugepage settings by name."""
        return settings.by_name()

    @functools.cached_property
    def testcases(self) -> dict[str, Testcase]:
        """Testcases by name, from ``testcases/*/*.yaml``."""
        found: dict[str, Testcase] = {}
        by_id: dict[str, Testcase] = {}
        mistakes: list[Diagnostic] = []
        for path in self.files("testcases/*/*.yaml"):
            document = yamlsource.load(path)
            testcase = self._testcase(document)
            if testcase is not None:
                twin = by_id.setdefault(testcase.id, testcase)
                if testcase.name in found:
                    other = found[testcase.name].source.with_suffix(".yaml")
                    document.complain((), f"there is a testcase {testcase.name} already: {other}")
                elif twin is not testcase:
                    document.complain(("id",), f"{testcase.id} is the id of {twin.name} too")
                found[testcase.name] = testcase
            mistakes += document.mistakes
        if mistakes:
            raise DiagnosticsError(mistakes)
        return found

    @functools.cached_property
    def walkers(self) -> tuple[Walker, ...]:
        """Kernel functions, from ``testcases/walkers.yaml``; one that moved once for each range."""
        document = yamlsource.load(self.root / "testcases" / "walkers.yaml")
        entry = schema.validate(document, schema.WalkersFile)
        found: list[Walker] = []
        for part in schema.WalkersFile.model_fields if entry is not None else ():
            for number, one in enumerate(getattr(entry, part)):
                where = version_range(one.tree)
                if any(
                    other.name == one.name and where.meets(version_range(other.tree))
                    for other in found
                ):
                    document.complain(
                        (part, number, "name"), f"{one.name} is here twice for some kernels"
                    )
                through = tuple(one.through)
                found.append(Walker(one.name, one.file, part, through, one.unreachable, one.tree))
        document.check()
        return tuple(found)

    @functools.cached_property
    def vmtests(self) -> tuple[Vmtest, ...]:
        """Every command of run_vmtests.sh that is known: testcases', ``run_vmtests.yaml``'s."""
        entry = self._vmtests_file
        beside = {one.testcase for one in entry.programs if one.testcase}
        own = [
            Vmtest(" ".join((one.upstream.program, *one.args)), one.name, tree=one.requires.tree)
            for one in self.testcases.values()
            if one.upstream is not None and one.name not in beside
        ]
        others = (Vmtest(one.command, one.testcase, one.reason, one.tree) for one in entry.others)
        return (*own, *others)

    @functools.cached_property
    def unscripted(self) -> tuple[Vmtest, ...]:
        """The programs that a tree's Makefile builds and its run_vmtests.sh does not run."""
        return tuple(
            Vmtest(one.program, one.testcase, one.reason, one.tree)
            for one in self._vmtests_file.programs
        )

    @functools.cached_property
    def _vmtests_file(self) -> schema.VmtestsFile:
        document = yamlsource.load(self.root / "testcases" / "run_vmtests.yaml")
        entry = schema.validate(document, schema.VmtestsFile)
        for key in ("others", "programs") if entry is not None else ():
            for number, other in enumerate(getattr(entry, key)):
                if other.testcase and other.testcase not in self.testcases:
                    document.complain((key, number), f"no testcase {other.testcase!r}")
        document.check()
        assert entry is not None
        return entry

    def driven_by(self) -> dict[Walker, tuple[Testcase, ...]]:
        """Return the testcases that drive each function of ``walkers.yaml``, maybe none.

        Raises DiagnosticsError if a testcase names a function that is not in ``walkers.yaml``.
        """
        found: dict[str, list[Testcase]] = {one.name: [] for one in self.walkers}
        mistakes: list[Diagnostic] = []
        for testcase in self.testcases.values():
            path = testcase.source.with_suffix(".yaml")
            for name in testcase.walkers:
                if name in found:
                    found[name].append(testcase)
                else:
                    what = f"walkers.yaml has no {name!r}{near_miss(name, found)}"
                    mistakes.append(Diagnostic(path, 0, what))
        if mistakes:
            raise DiagnosticsError(mistakes)
        return {walker: tuple(found[walker.name]) for walker in self.walkers}

    @functools.cached_property
    def fragments(self) -> dict[str, Path]:
        """Kconfig fragments by name, from ``configs/kconfig/*.config``."""
        return {path.stem: path for path in reversed(self.files("configs/kconfig/*.config"))}

    def _testcase(self, document: Document) -> Testcase | None:
        entry = schema.validate(document, schema.TestcaseFile)
        if entry is None:
            return None
        upstream = _upstream(document, entry)
        host = _host(document, entry)
        is_trees = upstream or host
        source = document.path if is_trees else _source(document, entry.requires.userspace)
        for number, name in enumerate(entry.settings):
            if name not in self.settings:
                document.complain(
                    ("settings", number),
                    f"unknown settings {name!r}{near_miss(name, self.settings)}",
                )
        _check_devices(document, ("requires", "devices"), entry.requires.devices)
        _check_notices(document, entry.notices)
        for name in entry.leaves:
            if not ledger.is_account(name):
                document.complain(
                    ("leaves", name),
                    f"unknown account of the ledger {name!r}{near_miss(name, ledger.ACCOUNTS)}",
                )
        needs = entry.requires
        return Testcase(
            name=f"{document.path.parent.name}/{document.path.stem}",
            id=entry.id,
            summary=entry.summary,
            kind=TestcaseKind(entry.kind),
            walkers=tuple(entry.walkers),
            requires=Requirements(
                devices=tuple(needs.devices),
                nodes=needs.nodes,
                cpus=needs.cpus,
                memory_mb=needs.memory_mb,
                swap=needs.swap,
                movable_mb=needs.movable_mb,
                slow_nodes=needs.slow_nodes,
                config=tuple(needs.config),
                files=tuple(needs.files),
                userspace=_userspace(needs.userspace, host),
                tree=needs.tree,
            ),
            settings=tuple(entry.settings),
            limit_s=entry.limit_s,
            args=tuple(entry.args),
            source=source,
            leaves={k: None if v == "any" else v for k, v in entry.leaves.items()},
            notices=tuple(entry.notices),
            upstream=upstream,
            host=host,
        )


_SUFFIXES = (".c", ".py", ".sh")


def _source(document: Document, userspace: str | None) -> Path:
    """Find a testcase's C file or script; a guest with an initramfs has nothing to run a script."""
    candidates = [document.path.with_suffix(suffix) for suffix in _SUFFIXES]
    found = [path for path in candidates if path.is_file()]
    if not found:
        document.complain((), f"its C file {candidates[0].name} is missing (or a .py or .sh)")
        return candidates[0]
    source = found[0]
    if len(found) > 1:
        document.complain((), f"both {source.name} and {found[1].name} could be its program")
    elif source.suffix != ".c":
        if userspace != Userspace.HOST:
            document.complain((), f"the script {source.name} needs requires: {{userspace: host}}")
        if not source.read_bytes().startswith(b"#!/"):
            document.complain((), f"{source.name} does not begin with #! and its interpreter")
    return source


def _userspace(named: str | None, host: HostTest | None) -> Userspace | None:
    if host is not None:
        return Userspace.SANDBOX
    return Userspace(named) if named else None


def _host(document: Document, entry: schema.TestcaseFile) -> HostTest | None:
    """Return the host test of a testcase file; complain of what only a guest has."""
    if entry.host is None:
        return None
    if entry.upstream:
        document.complain(
            ("host",), "upstream runs in a guest, host on this host: it is one of both"
        )
    given = entry.requires.model_fields_set - {"tree", "cpus", "memory_mb"}
    for key in sorted(given):
        document.complain(("requires", key), f"a host test has no guest, so requires no {key}")
    for key in ("leaves", "notices"):
        if getattr(entry, key):
            document.complain((key,), f"{key} is of a kernel that runs, and a host test has none")
    one = entry.host
    return HostTest(one.suite, one.program, tuple(one.make), tuple(one.says))


def _upstream(document: Document, entry: schema.TestcaseFile) -> Upstream | None:
    if entry.upstream:
        writes = tuple(Write(path, text, text) for path, text in entry.prepare.items())
        return Upstream(entry.upstream, entry.uid, writes)
    for key in ("uid", "prepare"):
        if getattr(entry, key):
            document.complain((key,), f"{key} is for programs of the kernel tree: upstream")
    return None


def _check_devices(document: Document, where: tuple[str, ...], names: list[str]) -> None:
    known = [device.name for device in DEVICES]
    for number, name in enumerate(names):
        if name not in known:
            document.complain((*where, number), f"unknown device {name!r}{near_miss(name, known)}")


def _check_notices(document: Document, kinds: list[str]) -> None:
    """Complain of a kind of splat that is a bug: a testcase may declare notices alone."""
    known = [kind for kind, severity in SEVERITIES.items() if severity is Severity.NOTICE]
    for number, kind in enumerate(kinds):
        if kind not in known:
            document.complain(
                ("notices", number),
                f"{kind!r} is no kind of splat that a testcase may declare: {', '.join(known)}",
            )


def _guest(document: Document) -> Guest | None:
    entry = schema.validate(document, schema.GuestFile)
    if entry is None:
        return None
    _check_devices(document, ("devices",), entry.devices)
    architecture = architecture_of(entry.arch)
    _check_machine(document, entry, architecture)
    _check_memory(document, entry, architecture)
    cpus = sorted(cpu for node in entry.nodes for cpu in node.cpus)
    if not cpus or cpus != list(range(len(cpus))):
        document.complain(("nodes",), f"the nodes' cpus have to be 0 to N-1, each once; got {cpus}")
    if entry.userspace == "host" and entry.isolation != "boot":
        document.complain(
            ("userspace",),
            "a guest that has the host's files mounted cannot be saved: isolation has to be boot",
        )
    return Guest(
        name=document.path.stem,
        summary=entry.summary,
        machine=entry.machine,
        cpu=entry.cpu,
        cpus=len(cpus),
        nodes=tuple(
            NumaNode(node.memory_mb, tuple(node.cpus), node.latency_ns, node.bandwidth_mb_s)
            for node in entry.nodes
        ),
        devices=tuple(device for device in DEVICES if device.name in entry.devices),
        swap_mb=entry.swap_mb,
        cmdline=tuple(entry.cmdline),
        isolation=Isolation(entry.isolation),
        limits=Limits(entry.limits.boot_s, entry.limits.ready_s, entry.limits.silence_s),
        icount=entry.icount,
        userspace=Userspace(entry.userspace),
        dimms=tuple(Dimm(dimm.memory_mb, dimm.node) for dimm in entry.dimms),
        reserved_mb=entry.reserved_mb,
        arch=entry.arch,
    )


def _check_machine(document: Document, entry: schema.GuestFile, architecture: Architecture) -> None:
    try:
        architecture.machine(entry.machine)
    except UserError as error:
        document.complain(("machine",), f"machine: {error.message}")


def _check_memory(document: Document, entry: schema.GuestFile, architecture: Architecture) -> None:
    """Check those rules of a guest's memory that involve several fields, or the architecture."""
    block = architecture.memory_block_mb
    for number, dimm in enumerate(entry.dimms):
        if dimm.memory_mb % block:
            document.complain(
                ("dimms", number, "memory_mb"),
                f"dimms.{number}.memory_mb: memory is plugged in blocks of {block} MB, "
                f"got {dimm.memory_mb}",
            )
        if dimm.node >= len(entry.nodes):
            document.complain(("dimms", number), f"there is no node {dimm.node}")
    if entry.reserved_mb >= sum(node.memory_mb for node in entry.nodes):
        document.complain(("reserved_mb",), "it is all of the nodes' memory")
    speeds = [value for node in entry.nodes for value in (node.latency_ns, node.bandwidth_mb_s)]
    if any(speeds) and not all(speeds):
        document.complain(("nodes",), "latency_ns and bandwidth_mb_s: every node needs both")
