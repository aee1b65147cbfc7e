# SPDX-License-Identifier: GPL-2.0
"""Hold the testcases of whole labs against recorded coverage."""
