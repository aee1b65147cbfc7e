# SPDX-License-Identifier: GPL-2.0
"""Get the mails of a series that is on a server: a public-inbox, a Patchwork, or a file.

What was fetched stays in the cache for a while, so that plan and the run that follows it read the
same mails, and is used, with a warning, if the server cannot be reached.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, unquote, urlsplit

from rmaplab.errors import InfraError, UserError
from rmaplab.log import log
from rmaplab.model.digest import digest_of
from rmaplab.source import patchwork, web
from rmaplab.source.mailbox import MAX_BYTES
from rmaplab.store.cache import Cache
from rmaplab.store.files import write_whole

ARCHIVE = "https://lore.kernel.org/all"
"""The public-inbox that is asked for a Message-ID; ``VARIABLE`` names another one."""
VARIABLE = "RMAPLAB_ARCHIVE"
SECTION = "mails"
FRESH_S = 600.0
"""How long an answer is taken from the cache without asking again."""
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,480}@[^<>\s]{1,480})>|([^<>\s/]{1,480}@[^<>\s/]{1,480})")
# The pages of a mail in public-inbox, behind its Message-ID.
_VIEWS = frozenset({"", "T", "t", "raw", "t.mbox.gz", "t.mbox", "t.atom", "#t"})
# Hosts that lead from a Message-ID to whichever archive has it.
_REDIRECTORS = frozenset(
    {"lore.kernel.org/r", "lkml.kernel.org/r", "patch.msgid.link", "msgid.link"}
)


@dataclass(frozen=True, slots=True)
class Place:
    """A series on a server: the address to fetch, and the mail that is meant of what is there.

    ``message_id`` is empty for a file of mails, and for a series of a Patchwork.
    """

    url: str
    message_id: str = ""
    patchwork: patchwork.Place | None = None


def place_of(spec: str, archive: str = "") -> Place | None:
    """Return where on a server a series is; None if ``spec`` is no Message-ID and no address.

    A Message-ID is one of the archive, by default that of the environment, else lore. Raises
    UserError for an address that cannot be one.
    """
    if match := _MESSAGE_ID.fullmatch(spec.strip()):
        return _in_archive(_base(archive), match[1] or match[2])
    if not spec.startswith(("http://", "https://")):
        return None
    web.check(spec)
    if found := patchwork.place_of(spec):
        return Place(spec, patchwork=found)
    parts = urlsplit(spec)
    names = parts.path.split("/")
    for number, name in enumerate(names):
        if "@" in (decoded := unquote(name)) and set(names[number + 1 :]) <= _VIEWS:
            base = "/".join(names[:number])
            if parts.netloc + base in _REDIRECTORS:
                return _in_archive(_base(archive), decoded)
            return _in_archive(f"{parts.scheme}://{parts.netloc}{base}", decoded)
    return Place(spec)


def qualified(spec: str, archive: str) -> str:
    """Return a spec that names the archive, too, if it is a Message-ID and one is given."""
    match = _MESSAGE_ID.fullmatch(spec.strip())
    if match is None or not archive:
        return spec
    return f"{_base(archive)}/{_quoted(match[1] or match[2])}/"


def mails(place: Place, cache: Cache) -> bytes:
    """Return the mails of a place, as an mbox that may be compressed.

    Raises UserError for a place that has none, InfraError if there is no connection and the cache
    has nothing.
    """
    get = partial(_get, cache=cache)
    if place.patchwork is not None:
        return patchwork.mails(place.patchwork, get)
    return get(place.url, message_id=place.message_id)


def _base(archive: str) -> str:
    """Return the address of an archive; raises UserError if it is none."""
    base = (archive or os.environ.get(VARIABLE, "") or ARCHIVE).rstrip("/")
    try:
        web.check(base)
    except UserError as error:
        raise UserError(
            f"the archive of Message-IDs is {error.message}",
            hint=f"--archive or {VARIABLE} names a public-inbox, such as {ARCHIVE}",
        ) from error
    return base


def _in_archive(base: str, message_id: str) -> Place:
    return Place(f"{base}/{_quoted(message_id)}/t.mbox.gz", message_id)


def _quoted(message_id: str) -> str:
    return quote(message_id, safe="@")


def _get(url: str, *, cache: Cache, message_id: str = "") -> bytes:
    """Return what a server has at an address, from the cache while it is fresh."""
    name = digest_of("mails", url)
    with cache.lock(SECTION, name):
        kept = _kept(cache, name)
        if kept is not None and 0 <= time.time() - kept[0] < FRESH_S:
            log.detail(f"{url} was fetched {_ago(kept[0])}")
            return kept[1]
        try:
            with log.step(f"fetching {url}"):
                answer = web.get(url, MAX_BYTES)
        except InfraError as error:
            if kept is None:
                raise
            log.warn(f"{error.message}: taking what was fetched {_ago(kept[0])}")
            return kept[1]
        body = _checked(url, answer, message_id)
        folder = cache.path(SECTION, name)
        folder.mkdir(exist_ok=True)
        write_whole(folder / "body", body)
        about = {"url": url, "at": time.time(), "digest": digest_of(body)}
        write_whole(folder / "about.json", json.dumps(about))
        return body


def _kept(cache: Cache, name: str) -> tuple[float, bytes] | None:
    """Return when the cache's answer was fetched, and it; None if there is none that is whole."""
    folder = cache.path(SECTION, name)
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        body = (folder / "body").read_bytes()
        return (float(about["at"]), body) if about["digest"] == digest_of(body) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _ago(at: float) -> str:
    minutes = max(0.0, time.time() - at) / 60
    return f"{minutes:.0f} minutes ago" if minutes < 120 else f"{minutes / 60:.0f} hours ago"


def _checked(url: str, answer: web.Answer, message_id: str) -> bytes:
    """Return the bytes of an answer that is one; raises UserError for what a server says instead.

    What it says is not shown: it may be anything.
    """
    if answer.status in {300, 404, 410}:
        if message_id:
            archive = url.rpartition("/t.mbox.gz")[0].rpartition("/")[0]
            raise UserError(
                f"{archive} has no mail with the Message-ID <{message_id}>",
                hint="is it mistyped, or of another list? --archive names another public-inbox",
            )
        raise UserError(f"{url}: there is nothing: the server answers {answer.status}")
    if answer.status != 200:
        raise UserError(
            f"{url}: the server answers {answer.status}",
            hint="save the mails of the series in a file, and name that",
        )
    if answer.is_page:
        raise UserError(
            f"{url} is a web page, no mails",
            hint="is it a public-inbox, and does it answer programs? "
            "or save the mails of the series in a file (b4 mbox), and name that",
        )
    return answer.body
