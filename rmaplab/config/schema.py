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
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class KernelEntry(_Model):
    """One entry of a lab file's ``kernels``."""

    name: Name
    tree: str
    config: Annotated[list[str], Field(min_length=1)]
    series: str = ""
    accept: list[Pattern] = []


class ExpectEntry(_Model):
    """One entry of a lab file's ``expect``: a known failure."""

    testcase: list[Pattern] | Pattern
    kernel: Pattern = "*"
    guest: Pattern = "*"
    settings: Pattern = "*"
    device: Pattern = "*"
    verdict: Literal["fail"] = "fail"
    outcome: Literal["completed", "splat", "panic", "hang", "timeout", "boot-failed"] = "completed"
    splat: str = ""
    subtests: list[Pattern] = []
    inherited: bool = True
    tree: TreeRange = ""
    reason: Annotated[str, Field(min_length=1)]


class TestcaseEntry(_Model):
    """One entry of a lab file's ``testcases``: a name, a pattern or an id, by itself or as this."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    name: Pattern
    repeat: Repeat | None = None


class IncludeEntry(_Model):
    """One entry of a lab file's ``include``: what is not named is as in the lab."""

    kernel: Patterns = list(ANY)
    guest: Patterns | None = None
    settings: Patterns | None = None
    device: Patterns | None = None
    testcase: Patterns | None = None


class ExcludeEntry(_Model):
    """One entry of a lab file's ``exclude``: what is not named may be anything."""

    kernel: Patterns = list(ANY)
    guest: Patterns = list(ANY)
    settings: Patterns = list(ANY)
    device: Patterns = list(ANY)
    testcase: Patterns = list(ANY)
    reason: Annotated[str, Field(min_length=1)]


class AllowEntry(_Model):
    """One entry of a lab file's ``allow``: a known complaint that fails no cell."""

    pattern: Pattern
    kind: str = ""
    reason: Annotated[str, Field(min_length=1)]
    until: str | date = ""


class QuarantineEntry(_Model):
    """One entry of a lab file's ``quarantine``: failures that fail no run until a day."""

    testcase: Patterns
    guest: Patterns = list(ANY)
    settings: Patterns = list(ANY)
    device: Patterns = list(ANY)
    outcome: Annotated[
        list[Literal["completed", "timeout", "hang"]],
        BeforeValidator(_listed, json_schema_input_type=str | list[str]),
        Field(min_length=1),
    ] = ["completed"]
    reason: Annotated[str, Field(min_length=1)]
    owner: Annotated[str, Field(min_length=1)]
    until: Annotated[str, Field(min_length=1)] | date


_KEEP = MemoryDumpPolicy()


def _memories(value: object) -> object:
    return {"run": value} if isinstance(value, int) and not isinstance(value, bool) else value


class PostmortemEntry(_Model):
    """A lab file's ``postmortem``: how many memories are kept; a number is that of the run."""

    run: Annotated[int, Field(ge=0, le=1000)] = _KEEP.run
    testcase: Annotated[int, Field(ge=1, le=1000)] = _KEEP.testcase
    max_mb: Annotated[int, Field(ge=1, le=1 << 20)] = _KEEP.max_mb


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
    arch: Architecture = DEFAULT
    kernels: Annotated[list[KernelEntry], Field(min_length=1)]
    guests: Annotated[list[Pattern], Field(min_length=1)]
    settings: Annotated[list[Pattern], Field(min_length=1)]
    devices: Annotated[list[Pattern], Field(min_length=1)] | None = None
    testcases: Annotated[
        list[
            Annotated[
                TestcaseEntry,
                BeforeValidator(_named, json_schema_input_type=Pattern | TestcaseEntry),
            ]
        ],
        Field(min_length=1),
    ]
    repeat: Repeat = 1
    exclude: list[ExcludeEntry] = []
    include: list[IncludeEntry] = []
    cap: Annotated[int, Field(ge=1)] | None = None
    make_limit_s: Annotated[int, Field(ge=1, le=7 * 86400)] | None = None
    audit: bool = True
    ledger: bool = True
    coverage: bool | None = None
    expect: list[ExpectEntry] = []
    allow: list[AllowEntry] = []
    quarantine: list[QuarantineEntry] = []
    limits: dict[Pattern, Annotated[int | str, BeforeValidator(_limit)]] = {}
    postmortem: (
        Annotated[
            PostmortemEntry,
            BeforeValidator(_memories, json_schema_input_type=int | PostmortemEntry),
        ]
        | None
    ) = None


class NodeEntry(_Model):
    """A NUMA node of a guest profile."""

    memory_mb: Annotated[int, Field(ge=64, le=1 << 20)]
    cpus: list[Annotated[int, Field(ge=0)]] = []
    latency_ns: Annotated[int, Field(ge=0, le=65534)] = 0
    bandwidth_mb_s: Annotated[int, Field(ge=0, le=65534)] = 0


class DimmEntry(_Model):
    """A DIMM of a guest profile: whole memory blocks of its architecture, in MB."""

    memory_mb: Annotated[int, Field(ge=1, le=1 << 20)]
    node: Annotated[int, Field(ge=0)] = 0


class LimitsEntry(_Model):
    """Phase limits of a guest profile, in seconds on KVM."""

    boot_s: Seconds = 10.0
    ready_s: Seconds = 5.0
    silence_s: Seconds = 5.0


class GuestFile(_Model):
    """A guest profile."""

    summary: str
    arch: Architecture = DEFAULT
    machine: str
    cpu: str
    nodes: Annotated[list[NodeEntry], Field(min_length=1)]
    dimms: list[DimmEntry] = []
    reserved_mb: Annotated[int, Field(ge=0)] = 0
    devices: list[str] = []
    swap_mb: Annotated[int, Field(ge=0)] = 0
    cmdline: list[str] = []
    isolation: Literal["clone", "boot", "shared"] = "clone"
    icount: bool = False
    userspace: Literal["initramfs", "host"] = "initramfs"
    limits: LimitsEntry = LimitsEntry()


class RequiresEntry(_Model):
    """The ``requires`` of a testcase file."""

    devices: list[str] = []
    nodes: Annotated[int, Field(ge=1)] = 1
    cpus: Annotated[int, Field(ge=1)] = 1
    memory_mb: Annotated[int, Field(ge=0)] = 0
    swap: bool = False
    movable_mb: Annotated[int, Field(ge=0)] = 0
    slow_nodes: Annotated[int, Field(ge=0)] = 0
    config: list[str] = []
    files: list[str] = []
    userspace: Literal["initramfs", "host"] | None = None
    tree: TreeRange = ""


class HostEntry(_Model):
    """The ``host`` of a testcase file: a program of ``tools/testing/SUITE`` of the kernel tree."""

    suite: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    program: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*$")]
    make: list[Annotated[str, Field(pattern=r"^[A-Z0-9_]+=[A-Za-z0-9_]*$")]] = []
    says: list[Pattern] = []


class TestcaseFile(_Model):
    """The YAML file beside a testcase's C file or script."""

    __test__ = False  # not a test class, whatever pytest thinks of its name

    id: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]*[a-z]?$")]
    summary: str
    kind: Literal["test", "control", "selftest"]
    walkers: list[str]
    requires: RequiresEntry = RequiresEntry()
    settings: Annotated[list[str], Field(min_length=1)]
    limit_s: Seconds
    args: list[str] = []
    upstream: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$")] = ""
    uid: Annotated[int, Field(ge=0, le=65534)] = 0
    prepare: dict[Annotated[str, Field(pattern="^/")], str] = {}
    host: HostEntry | None = None
    notices: list[str] = []
    leaves: dict[Pattern, int | Literal["any"]] = {}


class VmtestEntry(_Model):
    """One entry of ``testcases/run_vmtests.yaml``."""

    command: Annotated[str, Field(min_length=1)]
    testcase: str = ""
    reason: Annotated[str, Field(min_length=1)]


class VmtestsFile(_Model):
    """``testcases/run_vmtests.yaml``: what upstream's script runs and no testcase names."""

    others: list[VmtestEntry]


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
