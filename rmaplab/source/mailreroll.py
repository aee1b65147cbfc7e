# SPDX-License-Identifier: GPL-2.0
"""Ask b4 which version of a series is the newest, and what a partial one is made of.

b4 is what maintainers choose with. It takes the newest date for the newest version whoever sent it,
joins two series of one version and rewrites texts; so it sees the mails of the author alone, each
as a header and a diff of one line, and says which they are. Its answer is held against the numbers.
"""

from __future__ import annotations

import email.utils
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rmaplab import proc
from rmaplab.errors import InfraError, UserError
from rmaplab.source.mail import Mail
from rmaplab.source.mailaccept import label
from rmaplab.source.mailthread import Key, Thread, name_of

_LIMIT_S = 60.0
_A_MAIL_S = 0.2
_CHOSEN = re.compile(rb"^\+\+\+ b/mail-(\d+)$", re.M)


def newest(thread: Thread) -> tuple[Mail, ...]:
    """Return the patches of a thread's newest version; some may be an older version's.

    Raises UserError if its number and b4, which goes by the dates, disagree.
    """
    mails = [mail for some in thread.versions.values() for mail in some]
    ranks = {key: rank for rank, key in enumerate(thread.versions, start=1)}
    chosen = _ask(thread.origin, mails, ranks)
    found = {_key(mail) for mail in chosen}
    if not chosen or thread.newest not in found:
        raise UserError(
            f"{thread.origin}: {name_of(thread.newest)} is the highest version, but "
            + (
                f"{name_of(max(found))} is the latest by its date" if found else "b4 finds no patch"
            ),
            hint=f"name the one that is meant, such as --accept {label(thread.newest[0])}",
        )
    return chosen


def _key(mail: Mail) -> Key:
    return mail.heading.version, mail.heading.is_resent


def _ask(origin: str, mails: Sequence[Mail], ranks: dict[Key, int]) -> tuple[Mail, ...]:
    """Return the patches that b4 am chooses of some mails, in their order."""
    names = {mail.id: f"mail-{number}@rmaplab" for number, mail in enumerate(mails) if mail.id}
    with tempfile.TemporaryDirectory(prefix="rmaplab-b4-") as scratch:
        folder = Path(scratch)
        box = folder / "thread"
        with box.open("wb") as file:
            for number, mail in enumerate(mails):
                file.write(_thin(number, mail, ranks[_key(mail)], names))
        env = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8",
               "HOME": scratch, "GIT_CONFIG_NOSYSTEM": "1",
               "GIT_CEILING_DIRECTORIES": str(folder.parent)}  # fmt: skip
        try:
            done = proc.run(
                ["b4", "--offline-mode", "--no-stdin", "-c", "b4.attestation-policy=off", "am",
                 "--use-local-mbox", box, "--outdir", scratch, "--no-add-trailers", "--no-parent"],
                check=False, timeout_s=_LIMIT_S + _A_MAIL_S * len(mails), cwd=folder, env=env,
            )  # fmt: skip
        except InfraError as error:
            raise UserError(
                f"{origin}: b4 cannot say which version is meant: {error.message}",
                hint="name the version, such as --accept v2",
            ) from error
        boxes = sorted(folder.glob("*.mbx"))
        if not boxes:
            last = (done.complaint.splitlines() or ["it said nothing"])[-1]
            raise UserError(f"{origin}: b4 found no series in it: {last}")
        return tuple(mails[int(n)] for n in _CHOSEN.findall(boxes[0].read_bytes()))


def _thin(number: int, mail: Mail, rank: int, names: dict[str, str]) -> bytes:
    """Return a mail as b4 has to see it: its place in the thread, and a diff of one line."""
    own = mail.heading
    counted = f" {own.number}/{own.length}" if own.number is not None else ""
    lines = [
        "From mboxrd@z Thu Jan  1 00:00:00 1970",
        "From: author <author@rmaplab>",
        f"Subject: [PATCH v{rank}{counted}] mail {number}",
        # Git gives a mail the date of its commit.
        f"Date: {email.utils.formatdate(mail.date or 0 if mail.is_sent else rank)}",
        f"Message-ID: <{names.get(mail.id, f'mail-{number}@rmaplab')}>",
    ]
    if mail.parent in names:
        lines.append(f"In-Reply-To: <{names[mail.parent]}>")
    if mail.has_diff:
        name = f"mail-{number}"
        lines += ["", "text", "---", f" {name} | 1 +", "",
                  f"diff --git a/{name} b/{name}", "new file mode 100644",
                  "index 0000000..1111111", "--- /dev/null", f"+++ b/{name}",
                  "@@ -0,0 +1 @@", "+text", "-- ", "2.39"]  # fmt: skip
    else:
        lines += ["", "cover"]
    return "\n".join([*lines, "", ""]).encode()
