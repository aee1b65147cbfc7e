# SPDX-License-Identifier: GPL-2.0
"""Name the files of a cell's folder (docs/run-folder.md)."""

from __future__ import annotations

TRANSCRIPT = "agent.jsonl"
"""The conversation with a cell's guest."""
CONSOLE_LOG = "console.log"
"""The guest's serial console."""
QEMU_LOG = "qemu.log"
"""QEMU's own standard error."""
BLOCKS = "blocks.bin"
"""The blocks of the kernel that a cell ran, if they were recorded."""
COUNTERS = "counters.json"
SPLATS = "splats.json"
REPRODUCE = "reproduce.sh"
MEMORY = "memory.elf.zst"
"""The guest's memory, if it was kept: an ELF core, compressed."""
MEMORY_REPORT = "postmortem.txt"
"""The text that drgn made of the memory."""
