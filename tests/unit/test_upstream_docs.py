# SPDX-License-Identifier: GPL-2.0
"""The table in docs/upstream.md is what the metadata says."""

from __future__ import annotations

from rmaplab.config.catalogue import Catalogue
from rmaplab.report import upstream


def test_the_table_in_the_docs_is_the_commands() -> None:
    catalogue = Catalogue()
    table = upstream.markdown(upstream.rows(catalogue.vmtests, catalogue.testcases))
    text = (catalogue.root / "docs/upstream.md").read_text(encoding="utf-8")
    _, _, rest = text.partition("<!-- table -->\n")
    shown, _, _ = rest.partition("<!-- end of table -->")
    assert shown == table, "put what ./lab.py list --upstream prints between the marks"
