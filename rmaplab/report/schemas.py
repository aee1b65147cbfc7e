# SPDX-License-Identifier: GPL-2.0
"""JSON Schemas of the files that people and other programs write and read."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel

from rmaplab.config import schema
from rmaplab.report.resultsschema import Results

MODELS: dict[str, type[BaseModel]] = {
    "results": Results,
    "lab": schema.LabFile,
    "guest": schema.GuestFile,
    "testcase": schema.TestcaseFile,
}
"""Each kind of file by its name."""
SHIPPED = Path(__file__).resolve().parent.parent / "schemas"
"""The folder of the schemas that editors read; they are in the wheel."""


def text(name: str) -> str:
    """Return the schema of a kind of file."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    made = MODELS[name].model_json_schema()
    return json.dumps({**head, **made}, indent=1, sort_keys=True) + "\n"


def file_of(name: str) -> Path:
    """Return the shipped file of a schema."""
    return SHIPPED / f"{name}.schema.json"
