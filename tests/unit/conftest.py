# SPDX-License-Identifier: GPL-2.0
"""Settings of hypothesis for all tests: none that depends on how busy the host is."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

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
