# SPDX-License-Identifier: GPL-2.0
"""Examples of each verb, for its --help and for the manual page; each is parsed by a test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import click

Example = tuple[str, str]
"""A command line without its program, and what it is good for."""

EXAMPLES: Mapping[str, tuple[Example, ...]] = {
    "ab": (
        ("ab configs/rmap.yaml --series my.mbox", "does a series fix or break something?"),
        (
            "ab configs/rmap.yaml --series git:~/linux#v6.12..HEAD --tree git:~/linux#v6.12",
            "the same for commits of a clone, on their own tree",
        ),
        (
            "ab configs/catalogue.yaml --series patches/v2 --sample pairwise --confirm 4",
            "a quick look: few cells, and what is worse is run four times more",
        ),
    ),
    "build": (("build configs/rmap.yaml --jobs 8", "build the kernels before the night"),),
    "ci": (
        ("ci configs/rmap.yaml", "in a job of GitHub Actions, GitLab CI or Jenkins"),
        (
            "ci configs/rmap.yaml --repo ~/linux --base origin/main --head topic",
            "the same by hand",
        ),
    ),
    "clean": (
        ("clean --only templates", "free the booted guests alone"),
        ("clean --keep-within 5G --yes", "what was not used for longest goes, down to 5 GB"),
    ),
    "completion": (
        ("completion bash >~/.local/share/bash-completion/completions/lab.py", "for good"),
    ),
    "doctor": (("doctor", "the first thing to run on a new host"),),
    "history add": (("history add reports/*", "runs of before there was a history"),),
    "history invalid": (
        ("history invalid 0123456789ab --reason 'races with kswapd'", "a false alarm"),
    ),
    "history marks": (("history marks", "what was marked, why and by whom"),),
    "history show": (
        ("history show", "all testcases on the kernels of the last run"),
        ("history show migrate/* --kernel '*' --places", "some, on all kernels, place by place"),
    ),
    "history valid": (("history valid 0123456789ab", "it was none"),),
    "inspect": (
        (
            "inspect base.q35.thp-never.exclusive.mapcount.1 --run reports/20260131-120000-rmap",
            "drgn's prompt on the memory of a guest that died",
        ),
    ),
    "list": (
        ("list testcases", "one line each"),
        ("list --walkers", "which testcases drive which function of the reverse map"),
    ),
    "man": (("man >rmaplab.1", "this page as a file"),),
    "mutants": (
        ("mutants configs/catalogue.yaml --named", "a quick look at all seeded bugs"),
        ("mutants configs/catalogue.yaml --only 'rmap/*'", "some, by all testcases"),
    ),
    "new subtests": (
        ("new subtests reports/20260131-120000-upstream", "after a run on a new tree"),
    ),
    "new testcase": (("new testcase reclaim/my-test", "the pair of files, ready to run"),),
    "parse": (
        ("parse console.log.xz", "the splats of any console log"),
        ("parse - --format json", "of standard input, for a program"),
    ),
    "patchcheck": (
        (
            "patchcheck configs/rmap.yaml --series my.mbox --filter 'testcase=migrate/*'",
            "is the series bisectable?",
        ),
    ),
    "plan": (
        (
            "plan configs/rmap.yaml --series my.mbox",
            "what an ab would run, how long, and all that is wrong",
        ),
    ),
    "report": (
        ("report reports/20260131-120000-rmap", "judge the saved evidence again"),
        (
            "report reports/20260131-120000-rmap --format mail --tester 'A <a@example.org>'",
            "a reply to the series",
        ),
    ),
    "resume": (("resume reports/20260131-120000-rmap", "after Ctrl-C, or a power cut"),),
    "run": (
        ("run configs/rmap.yaml", "the lab on its own kernels"),
        (
            "run configs/rmap.yaml --filter 'testcase=migrate/*,guest=q35' --repeat 20",
            "does it fail always?",
        ),
        ("run configs/rmap.yaml --tree dir:~/linux", "on a working tree, as it is now"),
    ),
    "schema": (("schema results", "for check-jsonschema or an editor"),),
    "shell": (("shell configs/rmap.yaml --series my.mbox", "look around on the patched kernel"),),
    "trees": (
        (
            "trees reports/20260131-120000-rmap reports/20260131-130000-mainline",
            "what 7.3 skips that passes on 6.12",
        ),
    ),
}
"""The examples by verb; ``new testcase`` for a verb of a group."""


def verbs(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield each verb by its words, those of groups instead of the groups."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from verbs(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def add_to(group: click.Group, program: str) -> None:
    """Add the examples to the help of all verbs."""
    for name, command in verbs(group):
        if found := EXAMPLES.get(name, ()):
            lines = [
                line for words, why in found for line in (f"  # {why}", f"  {program} {words}")
            ]
            command.epilog = "\n".join(("\b", "Examples:", *lines))
