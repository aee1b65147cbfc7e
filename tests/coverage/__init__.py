# SPDX-License-Identifier: GPL-2.0
"""What the testcases of whole labs reach, by recorded coverage."""
