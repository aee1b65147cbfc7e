# SPDX-License-Identifier: GPL-2.0
"""The tasks of the report, with their stacks: running, blocked, or the workload's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drgn import Object, Program, StackFrame
from drgn.helpers.linux.cgroup import cgroup_path
from drgn.helpers.linux.cpumask import for_each_online_cpu
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.sched import cpu_curr, task_state_to_char

CELL = b"/cell"
"""The workload's cgroup (guests/agent/cell.c)."""
_PREFIXES = ("/kernel/source/", "/kernel/build/", "../source/", "./")
MAX_TASKS = 64
MAX_FRAMES = 64


@dataclass(frozen=True, slots=True)
class Found:
    """A task of the report and why it is there."""

    task: Object
    pid: int
    comm: str
    state: str
    why: str


def that_matter(prog: Program) -> list[Found]:
    """Return the tasks that run, those that are blocked, and the workload's, in this order."""
    running = {
        cpu_curr(prog, cpu).value_(): f"running on CPU {cpu}" for cpu in for_each_online_cpu(prog)
    }
    found = []
    for task in for_each_task(prog, idle=True):
        state = task_state_to_char(task)
        reasons = [running.get(task.value_(), "")]
        if state == "D":
            reasons.append("blocked")
        if _is_workloads(task):
            reasons.append("the workload's")
        why = ", ".join(filter(None, reasons))
        if why:
            comm = task.comm.string_().decode("utf-8", "replace")
            found.append(Found(task, task.pid.value_(), comm, state, why))
    return sorted(found, key=lambda one: (one.task.value_() not in running, one.state != "D"))


def _is_workloads(task: Object) -> bool:
    path = cgroup_path(task.cgroups.dfl_cgrp)
    return path == CELL or path.startswith(CELL + b"/")


def describe(prog: Program, found: Found) -> Iterator[str]:
    """Yield a task as lines of text."""
    yield f"{found.comm}, PID {found.pid}, state {found.state}: {found.why}"
    try:
        trace = prog.stack_trace(found.task)
    except (ValueError, LookupError) as error:
        yield f"  no stack: {error}"
        return
    for number, frame in enumerate(trace):
        if number == MAX_FRAMES:
            yield f"  and {len(trace) - MAX_FRAMES} frames more"
            return
        if _is_nowhere(frame):
            # Beyond the kernel's entry the unwinder guesses.
            if not number:
                yield f"  in user space, at {frame.pc:#x}"
            return
        try:
            path, line, _ = frame.source()
            where = f" at {tree_path(path)}:{line}"
        except LookupError:
            where = ""
        inline = " (inlined)" if frame.is_inline else ""
        yield f"  {frame.name}{where}{inline}"


def _is_nowhere(frame: StackFrame) -> bool:
    """Return whether a frame's address belongs to no function of the kernel."""
    try:
        return not frame.is_inline and frame.symbol() is None
    except LookupError:
        return True


def tree_path(path: str) -> str:
    """Return a path of the build as a path relative to the tree."""
    for prefix in _PREFIXES:
        path = path.removeprefix(prefix)
    return path
