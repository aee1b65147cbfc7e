# SPDX-License-Identifier: GPL-2.0
"""Read the text of a log file, however it was packed: compressed, UTF-16, sent by mail.

What is no text is an error: a file that cannot be read must not look like a log without a splat.
"""

from __future__ import annotations

import binascii
import bz2
import codecs
import lzma
import quopri
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import zstandard

from rmaplab.errors import UserError

SNIFFED = 65_536
"""Bytes at the beginning of a file that decide what it is."""
MAX_LAYERS = 4
"""Layers of compression that are taken off."""
MAX_CONTROL = 0.3
"""The share of control bytes, and of bytes that are no UTF-8, in a text that a guest spoilt."""

_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
)
_NO_LOGS = (
    (b"\x7fELF", "an ELF file"), (b"%PDF", "a PDF file"), (b"\x89PNG", "a picture"),
    (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"), (b"PK\x03\x04", "a zip archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"), (b"LPKSHHRH", "a binary journal"),
    (b"KDUMP   ", "a memory dump"), (b"SQLite format 3", "a database"),
)  # fmt: skip
_TAR_MAGIC = b"ustar"
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_HEADER = re.compile(
    rb"^content-transfer-encoding:[ \t]*(?P<how>quoted-printable|base64)[ \t]*\r?$", re.I
)
_SOFT_END = re.compile(rb"=\r?$")
_ENCODED = re.compile(rb"=(?:3D|20|09|2E|22|26|C2=A0)")
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{4,76}={0,2}\s*")


def readable(chunks: Iterable[bytes], name: str = "the log") -> Iterator[bytes]:
    """Return the text of a log in UTF-8, in pieces, as it comes.

    Takes off gzip, xz, zstd and bzip2, UTF-16 and UTF-32, a byte order mark, and what mail programs
    encode. Raises UserError for what is no text, or is cut within its compression; ``name`` is what
    the message calls the file.
    """
    stream = iter(chunks)
    for _ in range(MAX_LAYERS):
        head, stream = _peek(stream)
        kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
        if kind is None:
            break
        stream = _unpacked(stream, kind, name)
    head, stream = _peek(stream)
    codec = _utf16_or_32(head)
    if codec:
        stream = _transcoded(stream, codec)
        head, stream = _peek(stream)
    _require_text(head, name)
    if head.startswith(codecs.BOM_UTF8):
        stream = _without_first(stream, len(codecs.BOM_UTF8))
    if _is_mail(head):
        stream = _mail_lines(stream)
    return stream


def _peek(stream: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes of a stream, and the stream with them."""
    taken: list[bytes] = []
    size = 0
    for chunk in stream:
        taken.append(chunk)
        size += len(chunk)
        if size >= SNIFFED:
            break
    return b"".join(taken)[:SNIFFED], chain(taken, stream)


def _unpacked(stream: Iterator[bytes], kind: str, name: str) -> Iterator[bytes]:
    """Decompress; a file may be several compressed ones behind one another."""
    makers: dict[str, Callable[[], object]] = {
        "gzip": lambda: zlib.decompressobj(wbits=31),
        "xz": lzma.LZMADecompressor,
        "bzip2": bz2.BZ2Decompressor,
        "zstd": lambda: zstandard.ZstdDecompressor().decompressobj(),
    }
    unpacker: object = None
    try:
        for chunk in stream:
            data = chunk
            while data:
                if unpacker is None:
                    if not data.strip(b"\x00"):
                        break  # padding behind the last one
                    unpacker = makers[kind]()
                yield unpacker.decompress(data)  # type: ignore[attr-defined]
                if not unpacker.eof:  # type: ignore[attr-defined]
                    break
                data, unpacker = unpacker.unused_data, None  # type: ignore[attr-defined]
    except (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError) as error:
        raise UserError(f"{name}: {kind}: {error}") from error
    if unpacker is not None:
        raise UserError(f"{name}: {kind}: the file ends within its compressed data")


def _utf16_or_32(head: bytes) -> str:
    """Return the codec of a text in UTF-16 or UTF-32, with or without a mark; empty if it is none.

    Without a mark, it has a zero byte beside nearly each other byte, on the same side.
    """
    for mark, codec in (
        (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if head.startswith(mark) and (mark[:1] != b"\xff" or len(head) < 4 or b"\x00" in head[:64]):
            return codec
    half = len(head) // 2
    if half < 8:
        return ""
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.9 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.9 * half and odd < 0.05 * half:
        return "utf-16-be"
    return ""


def _transcoded(stream: Iterator[bytes], codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)(errors="replace")
    for chunk in stream:
        yield decoder.decode(chunk).encode("utf-8", "replace")
    yield decoder.decode(b"", final=True).encode("utf-8", "replace")


def _require_text(head: bytes, name: str) -> None:
    """Raise UserError if a file begins like no text.

    A console may have garbage in it, of a serial line at another speed or of a guest that writes
    what it likes: so much of it that nothing could be read is no text.
    """
    for magic, what in _NO_LOGS:
        if head.startswith(magic):
            raise UserError(f"{name} is {what}, not a log")
    if head[257:262] == _TAR_MAGIC:
        raise UserError(f"{name} is a tar archive, not a log: unpack it first")
    control = len(_CONTROL.findall(head))
    odd = head.decode("utf-8", "replace").count("\ufffd")
    if control > MAX_CONTROL * len(head) or odd > MAX_CONTROL * len(head):
        raise UserError(f"{name} is no text: neither a log nor a log in a compression known here")


def _without_first(stream: Iterator[bytes], size: int) -> Iterator[bytes]:
    for chunk in stream:
        yield chunk[size:]
        size = max(size - len(chunk), 0)


def _is_mail(head: bytes) -> bool:
    """Tell if a text has parts that a mail program encoded."""
    lines = head.split(b"\n")
    if any(_HEADER.match(line) for line in lines):
        return True
    # A mail whose headers were left out: soft line ends, and an equals sign as =3D.
    soft = sum(_SOFT_END.search(line) is not None and 60 <= len(line) <= 78 for line in lines)
    return soft >= 2 and len(_ENCODED.findall(head)) >= 2


def _mail_lines(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Decode the encoded parts of a mail, or of several; leave everything else as it is."""
    how = b"quoted-printable"
    in_header = False
    pending = b""
    for line in _lines(stream):
        if match := _HEADER.match(line.rstrip(b"\n")):
            how, in_header = match["how"].lower(), True
        elif in_header:
            in_header = bool(line.strip())
        elif how == b"base64" and line.startswith((b"--", b"From ")):
            how = b""
        elif how == b"base64" and _BASE64.fullmatch(line):
            yield _from_base64(line)
            continue
        elif how == b"quoted-printable":
            pending += line
            if not _SOFT_END.search(line.rstrip(b"\n")) or len(pending) > SNIFFED:
                yield quopri.decodestring(pending)
                pending = b""
            continue
        yield line
    yield quopri.decodestring(pending)


def _from_base64(line: bytes) -> bytes:
    try:
        return binascii.a2b_base64(line)
    except binascii.Error:
        return line


def _lines(stream: Iterator[bytes]) -> Iterator[bytes]:
    pending = b""
    for chunk in stream:
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            yield line + b"\n"
        while len(pending) > SNIFFED:
            yield pending[:SNIFFED]
            pending = pending[SNIFFED:]
    if pending:
        yield pending
