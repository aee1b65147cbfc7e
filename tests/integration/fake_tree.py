# SPDX-License-Identifier: GPL-2.0
"""A kernel tree that builds in a second: the targets that the lab calls, and two C files.

Its objects hold what a kernel's hold too (paths, the build's time and user), so that they are
identical only if the lab's builds are. Files in the tree make a target misbehave: ``fail.TARGET``
makes it fail, ``wait.bzImage`` makes it wait until somebody makes the file ``go`` in its build
folder.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

MAKEFILE = r"""# SPDX-License-Identifier: GPL-2.0
VERSION = 6
PATCHLEVEL = 12
SUBLEVEL = 1
EXTRAVERSION =

objects := $(O)/mm/rmap.o $(O)/mm/ksm.o
image := $(O)/arch/x86/boot/bzImage
stamp := $(KBUILD_BUILD_TIMESTAMP) by $(KBUILD_BUILD_USER)@$(KBUILD_BUILD_HOST)

tinyconfig:
	@test ! -e fail.$@ || { echo "no $@ today"; exit 1; }
	@echo '# CONFIG_MODULES is not set' > $(O)/.config
	@echo 'CONFIG_64BIT=y' >> $(O)/.config

# As Kconfig does: an unknown symbol and one with an unmet dependency vanish without a word.
olddefconfig:
	@sed -i -e '/CONFIG_UNKNOWN=/d' -e '/CONFIG_NEEDY=/d' $(O)/.config

bzImage: $(image)
	@mkdir -p $(O)/include/config
	@echo $(VERSION).$(PATCHLEVEL).$(SUBLEVEL) > $(O)/include/config/kernel.release

$(image): $(objects)
	@test ! -e fail.bzImage || { echo "bzImage: no space in the sector"; exit 1; }
	@if test -e wait.bzImage; then \
		touch $(O)/waiting; until test -e $(O)/go; do sleep 0.02; done; fi
	@mkdir -p $(@D)
	@echo "  LD      $(@F)"
	@ld -r -o $@ $(objects)
	@cp $@ $(O)/vmlinux

$(O)/%.o: %.c include/fake.h
	@mkdir -p $(@D)
	@echo "  CC      $*.o"
	@cd $(O) && gcc -g -c -I../source/include -DSTAMP='"$(stamp)"' -o $*.o ../source/$*.c
	@printf 'deps_$*.o := \\\n  /kernel/source/include/fake.h \\\n' > $(@D)/.$(@F).cmd
"""
RMAP = """// SPDX-License-Identifier: GPL-2.0
#include "fake.h"

const char *rmap_built = __FILE__ " " STAMP;

int rmap(void)
{
\treturn FAKE;
}
"""
KSM = RMAP.replace("rmap", "ksm")
KCONFIG = """config NEEDY
\tbool "a symbol in need"
\tdepends on MISSING && 64BIT

config FAKE
\tbool "a symbol without needs"
"""
FILES: Mapping[str, str] = {
    "Makefile": MAKEFILE,
    "mm/rmap.c": RMAP,
    "mm/ksm.c": KSM,
    "mm/Kconfig": KCONFIG,
    "include/fake.h": "#define FAKE 1\n",
}

_GIT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A U Thor",
    "GIT_AUTHOR_EMAIL": "author@example.com",
    "GIT_COMMITTER_NAME": "A U Thor",
    "GIT_COMMITTER_EMAIL": "author@example.com",
}


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def git(repo: Path, *words: str) -> str:
    """Return git's output."""
    done = subprocess.run(
        ["git", "-C", str(repo), *words], env=_GIT, capture_output=True, check=True
    )
    return done.stdout.decode()


def make(root: Path, more: Mapping[str, str] | None = None) -> Path:
    """The tree, as a checkout with one commit that is tagged ``base``."""
    root.mkdir(parents=True)
    write(root, {**FILES, **(more or {})})
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--no-gpg-sign", "-m", "the tree")
    git(root, "tag", "base")
    return root


def change(root: Path, name: str, old: str, new: str, subject: str = "mm: a change") -> None:
    """Commit a change of one file."""
    path = root / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    git(root, "commit", "--quiet", "--no-gpg-sign", "-a", "-m", subject)


def series_of(root: Path, folder: Path) -> Path:
    """The commits since ``base`` as a folder of patches; the checkout goes back to ``base``."""
    git(root, "format-patch", "--quiet", "-o", str(folder), "base")
    git(root, "reset", "--quiet", "--hard", "base")
    return folder


def processes_with(word: str) -> Iterator[int]:
    """The processes whose command line holds a word, but for this one."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if word.encode() in line and int(folder.name) != os.getpid():
            yield int(folder.name)
