# SPDX-License-Identifier: GPL-2.0
"""The shape of lab files, guest profiles and testcase files.

Shape only: whether a name exists is checked after it, by the module that resolves it. The models
are strict, because YAML reads ``no`` as false and ``6.10`` as 6.1.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from rmaplab.config.yamlsource import Document, Location
from rmaplab.model import ARCHITECTURES, MemoryDumpPolicy, version_range
from rmaplab.model.architecture import DEFAULT
from rmaplab.text import near_miss

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
Pattern = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=86400, strict=False)]
Repeat = Annotated[int, Field(ge=1, le=10000)]


def _architecture(name: str) -> str:
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise PydanticCustomError("architecture", "unknown architecture: {known}", {"known": known})
    return name


Architecture = Annotated[str, AfterValidator(_architecture)]


def _tree_range(text: str) -> str:
    try:
        version_range(text)
    except ValueError as error:
        raise PydanticCustomError("tree", "{error}", {"error": str(error)}) from error
    return text


TreeRange = Annotated[str, AfterValidator(_tree_range)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _named(value: object) -> object:
    return value if isinstance(value, dict) else {"name": value}


# A pattern, or a list of them.
Patterns = Annotated[
    list[Pattern],
    BeforeValidator(_listed, json_schema_input_type=Pattern | list[Pattern]),
    Field(min_length=1),
]
ANY = ("*",)
"""The patterns of a field that an entry does not name."""


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class KernelEntry(_Model):
    """One entry of a lab file's ``kernels``."""

    name: Name
    """Its name in reports and filters."""
    tree: str
    """The kernel source: debian:PACKAGE, git:REPO#REF, dir:PATH, deb:PATH, tar:PLACE#sha256=HEX."""
    config: Annotated[list[str], Field(min_length=1)]
    """Kconfig fragments, configs/kconfig/NAME.config, over tinyconfig; a later one wins."""
    series: str = ""
    """A series on top: a folder, an mbox, git:REPO#A..B, a Message-ID."""
    accept: list[Pattern] = []
    """Allowances for a mailed series, as --accept gives them."""


class ExpectEntry(_Model):
    """One entry of a lab file's ``expect``: a known failure."""

    testcase: list[Pattern] | Pattern
    """Names or patterns of the testcases that fail."""
    kernel: Pattern = "*"
    """A pattern for kernels; what is built on them may fail as well."""
    guest: Pattern = "*"
    """A pattern for guests."""
    settings: Pattern = "*"
    """A pattern for settings."""
    device: Pattern = "*"
    """A pattern for device sets."""
    verdict: Literal["fail"] = "fail"
    """The verdict that is known."""
    outcome: Literal["completed", "splat", "panic", "hang", "timeout", "boot-failed"] = "completed"
    """How the cell ends."""
    splat: str = ""
    """A regular expression that the title of every first splat has to match."""
    subtests: list[Pattern] = []
    """Patterns for the subtests that may fail; by default any of the workload."""
    inherited: bool = True
    """false: not for kernels that are built on those that are named."""
    tree: TreeRange = ""
    """The kernel versions that it is for, such as ">=6.15,<7.3"."""
    reason: Annotated[str, Field(min_length=1)]
    """The reason, which reports show."""


class TestcaseEntry(_Model):
    """One entry of a lab file's ``testcases``: a name, a pattern or an id, by itself or as this."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    name: Pattern
    """A name, a pattern or an id."""
    repeat: Repeat | None = None
    """The repeats of these testcases, instead of the lab's."""


class IncludeEntry(_Model):
    """One entry of a lab file's ``include``: what is not named is as in the lab."""

    kernel: Patterns = list(ANY)
    """Patterns for the lab's kernels."""
    guest: Patterns | None = None
    """Patterns for any guest of the project; by default those of the lab."""
    settings: Patterns | None = None
    """Patterns for any settings."""
    device: Patterns | None = None
    """Device sets."""
    testcase: Patterns | None = None
    """Patterns for any testcase."""


class ExcludeEntry(_Model):
    """One entry of a lab file's ``exclude``: what is not named may be anything."""

    kernel: Patterns = list(ANY)
    """Patterns for kernels."""
    guest: Patterns = list(ANY)
    """Patterns for guests."""
    settings: Patterns = list(ANY)
    """Patterns for settings."""
    device: Patterns = list(ANY)
    """Patterns for device sets."""
    testcase: Patterns = list(ANY)
    """Patterns for testcases."""
    reason: Annotated[str, Field(min_length=1)]
    """The reason, which plan shows."""


class AllowEntry(_Model):
    """One entry of a lab file's ``allow``: a known complaint that fails no cell."""

    pattern: Pattern
    """A regular expression over the titles of splats."""
    kind: str = ""
    """The kind of splat; empty for any."""
    reason: Annotated[str, Field(min_length=1)]
    """The reason, which reports show."""
    until: str | date = ""
    """The last day on which it holds, as 2027-01-31."""


class QuarantineEntry(_Model):
    """One entry of a lab file's ``quarantine``: failures that fail no run until a day."""

    testcase: Patterns
    """Patterns for testcases."""
    guest: Patterns = list(ANY)
    """Patterns for guests."""
    settings: Patterns = list(ANY)
    """Patterns for settings."""
    device: Patterns = list(ANY)
    """Patterns for device sets."""
    outcome: Annotated[
        list[Literal["completed", "timeout", "hang"]],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
        Field(min_length=1),
    ] = ["completed"]
    """The ends of a cell that it is for."""
    reason: Annotated[str, Field(min_length=1)]
    """The reason, which reports show."""
    owner: Annotated[str, Field(min_length=1)]
    """A person who looks after it."""
    until: Annotated[str, Field(min_length=1)] | date
    """The last day on which it holds, as 2027-01-31."""


_KEEP = MemoryDumpPolicy()


def _memories(value: object) -> object:
    return {"run": value} if isinstance(value, int) and not isinstance(value, bool) else value


class PostmortemEntry(_Model):
    """A lab file's ``postmortem``: how many memories are kept; a number is that of the run."""

    run: Annotated[int, Field(ge=0, le=1000)] = _KEEP.run
    """How many memories of guests a run keeps."""
    testcase: Annotated[int, Field(ge=1, le=1000)] = _KEEP.testcase
    """How many of one testcase on one kernel."""
    max_mb: Annotated[int, Field(ge=1, le=1 << 20)] = _KEEP.max_mb
    """The size of one, compressed, in MB."""


_PERCENT = re.compile(r"[+-]?\d{1,9}(\.\d{1,9})? ?%")


def _limit(value: object) -> object:
    """Check a limit: a whole number, or a percentage as text."""
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63
    if whole or (isinstance(value, str) and _PERCENT.fullmatch(value)):
        return value
    raise PydanticCustomError("limit", "expected a whole number, or a percentage such as +2%")


class LabFile(_Model):
    """A lab file."""

    name: Name
    """The name of the lab; a run's folder has it."""
    arch: Architecture = DEFAULT
    """The architecture of all kernels and guests."""
    kernels: Annotated[list[KernelEntry], Field(min_length=1)]
    """The kernels; the first is the base of an A/B."""
    guests: Annotated[list[Pattern], Field(min_length=1)]
    """Names or patterns of guest profiles, guests/NAME.yaml."""
    settings: Annotated[list[Pattern], Field(min_length=1)]
    """Names or patterns of hugepage settings."""
    devices: Annotated[list[Pattern], Field(min_length=1)] | None = None
    """Device sets to vary, such as dmirror, a+b, none; by default what the guests have."""
    testcases: Annotated[
        list[
            Annotated[
                TestcaseEntry,
                BeforeValidator(_named, json_schema_input_type=Pattern | TestcaseEntry),
            ]
        ],
        Field(min_length=1),
    ]
    """Names, patterns or ids of testcases."""
    repeat: Repeat = 1
    """The repeats of each cell."""
    exclude: list[ExcludeEntry] = []
    """Combinations to leave out."""
    include: list[IncludeEntry] = []
    """Combinations to add."""
    cap: Annotated[int, Field(ge=1)] | None = None
    """The most cells that a run may have."""
    make_limit_s: Annotated[int, Field(ge=1, le=7 * 86400)] | None = None
    """The seconds that each make of a build may take."""
    audit: bool = True
    """Recount the reverse map from outside, in every cell."""
    ledger: bool = True
    """Check that a workload gives back what it took."""
    coverage: bool | None = None
    """Record which code of the kernel each cell runs."""
    expect: list[ExpectEntry] = []
    """Known failures."""
    allow: list[AllowEntry] = []
    """Known complaints of the kernel."""
    quarantine: list[QuarantineEntry] = []
    """Failures that fail no run until a day."""
    limits: dict[Pattern, Annotated[int | str, BeforeValidator(_limit)]] = {}
    """Numbers of patched that make a row bad, by counter: a whole number or a percentage."""
    postmortem: (
        Annotated[
            PostmortemEntry,
            BeforeValidator(_memories, json_schema_input_type=int | PostmortemEntry),
        ]
        | None
    ) = None
    """How many memories of guests to keep; a number is that of the run."""


class NodeEntry(_Model):
    """A NUMA node of a guest profile."""

    memory_mb: Annotated[int, Field(ge=64, le=1 << 20)]
    """Its memory, in MB."""
    cpus: list[Annotated[int, Field(ge=0)]] = []
    """Its vCPUs; over all nodes they are 0 to N-1."""
    latency_ns: Annotated[int, Field(ge=0, le=65534)] = 0
    """The latency that the firmware tells of its memory; 0 for none."""
    bandwidth_mb_s: Annotated[int, Field(ge=0, le=65534)] = 0
    """The bandwidth that the firmware tells of its memory; 0 for none."""


class DimmEntry(_Model):
    """A DIMM of a guest profile: whole memory blocks of its architecture, in MB."""

    memory_mb: Annotated[int, Field(ge=1, le=1 << 20)]
    """Its memory, in MB: whole memory blocks."""
    node: Annotated[int, Field(ge=0)] = 0
    """Its node."""


class LimitsEntry(_Model):
    """Phase limits of a guest profile, in seconds on KVM."""

    boot_s: Seconds = 10.0
    """Until the kernel starts the agent."""
    ready_s: Seconds = 5.0
    """Until the settings are applied."""
    silence_s: Seconds = 5.0
    """Without a heartbeat, before a guest counts as hung."""


class GuestFile(_Model):
    """A guest profile."""

    summary: str
    """A line for list."""
    arch: Architecture = DEFAULT
    """Its architecture."""
    machine: str
    """QEMU's machine."""
    cpu: str
    """QEMU's CPU."""
    nodes: Annotated[list[NodeEntry], Field(min_length=1)]
    """Its NUMA nodes."""
    dimms: list[DimmEntry] = []
    """Its hot-pluggable memory, there from boot."""
    reserved_mb: Annotated[int, Field(ge=0)] = 0
    """Memory that its kernel parameters keep from the page allocator, in MB."""
    devices: list[str] = []
    """Its emulated devices."""
    swap_mb: Annotated[int, Field(ge=0)] = 0
    """Swap on zram, in MB."""
    cmdline: list[str] = []
    """More kernel parameters."""
    isolation: Literal["clone", "boot", "shared"] = "clone"
    """The state that a cell shares with others: that after boot, none, or all."""
    icount: bool = False
    """Count instructions instead of seconds."""
    userspace: Literal["initramfs", "host"] = "initramfs"
    """The lab's initramfs, or the host's userspace through virtme-ng."""
    limits: LimitsEntry = LimitsEntry()
    """The limits of its phases, on a host with KVM."""


class RequiresEntry(_Model):
    """The ``requires`` of a testcase file."""

    devices: list[str] = []
    """Emulated devices."""
    nodes: Annotated[int, Field(ge=1)] = 1
    """NUMA nodes."""
    cpus: Annotated[int, Field(ge=1)] = 1
    """vCPUs."""
    memory_mb: Annotated[int, Field(ge=0)] = 0
    """Memory, in MB."""
    swap: bool = False
    """Swap."""
    movable_mb: Annotated[int, Field(ge=0)] = 0
    """Memory in DIMMs, in MB."""
    slow_nodes: Annotated[int, Field(ge=0)] = 0
    """Nodes that are slower than the fastest."""
    config: list[str] = []
    """Kconfig symbols, without CONFIG_."""
    files: list[str] = []
    """Files that have to be there in the guest."""
    userspace: Literal["initramfs", "host"] | None = None
    """The userspace that it needs; by default either."""
    tree: TreeRange = ""
    """The kernel versions that it is for, such as ">=6.8,<7.3"."""


class HostEntry(_Model):
    """The ``host`` of a testcase file: a program of ``tools/testing/SUITE`` of the kernel tree."""

    suite: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """The folder below tools/testing."""
    program: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
    """The program that its Makefile makes."""
    make: list[Annotated[str, Field(pattern=r"^[A-Z0-9_]+=[A-Za-z0-9_]*$")]] = []
    """More words for make, such as NUMA=1."""
    says: list[Pattern] = []
    """The beginnings of lines that a whole run prints, in their order."""


class TestcaseFile(_Model):
    """The YAML file beside a testcase's C file or script."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    id: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]*[a-z]?$")]
    """A short name; no other testcase has it."""
    summary: str
    """A line for list."""
    kind: Literal["test", "control", "selftest"]
    """A control passes on every kernel; a selftest misbehaves on purpose."""
    walkers: list[str]
    """The kernel functions that it drives, of testcases/walkers.yaml."""
    requires: RequiresEntry = RequiresEntry()
    """Its needs of guest and kernel; elsewhere it is a skip."""
    settings: Annotated[list[str], Field(min_length=1)]
    """The hugepage settings under which it makes sense."""
    limit_s: Seconds
    """Its time on a host with KVM, in seconds."""
    args: list[str] = []
    """Its arguments."""
    upstream: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")] = ""
    """The program of the tree's mm selftests that it runs."""
    uid: Annotated[int, Field(ge=0, le=65534)] = 0
    """The user id of that program."""
    prepare: dict[Annotated[str, Field(pattern="^/")], str] = {}
    """Files that are written before that program starts."""
    host: HostEntry | None = None
    """The program of the tree's tools/testing that it runs, in no guest."""
    notices: list[str] = []
    """Kinds of splats that it brings about on purpose."""
    leaves: dict[Pattern, int | Literal["any"]] = {}
    """Accounts of the ledger that it does not give back: by how much, or any."""


class VmtestEntry(_Model):
    """One entry of ``testcases/run_vmtests.yaml``."""

    command: Annotated[str, Field(min_length=1)]
    testcase: str = ""
    reason: Annotated[str, Field(min_length=1)]
    tree: TreeRange = ""


class VmtestProgramEntry(_Model):
    """A program that a tree's Makefile builds and its script does not run."""

    program: Annotated[str, Field(min_length=1)]
    testcase: str = ""
    reason: Annotated[str, Field(min_length=1)]
    tree: TreeRange = ""


class VmtestsFile(_Model):
    """``testcases/run_vmtests.yaml``: what upstream's script runs and no testcase names."""

    others: list[VmtestEntry]
    programs: list[VmtestProgramEntry] = []


class WalkerEntry(_Model):
    """One entry of ``testcases/walkers.yaml``."""

    name: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
    file: Annotated[str, Field(pattern=r"\.c$")]
    through: list[str] = []
    unreachable: str = ""
    tree: TreeRange = ""


class WalkersFile(_Model):
    """``testcases/walkers.yaml``: the kernel functions that testcases drive."""

    one_mapping: Annotated[list[WalkerEntry], Field(min_length=1)]
    whole_folio: Annotated[list[WalkerEntry], Field(min_length=1)]
    other: list[WalkerEntry] = []


M = TypeVar("M", bound=_Model)


def validate(document: Document, model: type[M]) -> M | None:
    """Return the document as a model, or None with every mistake noted in the document."""
    if document.value is None:
        return None
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        for detail in error.errors():
            where = _location(document, detail["loc"])
            document.complain(where, _message(detail, where, model))
        return None


def _location(document: Document, parts: tuple[str | int, ...]) -> Location:
    """Return a location as the file has it; a key may be called as pydantic calls a type."""
    where: list[str | int] = []
    value: Any = document.value
    for part in parts:
        there = isinstance(value, dict) and part in value
        if there or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
        elif _is_union_tag(part):
            continue
        where.append(part)
    return tuple(where)


def _is_union_tag(part: str | int) -> bool:
    # pydantic adds the member of a union that it tried, such as "list[...]", to the location.
    return isinstance(part, str) and ("[" in part or part in {"constrained-str", "str"})


def _message(detail: ErrorDetails, where: Location, model: type[BaseModel]) -> str:
    name = ".".join(map(str, where)) or "the file"
    given: Any = detail["input"]
    if detail["type"] == "extra_forbidden":
        keys = _keys_at(model, where[:-1])
        return f"unknown key {where[-1]!r}{near_miss(str(where[-1]), keys)}"
    if detail["type"] == "missing":
        return f"the key {where[-1]!r} is missing"
    if detail["type"] == "string_type" and not isinstance(given, dict | list | None):
        return f"{name}: expected text, but YAML reads this as {given!r}: put it in quotes"
    shown = f", got {given!r}" if not isinstance(given, dict | list) else ""
    return f"{name}: {detail['msg'][0].lower()}{detail['msg'][1:]}{shown}"


def _keys_at(model: type[BaseModel], where: Location) -> list[str]:
    """Return the keys that a model allows at a location."""
    current: type[BaseModel] = model
    for part in where:
        if isinstance(part, int):
            continue
        annotation = current.model_fields[part].annotation
        inner = _model_in(annotation)
        if inner is None:
            return []
        current = inner
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        found = _model_in(argument)
        if found is not None:
            return found
    return None
