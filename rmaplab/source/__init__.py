# SPDX-License-Identifier: GPL-2.0
"""Kernel trees and patch series: fetched, unpacked, applied."""
