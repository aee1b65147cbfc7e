# SPDX-License-Identifier: GPL-2.0
"""A real public-inbox on a free port of this host, with mails of a test's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

ADDRESS = "linux-mm@example.org"
PROGRAMS = ("public-inbox-init", "public-inbox-httpd")


# Delivering each mail by public-inbox-mda takes a second: this is what its importer does.
_IMPORT = """
use PublicInbox::Config; use PublicInbox::InboxWritable;
my $inbox = PublicInbox::Config->new->lookup_name('linux-mm') or die 'no inbox';
open(my $box, '<', $ARGV[0]) or die $!;
PublicInbox::InboxWritable->new($inbox)->import_mbox($box, 'mboxrd');
"""


def is_installed() -> bool:
    return all(map(shutil.which, PROGRAMS))


def make(folder: Path, mails: Sequence[bytes]) -> None:
    """Make an inbox with mails."""
    folder.mkdir()
    env = _environment(folder)
    words = ["public-inbox-init", "-V2", "-j", "1", "linux-mm", str(folder / "inbox"),
             "http://localhost/linux-mm", ADDRESS]  # fmt: skip
    subprocess.run(words, env=env, check=True, capture_output=True)
    box = folder / "mails"
    box.write_bytes(b"".join(mails))
    subprocess.run(["perl", "-e", _IMPORT, str(box)], env=env, check=True, capture_output=True)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve an inbox; the server gets a socket that listens, so nobody waits for its start."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        listening.setblocking(False)
        number = listening.fileno()
        # The protocol of systemd's sockets: descriptor 3, and the process that it is for.
        script = f'exec 3<&{number}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        server = subprocess.Popen(
            ["bash", "-c", script, "bash", "public-inbox-httpd", "-W0"], env=_environment(folder),
            pass_fds=[number], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/linux-mm"
        finally:
            server.terminate()
            server.wait()


def _environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(folder),
        "PI_CONFIG": str(folder / "config"), "LC_ALL": "C.UTF-8",
    }  # fmt: skip
