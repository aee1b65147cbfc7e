# SPDX-License-Identifier: GPL-2.0
"""Give all tests the same settings of hypothesis, and each its own consoles.

No setting depends on how busy the host is. A console is quiet for good once a pipe that it wrote to
was closed, so a test with a closed pipe would take the output of those after it.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from rmaplab.log import log

settings.register_profile("lab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile(
    "mutation",
    settings.get_profile("lab"),
    derandomize=True,
    database=None,
    max_examples=30,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile("lab")


@pytest.fixture(autouse=True)
def _consoles_of_its_own() -> None:
    log.configure(color="auto", verbose=0)
