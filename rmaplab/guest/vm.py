# SPDX-License-Identifier: GPL-2.0
"""A running guest: QEMU with its three channels, and the first sign of its death.

Four things can end a guest: its kernel panics (pvpanic's event, or the console's line if it dies
before the driver is there), it resets itself, QEMU dies, or the agent's channel closes. The first
of them settles ``death``, and every wait for the guest is a race against ``death``: a death is
known when it happens and not when a limit runs out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from qemu.qmp import Message, QMPClient, QMPError

from rmaplab import proc
from rmaplab.errors import InfraError
from rmaplab.evidence.ends import EndCause
from rmaplab.evidence.names import CONSOLE_LOG, QEMU_LOG
from rmaplab.guest import command, virtme
from rmaplab.guest.agent import Agent, AgentGone
from rmaplab.guest.command import Channels, Launch
from rmaplab.guest.console import Console, open_log, open_pipe
from rmaplab.guest.recording import recording
from rmaplab.guest.transcript import Transcript
from rmaplab.model import Guest

# The library logs what it also raises; the lab reports errors itself.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)

T = TypeVar("T")

QMP_LIMIT_S = 20.0
STUCK_QEMU = "it is stopped, or the host does not run it"
# A timer that is so many seconds late was not late by the host's load: the lab itself was stopped.
STOPPED_S = 5.0
# Seconds to wait after a death for a better witness, and for the console's last lines.
SETTLE_S = 1.0

# RAM is in files that both sides map, so only the devices' state goes through the stream; events,
# so that nobody has to poll for its end.
_CAPABILITIES = [{"capability": name, "state": True} for name in ("x-ignore-shared", "events")]


class Monitor(QMPClient):
    """QMP without the library's debug log, for which it renders each message that goes by."""

    def _cb_outbound(self, msg: Message) -> Message:
        return msg

    def _cb_inbound(self, msg: Message) -> Message:
        return msg


@dataclass(frozen=True, slots=True)
class GuestEnd:
    """The end of a guest: its cause, and the words of the witness (QMP, console, agent, QEMU)."""

    how: EndCause
    detail: str


class GuestDied(Exception):
    """The guest died while something was awaited of it."""

    def __init__(self, death: GuestEnd) -> None:
        super().__init__(death.detail)
        self.death = death


class LimitReached(Exception):
    """No answer came within a limit; ``how`` is the end that this means for the guest."""

    def __init__(self, how: EndCause, limit_s: float) -> None:
        super().__init__(f"no answer within {limit_s:g} s")
        self.how = how


class Vm:
    """A running guest. Made by ``running``; valid inside its block."""

    def __init__(self, guest: Guest, console: Console, agent: Agent, qmp: Monitor) -> None:
        self.guest = guest
        self.console = console
        self.agent = agent
        self.qmp = qmp
        self.death: asyncio.Future[GuestEnd] = asyncio.get_running_loop().create_future()
        self._migrated: asyncio.Future[str] | None = None
        self._stopped = False
        self._held_s = 0.0
        self._held_since: float | None = None
        self._released = asyncio.Event()
        self._released.set()

    def clock(self) -> float:
        """Return seconds of host time; the clock stands still while the guest is held."""
        held = time.monotonic() - self._held_since if self._held_since is not None else 0.0
        return time.monotonic() - self._held_s - held

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Stop the guest for the block, and with it every limit of what is awaited of it.

        The guest's own clock stands still, too. Raises InfraError if QEMU cannot.
        """
        self._held_since = time.monotonic()
        self._released.clear()
        try:
            await self._execute("stop")
            yield
            if not self.death.done():
                await self._execute("cont")
        finally:
            self._held_s += time.monotonic() - self._held_since
            self._held_since = None
            self._released.set()

    def died(self, how: EndCause, detail: str) -> None:
        """Note the guest's death; the first witness counts."""
        if not self.death.done():
            self.death.set_result(GuestEnd(how, detail))

    def fail(self, error: Exception) -> None:
        """Note that the lab can watch the guest no longer: awaiting the guest raises ``error``.

        A disk that is full while the console is logged is no death of the guest.
        """
        if not self.death.done():
            self.death.set_exception(error)
            self.death.exception()  # retrieved: nobody need await a guest that has said goodbye

    async def within(self, limit_s: float, how: EndCause, awaited: Coroutine[Any, Any, T]) -> T:
        """Return an answer of the guest, awaited for at most ``limit_s`` seconds of ``clock``.

        Raises GuestDied if the guest dies first, LimitReached with ``how`` at the limit, and the
        error of a watch that failed (``fail``).
        """
        task = asyncio.ensure_future(awaited)
        try:
            await self._until(task, self.clock() + limit_s)
            if task.done():
                try:
                    return task.result()
                except AgentGone as gone:
                    await asyncio.wait({self.death}, timeout=SETTLE_S)
                    self.died(EndCause.CLOSED, f"the agent's channel closed: {gone}")
            if self.death.done():
                raise GuestDied(self.death.result())
            raise LimitReached(how, limit_s)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, AgentGone, InfraError):
                await task

    async def _until(self, task: asyncio.Future[Any], ends: float) -> None:
        """Wait for a task or a death, until ``clock`` says ``ends``.

        Time in which the lab was stopped, by Ctrl-Z or with its host, does not count.
        """
        either: set[asyncio.Future[Any]] = {task, self.death}
        while True:
            left = max(0.0, ends - self.clock())
            await asyncio.wait(either, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            await self._released.wait()
            if task.done() or self.death.done():
                return
            late = self.clock() - ends
            if late > STOPPED_S:
                # The lab has yet to read its guest's words of meanwhile.
                self._held_s += late + SETTLE_S
            elif late >= 0:
                return

    async def last_words(self) -> None:
        """Wait for the console's last lines after a death, at most SETTLE_S seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.console.ended.wait(), SETTLE_S)

    async def save(self, state_fd: int) -> None:
        """Stop the guest and write its devices' state; its RAM stays in the RAM files.

        Raises InfraError if QEMU cannot.
        """
        await self._execute("stop")
        # QEMU's sandbox lets it start no helper to open the file, so it gets the open file.
        self.qmp.send_fd_scm(state_fd)
        await self._execute("getfd", {"fdname": "state"})
        await self._migrate("migrate", "fd:state")

    async def restore(self, inherited_fd: int) -> None:
        """Take over a saved state; the guest waits for ``go``. Raises InfraError if QEMU cannot."""
        self._stopped = True
        await self._migrate("migrate-incoming", f"fd:{inherited_fd}")

    async def go(self) -> None:
        """Let a restored guest run; a booted one runs already. Raises InfraError if QEMU cannot."""
        if self._stopped:
            await self._execute("cont")
            self._stopped = False

    async def qemu_answers(self) -> bool:
        """Return whether QEMU itself answers; one that is stopped says nothing of its guest."""
        try:
            await self._execute("query-status", limit_s=QMP_LIMIT_S)
        except InfraError:
            return False
        return True

    async def warm_up(self, limit_s: float) -> None:
        """Let a restored guest rehearse a sample, then stop it again until ``go``.

        TCG translates the code of a sample then, while other guests run. An error of the rehearsal
        is left out: it shows again in the guest's turn. Raises InfraError if QEMU cannot.
        """
        await self.go()
        with contextlib.suppress(GuestDied, LimitReached):
            await self.within(limit_s, EndCause.READY_LIMIT, self.agent.ask("rehearse"))
        if not self.death.done():
            await self._execute("stop")
            self._stopped = True

    async def dump(self, memory_fd: int, limit_s: float) -> None:
        """Write the memory of a stopped guest to an open file or pipe, as an ELF core.

        Physical memory as it is, without the guest's paging. The descriptor is closed, so that a
        pipe ends when QEMU is done. Raises InfraError if QEMU does not do it within the limit.
        """
        try:
            self.qmp.send_fd_scm(memory_fd)
        except (QMPError, OSError) as error:
            raise InfraError(f"QEMU takes no file: {error}") from error
        finally:
            os.close(memory_fd)
        await self._execute("getfd", {"fdname": "memory"})
        wanted: dict[str, object] = {"paging": False, "protocol": "fd:memory", "format": "elf"}
        await self._execute("dump-guest-memory", wanted, limit_s)

    async def _execute(
        self,
        name: str,
        arguments: dict[str, object] | None = None,
        limit_s: float = QMP_LIMIT_S,
    ) -> None:
        try:
            async with asyncio.timeout(limit_s):
                await self.qmp.execute(name, arguments)
        except (QMPError, OSError, TimeoutError) as error:
            raise InfraError(f"QEMU refused to {name}: {error}") from error

    async def _migrate(self, name: str, uri: str) -> None:
        self._migrated = migrated = asyncio.get_running_loop().create_future()
        await self._execute("migrate-set-capabilities", {"capabilities": _CAPABILITIES})
        await self._execute(name, {"uri": uri})
        either: set[asyncio.Future[Any]] = {migrated, self.death}
        await asyncio.wait(either, timeout=QMP_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        if not migrated.done() or migrated.result() != "completed":
            why = self.death.result().detail if self.death.done() else "it did not complete"
            raise InfraError(f"QEMU's {name} failed: {why}")

    async def watch_qmp(self, transcript: Transcript) -> None:
        """Turn QMP's events of a panic, reset or power-off into deaths."""
        while True:
            event: dict[str, Any] = dict(await self.qmp.events.get())
            name, facts = event["event"], event.get("data", {})
            transcript.say("qemu", name, facts=facts)
            if name == "MIGRATION" and facts.get("status") in {"completed", "failed"}:
                if self._migrated is not None and not self._migrated.done():
                    self._migrated.set_result(str(facts["status"]))
            elif name == "GUEST_PANICKED":
                self.died(EndCause.PANIC, "pvpanic: the kernel panicked")
            elif name == "SHUTDOWN" and facts.get("guest"):
                how = EndCause.RESET if facts.get("reason") == "guest-reset" else EndCause.POWEROFF
                self.died(how, f"the guest ended itself ({facts.get('reason')})")


@contextlib.asynccontextmanager
async def running(
    guest: Guest, launch: Launch, *, folder: Path, transcript: Transcript
) -> AsyncIterator[Vm]:
    """Start a guest, or restore one, which waits for ``go``; QEMU ends with the block.

    Evidence goes to ``folder``: console.log, qemu.log with QEMU's own words, and blocks.bin where
    what the guest runs is recorded. Raises InfraError if QEMU does not come up or does not take the
    saved state.
    """
    asyncio.get_running_loop().set_exception_handler(_leave_out_qemus_end)
    async with contextlib.AsyncExitStack() as stack:
        console_end, console_far = map(stack.enter_context, open_pipe())
        (agent_end, agent_far), (qmp_end, qmp_far) = _pair(stack), _pair(stack)
        far = (console_far, agent_far, qmp_far)
        handed = [end.fileno() for end in far]
        if launch.plugin is not None:
            # Entered before QEMU is started, so left when QEMU is gone.
            handed.append(stack.enter_context(recording(folder)).fd)
        build = virtme.qemu if launch.vng else command.qemu
        argv = build(guest, launch, Channels(*handed))
        state = stack.enter_context(launch.state.open("rb")) if launch.state else None
        if state is not None:
            handed.append(state.fileno())
        transcript.say("lab", "start", argv=argv)
        said = stack.enter_context((folder / QEMU_LOG).open("wb"))
        env = command.environment(os.environ)
        process = await stack.enter_async_context(
            proc.started(argv, pass_fds=handed, stderr=said, env=env)
        )
        for end in far:
            end.close()
        qmp = Monitor(guest.name)
        try:
            async with asyncio.timeout(QMP_LIMIT_S):
                await qmp.connect(qmp_end)
        except (QMPError, OSError, TimeoutError) as error:
            raise InfraError(f"QEMU did not start: {_words(folder, error)}") from error
        stack.push_async_callback(_disconnect, qmp)
        log_file = stack.enter_context(open_log(folder / CONSOLE_LOG, launch.boot_console))
        agent = await Agent.on(agent_end, transcript)
        stack.callback(agent.close)
        console = Console(console_end, log_file)
        stack.callback(console.close)
        vm = Vm(guest, console, agent, qmp)
        watches = (
            vm.console.watch(lambda line: vm.died(EndCause.PANIC, line)),
            vm.watch_qmp(transcript),
            _watch_exit(process, vm, folder),
        )
        async with background(vm, *watches) as (console_watch, *_):
            if state is not None:
                await vm.restore(state.fileno())
                state.close()
            yield vm
            console.hurry()
            # Nothing is lost that QEMU would write if it were asked to quit, which takes longer:
            # its channels, a saved state and the RAM files have all that the guest wrote.
            process.kill()
            # To the console's end: what the kernel said last is still on its way.
            await asyncio.wait({console_watch}, timeout=QMP_LIMIT_S)
        unread = 0 if vm.console.closed.is_set() else 1
        if dropped := vm.console.log.dropped or unread:
            transcript.say("lab", "console-cut", dropped=dropped)
        transcript.say("lab", "console", bytes=console.log.size)


def _leave_out_qemus_end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say nothing of a monitor that QEMU closed while nobody awaited it; report other errors."""
    if not isinstance(context.get("exception"), QMPError | EOFError | ConnectionError):
        loop.default_exception_handler(context)


def _pair(stack: contextlib.AsyncExitStack) -> tuple[socket.socket, socket.socket]:
    """Open a connected pair; returns the lab's end, which does not block, and QEMU's end."""
    near, far = socket.socketpair()
    near.setblocking(False)
    stack.callback(near.close)
    stack.callback(far.close)
    return near, far


async def _disconnect(qmp: Monitor) -> None:
    with contextlib.suppress(QMPError, OSError, EOFError):
        await qmp.disconnect()


async def _watch_exit(process: proc.Child, vm: Vm, folder: Path) -> None:
    status = await process.wait()
    # QMP's word about a reset or a power-off may still be on its way.
    await asyncio.wait({vm.death}, timeout=SETTLE_S / 4)
    said = (folder / QEMU_LOG).read_text(encoding="utf-8", errors="replace").strip()
    vm.died(
        EndCause.QEMU_EXIT, f"QEMU ended with status {status}: {said[-500:] or 'it said nothing'}"
    )


def _words(folder: Path, error: BaseException) -> str:
    said = (folder / QEMU_LOG).read_text(encoding="utf-8", errors="replace").strip()
    return said or str(error) or type(error).__name__


@contextlib.asynccontextmanager
async def background(
    vm: Vm, *coroutines: Coroutine[Any, Any, None]
) -> AsyncIterator[Sequence[asyncio.Future[None]]]:
    """Run tasks beside the block and cancel them at its end; yields them in their order.

    Raises the error of a task that failed: at once to what awaits the guest, else at the end of
    the block. An OSError, such as that of a full disk, is one of them.
    """
    tasks = [asyncio.ensure_future(_noting(vm, coroutine)) for coroutine in coroutines]
    try:
        yield tasks
    except Exception as error:
        failed = await _end_all(tasks)
        if failed is not None and failed is not error:
            raise failed from error
        raise
    except BaseException:
        await _end_all(tasks)
        raise
    failed = await _end_all(tasks)
    if failed is not None:
        raise failed


async def _noting(vm: Vm, coroutine: Coroutine[Any, Any, None]) -> None:
    try:
        await coroutine
    except (QMPError, EOFError):
        return  # QEMU is gone, which its exit says better
    except Exception as error:
        vm.fail(error)
        raise


async def _end_all(tasks: Sequence[asyncio.Future[None]]) -> Exception | None:
    """Cancel tasks and return the error of the first that failed, if one did."""
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return next((result for result in results if isinstance(result, Exception)), None)
