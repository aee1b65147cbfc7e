# SPDX-License-Identifier: GPL-2.0
"""The named hugepage settings, as files to write in the guest.

Paths and words: Documentation/admin-guide/mm/transhuge.rst and hugetlbpage.rst of the kernel.
"""

from __future__ import annotations

from rmaplab.model import HugepageSettings, Write
from rmaplab.model.architecture import DEFAULT, architecture_of

_THP = "/sys/kernel/mm/transparent_hugepage"
# Folders of PMD-sized pages are named by their size, those of THPs and of hugetlb's pool alike.
_ROW = architecture_of(DEFAULT)
_PMD = f"hugepages-{_ROW.pmd_kb}kB"
_POOL = f"/sys/kernel/mm/hugepages/{_PMD}/nr_hugepages"


def _choose(path: str, word: str) -> Write:
    return Write(path, word, word)


# Scanning stopped: 0 pages a pass, hours between passes. khugepaged/defrag stays as it is.
_KHUGEPAGED_QUIET = (
    _choose(f"{_THP}/khugepaged/defrag", "0"),
    _choose(f"{_THP}/khugepaged/scan_sleep_millisecs", "4000000"),
)

SETTINGS: tuple[HugepageSettings, ...] = (
    HugepageSettings(
        "thp-never",
        "no transparent huge pages at all",
        (_choose(f"{_THP}/enabled", "never"), *_KHUGEPAGED_QUIET),
    ),
    HugepageSettings(
        "thp-madvise",
        "2 MB THP where a workload asks by MADV_HUGEPAGE",
        (
            _choose(f"{_THP}/enabled", "madvise"),
            _choose(f"{_THP}/defrag", "madvise"),
            *_KHUGEPAGED_QUIET,
        ),
    ),
    HugepageSettings(
        "thp-always",
        "2 MB THP wherever they fit",
        (
            _choose(f"{_THP}/enabled", "always"),
            _choose(f"{_THP}/defrag", "always"),
            *_KHUGEPAGED_QUIET,
        ),
    ),
    HugepageSettings(
        "mthp-64k",
        "64 KB mTHP always, PMD-sized THP never",
        (
            _choose(f"{_THP}/enabled", "never"),
            _choose(f"{_THP}/hugepages-64kB/enabled", "always"),
            _choose(f"{_THP}/{_PMD}/enabled", "never"),
            *_KHUGEPAGED_QUIET,
        ),
    ),
    HugepageSettings(
        "hugetlb-2m",
        "a hugetlb pool of 8 pages of 2 MB, no THP",
        (
            _choose(f"{_THP}/enabled", "never"),
            *_KHUGEPAGED_QUIET,
            _choose(_POOL, "8"),
        ),
    ),
    HugepageSettings(
        "khugepaged-eager",
        "THP always, and khugepaged scans without rest and collapses what it may",
        (
            _choose(f"{_THP}/enabled", "always"),
            _choose(f"{_THP}/defrag", "always"),
            _choose(f"{_THP}/khugepaged/defrag", "1"),
            _choose(f"{_THP}/khugepaged/pages_to_scan", "4096"),
            _choose(f"{_THP}/khugepaged/max_ptes_none", str(_ROW.pmd_pages - 1)),
            _choose(f"{_THP}/khugepaged/max_ptes_swap", str(_ROW.pmd_pages - 1)),
            _choose(f"{_THP}/khugepaged/alloc_sleep_millisecs", "10"),
            _choose(f"{_THP}/khugepaged/scan_sleep_millisecs", "10"),
        ),
    ),
    HugepageSettings("none", "nothing is set: for what hugepage settings mean nothing to", ()),
)


def by_name() -> dict[str, HugepageSettings]:
    """Return the settings by their names."""
    return {settings.name: settings for settings in SETTINGS}
