# SPDX-License-Identifier: GPL-2.0
"""Get a series from a Patchwork, by its REST API: what it knows of a series, then its mails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from rmaplab.errors import UserError
from rmaplab.log import log

Get = Callable[[str], bytes]
"""Gets what an address of a server has. Raises UserError and InfraError (source/web.py)."""
API = "api/1.2"
"""The version of the API that is asked: of 2019, and served by every Patchwork since 2.2."""
_SERIES = re.compile(r"(?P<root>.*?)/(?:api/(?:[\d.]+/)?)?series/(?P<id>\d{1,9})(?:/mbox)?")
_PATCH = re.compile(
    r"(?P<root>.*?)/(?:api/(?:[\d.]+/)?patches|patch)/(?P<id>\d{1,9})(?:/(?:mbox|raw))?"
)
_LIST = re.compile(r"(?P<root>.*?)/project/[^/]+/list")
_MAIL = re.compile(
    r"(?P<root>.*?)/project/[^/]+/(?P<kind>patch|cover)/(?P<id>[^/]+@[^/]+?)(?:/(?:mbox|raw))?"
)
_COVER = re.compile(r"(?P<root>.*?)/(?:api/(?:[\d.]+/)?covers|cover)/(?P<id>\d{1,9})(?:/mbox)?")


@dataclass(frozen=True, slots=True)
class Place:
    """A series, a patch or a cover letter of a Patchwork; ``kind`` is the API's word for it."""

    root: str
    kind: str
    id: str


def place_of(url: str) -> Place | None:
    """Return what of a Patchwork an address names; None if it has another form."""
    parts = urlsplit(url)
    site, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    if match := _LIST.fullmatch(path):
        found = parse_qs(parts.query).get("series", [""])[0]
        return Place(site + match["root"], "series", found) if found.isdecimal() else None
    if match := _MAIL.fullmatch(path):
        kind = "patches" if match["kind"] == "patch" else "covers"
        return Place(site + match["root"], kind, unquote(match["id"]))
    for form, kind in ((_SERIES, "series"), (_PATCH, "patches"), (_COVER, "covers")):
        if match := form.fullmatch(path):
            return Place(site + match["root"], kind, match["id"])
    return None


def mails(place: Place, get: Get) -> bytes:
    """Return the mails of a series, its cover letter first, as an mbox.

    Of a patch or a cover letter, those of the series that it belongs to. Raises UserError if the
    Patchwork has no such series or not all of its patches, or answers something else than its API
    says.
    """
    url = _api(place, "series", place.id)
    if place.kind != "series":
        found = _of_a_mail(place, get)
        if isinstance(found, str):  # a patch that belongs to no series
            return _mbox(place, found, get)
        url = _api(place, "series", str(found))
    about = _object(url, get)
    total, received = about.get("total"), len(_list(url, about, "patches"))
    if about.get("received_all") is False or (isinstance(total, int) and total != received):
        raise UserError(
            f"{url}: Patchwork has {received} of the {total} patches of this series",
            hint="name a Message-ID of the series, or save its mails in a file",
        )
    if not received:
        raise UserError(f"{url}: this series has no patch")
    pieces = []
    cover = about.get("cover_letter")
    if isinstance(cover, dict):
        pieces.append(_mbox(place, _text(url, cover, "mbox"), get))
    pieces.append(_mbox(place, _text(url, about, "mbox"), get))
    return b"".join(piece if piece.endswith(b"\n\n") else piece + b"\n\n" for piece in pieces)


def _of_a_mail(place: Place, get: Get) -> int | str:
    """Return the id of the series that a mail belongs to, else the address of the mail's mbox."""
    if "@" in place.id:
        url = f"{place.root}/{API}/{place.kind}/?msgid={quote(place.id, safe='@')}"
        found = _json(url, get)
        if not isinstance(found, list) or not found or not isinstance(found[0], dict):
            raise UserError(f"{url}: there is no such mail in this Patchwork")
        about = found[0]
    else:
        url = _api(place, place.kind, place.id)
        about = _object(url, get)
    series = _list(url, about, "series")
    if not series:
        return _text(url, about, "mbox")
    newest = series[-1]
    if not isinstance(newest, dict) or not isinstance(newest.get("id"), int):
        raise _odd(url, "series")
    log.info(f"{url}: it belongs to series {newest['id']}, which is taken as a whole")
    return int(newest["id"])


def _api(place: Place, kind: str, number: str) -> str:
    return f"{place.root}/{API}/{kind}/{number}/"


def _mbox(place: Place, url: str, get: Get) -> bytes:
    """Return the mails at an address of the Patchwork's own; raises UserError for another's."""
    asked, named = urlsplit(place.root), urlsplit(url)
    if asked.netloc != named.netloc or named.scheme not in {asked.scheme, "https"}:
        raise UserError(
            f"{place.root}: this Patchwork names an mbox of another server, {url!r}",
            hint="save the mails in a file, and name that",
        )
    return get(url)


def _json(url: str, get: Get) -> Any:
    try:
        return json.loads(get(url))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f"{url} does not answer as Patchwork's API does: {error}",
            hint="is it the address of a Patchwork? name a Message-ID or a file instead",
        ) from error


def _object(url: str, get: Get) -> dict[str, Any]:
    found = _json(url, get)
    if not isinstance(found, dict):
        raise _odd(url, "an object")
    return found


def _list(url: str, about: dict[str, Any], name: str) -> list[Any]:
    found = about.get(name)
    if not isinstance(found, list):
        raise _odd(url, name)
    return found


def _text(url: str, about: dict[str, Any], name: str) -> str:
    found = about.get(name)
    if not isinstance(found, str):
        raise _odd(url, name)
    return found


def _odd(url: str, what: str) -> UserError:
    return UserError(
        f"{url}: the answer has no {what} as Patchwork's API says",
        hint="name a Message-ID of the series, or save its mails in a file",
    )
