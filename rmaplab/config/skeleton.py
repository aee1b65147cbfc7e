# SPDX-License-Identifier: GPL-2.0
"""A new testcase: a C file that compiles and runs, and its YAML file, ready to be changed."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from rmaplab.config.catalogue import Catalogue
from rmaplab.errors import UserError

_NAME = re.compile(r"(?P<folder>[a-z0-9][a-z0-9-]*)/(?P<stem>[a-z0-9][a-z0-9-]*)")

_C = """\
// SPDX-License-Identifier: GPL-2.0
/*
 * {id}: what is done to the pages, in a line.
 *
 * What a correct kernel shows, and why.  What a broken one shows, and why.  The
 * code below asserts what the correct one does.
 *
 * What shows that the operation works in this guest at all.
 */
#include <sys/mman.h>

#include "rmaplab.h"

#define NR 8

static void test_{function}(void)
{{
	char *base = anon_map(NR * PAGE_SIZE, MADV_NOHUGEPAGE);
	struct page_facts p;
	int i;

	for (i = 0; i < NR; i++) {{
		page_fill(base + i * PAGE_SIZE, i);
		p = page_facts(base + i * PAGE_SIZE);
		print_page(i, &p);
		watch_pfn(p.pfn);
	}}
	/* Nobody else has a reference: no per-CPU batch on its way to the LRU. */
	drain_lru_caches();

	/* Here: what makes the kernel walk the reverse map. */

	check_eq("PTEs present", count_ptes(base, NR, is_present), NR);
	check_rss_anon();
	check_eq("pages intact", intact_pages(base, NR), NR);
}}

int main(void)
{{
	static const struct subtest tests[] = {{
		{{ .name = "{stem}", .run = test_{function} }},
	}};

	return ktap_run(tests, ARRAY_SIZE(tests));
}}
"""

_YAML = """\
# SPDX-License-Identifier: GPL-2.0
id: {id}
summary: what it shows, in a line
kind: test
walkers: []
requires:
  files: [/proc/kpagecount, /proc/kpageflags]
settings: [thp-never, thp-madvise]
limit_s: 10
args: []
"""


def create(name: str, catalogue: Catalogue, place: Path) -> tuple[Path, Path]:
    """Write the C file and the YAML file of a testcase below a folder, and return their paths.

    Raises UserError if the name is none, is taken, or is a folder's that testcases cannot be in.
    """
    match = _NAME.fullmatch(name)
    if match is None or match["folder"] == "lib":
        raise UserError(
            f"no name for a testcase: {name!r}",
            hint="a folder and a name of small letters, digits and dashes, such as reclaim/my-test",
        )
    source = place / "testcases" / f"{name}.c"
    if name in catalogue.testcases:
        other = catalogue.testcases[name].source
        raise UserError(f"{other} is there already", hint="take another name")
    made = (source, source.with_suffix(".yaml"))
    for path in made:
        if path.exists():
            raise UserError(f"{path} is there already", hint="take another name")
    known = {testcase.id for testcase in catalogue.testcases.values()}
    words = {
        "id": next(one for n in itertools.count(1) if (one := f"N{n}") not in known),
        "stem": match["stem"],
        "function": match["stem"].replace("-", "_"),
    }
    source.parent.mkdir(parents=True, exist_ok=True)
    for path, text in zip(made, (_C, _YAML), strict=True):
        path.write_text(text.format(**words), encoding="utf-8")
    return made
