# SPDX-License-Identifier: GPL-2.0
"""Lab files, guest profiles, testcase metadata: from YAML to the model."""
