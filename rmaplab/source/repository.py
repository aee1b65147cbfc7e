# SPDX-License-Identifier: GPL-2.0
"""Repositories of this host, read by a git that has nothing of them but data.

A repository may be a stranger's, and its configuration, attributes and hooks name programs: filters
of a checkout, fsmonitor, diff drivers, ssh commands, aliases. So git gets a folder of the lab's own
as its GIT_DIR, with a configuration of the lab's own, and of the repository its refs, index and
objects, read-only, in the sandbox. A name of a program that nobody has thought of is then not read,
and a git that is led astray by an object has nothing in reach.
"""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rmaplab import proc
from rmaplab.build import harvest, sandbox
from rmaplab.build.bubblewrap import Box
from rmaplab.errors import BuildError, UserError
from rmaplab.source import objects
from rmaplab.source.git import NEUTRAL

LIMIT_S = 1800.0
"""The time of one command of git: exporting a kernel takes a quarter of a minute."""
ANSWER_BYTES = 1 << 30
"""The limit of what git answers: a range of patches, a list of files."""
MAX_STORES = 20
"""The object stores of a repository, its own and what its alternates name."""

_PLACE = "/repository"
_DATA = ("HEAD", "FETCH_HEAD", "ORIG_HEAD", "index")
"""The files of a checkout that git reads; ``_SHARED`` are those of all its checkouts."""
_SHARED = ("packed-refs", "shallow", "refs", "logs")
_BLOB = re.compile(rb"([0-9a-f]{40,64}) blob (\d{1,12})\n")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
# Values of a repository's configuration that name no program, and that git needs for its refs.
_KEPT = r"^(extensions\.objectformat|branch\..*\.(merge|remote)|remote\..*\.fetch)$"
# Exactly what was committed: no conversion, and nothing left out. The drivers are git's own for the
# headings of hunks, as kernel trees ask for them (.gitattributes).
_ATTRIBUTES = """\
* -text -eol -filter -ident -working-tree-encoding -export-ignore -export-subst !diff !merge
*.c diff=cpp
*.h diff=cpp
*.dtsi diff=dts
*.dts diff=dts
*.rs diff=rust
"""


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of this host: where its data are.

    ``checkout`` is its folder of files, None for a bare one. ``own`` has what belongs to this
    checkout, ``common`` what all checkouts of the repository share. ``stores`` are folders of
    objects, the repository's own first, and ``settings`` what is kept of its configuration.
    """

    place: Path
    checkout: Path | None
    own: Path
    common: Path
    stores: tuple[Path, ...]
    settings: tuple[tuple[str, str], ...]

    def commit(self, ref: str) -> str:
        """Return the commit that a name stands for, in full. Raises UserError for no commit."""
        done = self._git(
            "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"
        )
        found = done.text.strip()
        if not done.ok or not _COMMIT.fullmatch(found):
            raise UserError(f"{self.place} has no commit {ref!r}{_said(done.complaint)}")
        return found

    def count(self, commits: str, *options: str) -> int:
        """Return how many commits a range has. Raises UserError if there is no such range."""
        done = self._git("rev-list", "--count", *options, "--end-of-options", commits)
        if not done.ok:
            raise UserError(f"{self.place} has no range {commits!r}{_said(done.complaint)}")
        return int(done.answer)

    def fork(self, one: str, other: str) -> str:
        """Return the newest commit that two have in common; an empty string if none is there."""
        done = self._git("merge-base", one, other)
        found = done.text.strip()
        return found if done.ok and _COMMIT.fullmatch(found) else ""

    def difference(self, before: str, after: str) -> bytes:
        """Return what differs between two commits as one patch. Raises UserError."""
        done = self._git(
            "diff", "--binary", "--full-index", "--no-renames", "--src-prefix=a/",
            "--dst-prefix=b/", "--no-ext-diff", "--no-textconv", "--end-of-options", before, after,
        )  # fmt: skip
        if not done.ok:
            raise UserError(f"{self.place} cannot compare {before} and {after}"
                            f"{_said(done.complaint)}")  # fmt: skip
        return done.answer

    def patches(self, commits: str) -> bytes:
        """Return the patches of a range as an mbox. Raises UserError if there is no such range."""
        done = self._git(
            "format-patch", "--stdout", "--signature=0", "--src-prefix=a/", "--dst-prefix=b/",
            "--no-ext-diff", "--no-textconv", "--end-of-options", commits,
        )  # fmt: skip
        if not done.ok:
            raise UserError(f"{self.place} has no range {commits!r}{_said(done.complaint)}")
        return done.answer

    def tags(self, pattern: str = "*") -> list[str]:
        """Return the tags that a pattern matches, the highest version first."""
        done = self._git(
            "for-each-ref", "--sort=-version:refname", "--format=%(refname:lstrip=2)",
            "--end-of-options", "refs/tags",
        )  # fmt: skip
        if not done.ok:
            raise UserError(f"{self.place}: git cannot list its tags{_said(done.complaint)}")
        return [name for name in done.text.splitlines() if fnmatch.fnmatchcase(name, pattern)]

    def has(self, commit: str) -> bool:
        """Return whether the repository has a commit."""
        return self._git("cat-file", "-e", f"{commit}^{{commit}}").ok

    def is_ancestor(self, commit: str, ref: str) -> bool:
        """Return whether a ref has a commit, as far as the repository's history goes."""
        words = ("--is-ancestor", "--end-of-options", f"{commit}^{{commit}}", f"{ref}^{{commit}}")
        return self._git("merge-base", *words).ok

    def blobs(self, refs: Sequence[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Return the ids of files by their paths, for each ref that the repository has."""
        script = """\
refs=(); while [ "$1" != -- ]; do refs+=("$1"); shift; done; shift
for ref in "${refs[@]}"; do
  printf 'ref %s\\0' "$ref"; git ls-tree -r -z --full-tree "$ref^{commit}" -- "$@" || exit
done >/repository/out/answer
"""
        words = ["bash", "-c", script, "bash", *refs, "--", *(f":(literal){n}" for n in names)]
        found: dict[str, dict[str, str]] = {}
        with (
            tempfile.TemporaryDirectory(prefix="rmaplab-git-") as scratch,
            self._answered(words, Path(scratch)) as done,
        ):
            if not done.ok:
                raise UserError(f"{self.place}: git cannot list files{_said(done.complaint)}")
        current: dict[str, str] = {}
        for line in done.answer.decode("utf-8", "surrogateescape").split("\0"):
            about, tab, name = line.partition("\t")
            if not tab and line.startswith("ref "):
                current = found.setdefault(line.removeprefix("ref "), {})
            elif tab and about.split(" ")[1:2] == ["blob"]:
                current[name] = about.split(" ")[2]
        return found

    def contents(self, ids: Sequence[str]) -> dict[str, bytes]:
        """Return files by their ids, which are not checked."""
        script = "printf '%s\\n' \"$@\" | git cat-file --batch >/repository/out/answer"
        with (
            tempfile.TemporaryDirectory(prefix="rmaplab-git-") as scratch,
            self._answered(["bash", "-c", script, "bash", *ids], Path(scratch)) as done,
        ):
            if not done.ok:
                raise UserError(f"{self.place}: git cannot read files{_said(done.complaint)}")
        found: dict[str, bytes] = {}
        at = 0
        while match := _BLOB.match(done.answer, at):
            end = match.end() + int(match[2])
            found[match[1].decode()] = done.answer[match.end() : end]
            at = end + 1
        return found

    def files(self) -> list[str]:
        """Return the paths of a checkout that git tracks, or would track, sorted.

        Raises UserError if git cannot read all of it: a file that is left out is a wrong tree.
        """
        done = self._git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        if not done.ok or done.complaint:
            raise UserError(f"{self.place}: git cannot list its files{_said(done.complaint)}")
        names = done.answer.decode("utf-8", "surrogateescape").split("\0")
        return sorted(name for name in set(names) if name)

    def export(self, commit: str, folder: Path) -> str:
        """Write the files of a commit to the new folder ``tree`` in a folder of the lab's own.

        Returns the id of the commit's tree. Each file is held against the ids that the commit names
        it by, so that no repository can give other files under the name of a commit. Raises
        UserError if they differ, or if objects are missing.
        """
        script = """\
umask 022; mkdir /repository/out/tree || exit
{ echo "$1"; git ls-tree -r -d -t --full-tree "$1" |
  sed -n 's/^040000 tree \\([0-9a-f]*\\)\\t.*/\\1/p'; git rev-parse --verify "$1^{tree}"; } |
  git cat-file --batch >/repository/out/answer || exit
git archive --format=tar "$1" | tar -x --no-same-owner --no-same-permissions -C /repository/out/tree
"""
        words = ["bash", "-o", "pipefail", "-c", script, "bash", commit]
        with self._answered(words, folder) as done:
            if not done.ok:
                raise UserError(f"{self.place}: no export of {commit}{_said(done.complaint)}")
            proc.run(["chown", "-R", "-h", f"{os.geteuid()}:{os.getegid()}", done.out / "tree"])
            tree = objects.check(done.out / "tree", commit, done.answer, str(self.place))
            (done.out / "tree").rename(folder / "tree")
        return tree

    def _git(self, *words: str) -> _Done:
        script = 'exec git "$@" >/repository/out/answer'
        with (
            tempfile.TemporaryDirectory(prefix="rmaplab-git-") as scratch,
            self._answered(["sh", "-c", script, "sh", *words], Path(scratch)) as done,
        ):
            return done

    @contextmanager
    def _answered(self, words: Sequence[str], scratch: Path) -> Iterator[_Done]:
        """Run a command in the sandbox, with git's data in reach and a writable folder ``out``."""
        with tempfile.TemporaryDirectory(prefix=".git-", dir=scratch) as inner:
            out, own = Path(inner, "out"), Path(inner, "git")
            out.mkdir()
            own.mkdir()
            Path(inner).chmod(0o755)
            mounts = self._mounts(own)
            self._configure(own, mounts)
            form = sandbox.form_for([place for place in mounts.values() if place != own])
            pieces: list[bytes] = []
            environment = {
                **NEUTRAL,
                "GIT_DIR": f"{_PLACE}/git",
                "GIT_OBJECT_DIRECTORY": f"{_PLACE}/objects/0",
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": ":".join(
                    f"{_PLACE}/objects/{n}" for n in range(1, len(self.stores))
                ),
            }
            workdir = f"{_PLACE}/git"
            if self.checkout is not None:
                workdir = environment["GIT_WORK_TREE"] = f"{_PLACE}/tree"
            box = Box(mounts, {f"{_PLACE}/out": out}, workdir, environment)
            ended = sandbox.run_in(box, words, pieces.append, limit_s=LIMIT_S, form=form)
            said = ended.stopped or b"".join(pieces).decode("utf-8", "replace").strip()
            try:
                answer = harvest.data(out, "answer", limit=ANSWER_BYTES)
            except harvest.Absent:
                answer = b""
            except BuildError as error:
                raise UserError(f"{self.place}: {error.message}") from error
            yield _Done(ended.ok, answer, said[-2000:], out)

    def _mounts(self, own: Path) -> dict[str, Path]:
        """Return the repository's data by their paths in the sandbox; makes places for them."""
        mounts = {f"{_PLACE}/git": own}
        empty = own / "empty"
        empty.touch()
        data = [self.own / name for name in _DATA] + [self.common / name for name in _SHARED]
        data += sorted(self.own.glob("sharedindex.*"))
        for place in data:
            target = own / place.name
            if _is_kind(place, stat.S_ISDIR):
                target.mkdir()
            elif _is_kind(place, stat.S_ISREG):
                target.touch()
            else:
                continue
            mounts[f"{_PLACE}/git/{place.name}"] = place
        (own / "info").mkdir()
        exclude = self.common / "info/exclude"
        if _is_kind(exclude.parent, stat.S_ISDIR) and _is_kind(exclude, stat.S_ISREG):
            (own / "info/exclude").touch()
            mounts[f"{_PLACE}/git/info/exclude"] = exclude
        for number, store in enumerate(self.stores):
            mounts[f"{_PLACE}/objects/{number}"] = store
            if (store / _ALTERNATES).exists():  # they are among the stores, under other paths
                mounts[f"{_PLACE}/objects/{number}/{_ALTERNATES}"] = empty
        if self.checkout is not None:
            mounts[f"{_PLACE}/tree"] = self.checkout
        return mounts

    def _configure(self, own: Path, mounts: dict[str, Path]) -> None:
        """Write the lab's own configuration of git for the repository."""
        for name in ("objects", "refs"):
            (own / name).mkdir(exist_ok=True)
        if not (own / "HEAD").exists():
            (own / "HEAD").write_text("ref: refs/heads/none\n", encoding="utf-8")
        (own / "info/attributes").write_text(_ATTRIBUTES, encoding="utf-8")
        ignored = _ignored_by_the_user()
        if ignored is not None:
            (own / "ignored").touch()
            mounts[f"{_PLACE}/git/ignored"] = ignored
        settings = {
            "core.repositoryformatversion": "1",
            "core.bare": "false" if self.checkout is not None else "true",
            "core.fsmonitor": "false",
            "core.untrackedcache": "false",
            "core.hookspath": "/dev/null",
            "core.attributesfile": "/dev/null",
            "core.excludesfile": f"{_PLACE}/git/ignored" if ignored is not None else "/dev/null",
            "diff.renames": "true",
            **dict(self.settings),
        }
        text = "".join(_setting(key, value) for key, value in settings.items())
        (own / "config").write_text(text, encoding="utf-8", errors="surrogateescape")


_ALTERNATES = "info/alternates"


@dataclass(frozen=True, slots=True)
class _Done:
    """A command of git that has ended, with what it said; ``out`` is the folder that it wrote."""

    ok: bool
    answer: bytes
    complaint: str
    out: Path

    @property
    def text(self) -> str:
        return self.answer.decode("utf-8", "replace")


def is_checkout(place: Path) -> bool:
    """Return whether a folder is a checkout of git's: it has its own .git, of whatever kind."""
    return os.path.lexists(place / ".git")


def find(place: Path) -> Repository:
    """Return the repository of a folder. Raises UserError if it is none, or has an odd layout.

    A checkout's .git may name another folder, as git worktree makes it, if that folder names the
    checkout, too: a stranger's .git cannot name a repository of the user's.
    """
    dot = place / ".git"
    if _is_kind(dot, stat.S_ISDIR):
        own = common = dot
    elif _is_kind(dot, stat.S_ISREG):
        own, common = _worktree_of(place, dot)
    elif _is_bare(place):
        own = common = place
    else:
        raise UserError(
            f"{place} is not a git repository",
            hint="name the folder that has .git in it, which may be no link, or a bare repository",
        )
    checkout = None if own == place else place
    stores = tuple(_stores(common / "objects"))
    return Repository(place, checkout, own, common, stores, _kept_settings(common / "config"))


def _is_kind(path: Path, is_kind: Callable[[int], bool]) -> bool:
    """Return whether a file of a kind is at a path; a link is a link."""
    try:
        return is_kind(path.lstat().st_mode)
    except OSError:
        return False


def _is_bare(place: Path) -> bool:
    folders = all(_is_kind(place / name, stat.S_ISDIR) for name in ("objects", "refs"))
    return folders and _is_kind(place / "HEAD", stat.S_ISREG)


def _worktree_of(place: Path, dot: Path) -> tuple[Path, Path]:
    """Return the own and the common folder of a checkout that git worktree made."""
    named = _line_of(dot).removeprefix("gitdir: ")
    own = (place / named).resolve()
    back = (own / _line_of(own / "gitdir")).resolve()
    common = own.parent.parent
    is_ours = own.parent.name == "worktrees" and _is_bare(common)
    if not named or not is_ours or back != dot.resolve():
        raise UserError(
            f"{dot} names {named or 'nothing'}, which does not name {place} as its worktree",
            hint="name the repository itself, or make the folder with git worktree add",
        )
    return own, common


def _line_of(path: Path) -> str:
    """Return the first line of a small file; an empty string if there is none."""
    if not _is_kind(path, stat.S_ISREG) or path.stat().st_size > 1 << 16:
        return ""
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return "" if "\0" in text else text.split("\n", 1)[0]


def _stores(first: Path) -> Iterator[Path]:
    """Yield a folder of objects and those that its alternates name, each once."""
    waiting, seen = [first], set[Path]()
    while waiting:
        store = waiting.pop(0)
        resolved = store.resolve()
        if resolved in seen:
            continue
        if store.name != "objects" or not _is_kind(resolved / "pack", stat.S_ISDIR):
            raise UserError(
                f"{store} is named as a folder of git objects, and is none",
                hint=f"see {first / _ALTERNATES}",
            )
        seen.add(resolved)
        if len(seen) > MAX_STORES:
            raise UserError(f"{first} has more than {MAX_STORES} alternates")
        yield resolved
        waiting += [store / line for line in _lines_of(resolved / _ALTERNATES)]


def _lines_of(path: Path) -> list[str]:
    if not _is_kind(path, stat.S_ISREG) or path.stat().st_size > 1 << 16:
        return []
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    return [line for line in text.split("\n") if line and not line.startswith("#")]


def _kept_settings(config: Path) -> tuple[tuple[str, str], ...]:
    """Return the few settings of a repository that git needs and that name no program."""
    if not _is_kind(config, stat.S_ISREG):
        return ()
    pieces: list[bytes] = []
    box = Box({f"{_PLACE}/config": config}, environment={**NEUTRAL, "GIT_DIR": "/nonexistent"})
    words = ["git", "config", "--file", f"{_PLACE}/config", "--no-includes", "-z",
             "--get-regexp", _KEPT]  # fmt: skip
    form = sandbox.form_for([config])
    ended = sandbox.run_in(box, words, pieces.append, limit_s=LIMIT_S, form=form)
    said = b"".join(pieces).decode("utf-8", "surrogateescape")
    if ended.status not in (0, 1):  # 1: it has none of them
        raise UserError(f"{config}: git cannot read it{_said(said)}")
    pairs = (one.partition("\n") for one in said.split("\0") if one)
    return tuple((key, value) for key, _, value in pairs)


def _setting(key: str, value: str) -> str:
    """Return a setting as text of a configuration file (git-config(1))."""
    section, _, rest = key.partition(".")
    subsection, dot, name = rest.rpartition(".")
    quoted = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (subsection, value)]
    head = f'[{section} "{quoted[0]}"]' if dot else f"[{section}]"
    return f'{head}\n\t{name} = "{quoted[1]}"\n'.replace("\r", "")


def _ignored_by_the_user() -> Path | None:
    """Return the user's own file of what no repository should track, if there is one."""
    words = ["git", "config", "--global", "--path", "--get", "core.excludesFile"]
    said = proc.run(words, cwd=Path("/"), check=False).text.strip()
    usual = Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config", "git/ignore")
    path = (Path(said) if said else usual).expanduser()
    return path.resolve() if path.is_file() else None


def _said(complaint: str) -> str:
    return f": {complaint}" if complaint else ""
