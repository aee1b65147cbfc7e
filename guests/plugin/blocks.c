// SPDX-License-Identifier: GPL-2.0
/*
 * A QEMU plugin that records which blocks of the guest's kernel were run.
 *
 * QEMU translates a block of code just before it runs it for the first time,
 * and a clone starts with no translation at all. So what is translated is what
 * the clone ran. Nothing is added to the translated code.
 *
 * The record is a table in shared memory of the lab's, whose descriptor QEMU
 * inherits: it is whole whenever and however QEMU ends. Each slot has a block,
 * in the order of chance; the head has the counts of what has no slot.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "qemu_plugin.h"

int qemu_plugin_version = PLUGIN_API;

/* The layout is rmaplab/guest/blocks.py's, too. */
#define MAGIC		0x314b4c4250414d52ULL	/* "RMAPBLK1" */
#define SLOTS		(1u << 18)
#define TRIES		64
#define SIZE_BITS	16
#define ADDRESS_BITS	(64 - SIZE_BITS)

struct record {
	uint64_t magic;
	/* Blocks that found no slot, and blocks that a slot cannot hold. */
	_Atomic uint64_t dropped;
	_Atomic uint64_t odd;
	uint64_t reserved;
	/* 0 if free, else address << SIZE_BITS | bytes. */
	_Atomic uint64_t slots[SLOTS];
};

static struct record *record;

/* Kernels of 64 bits have the upper half of the addresses. */
static bool is_kernel(uint64_t address)
{
	return (int64_t)address < 0;
}

static void keep(uint64_t block)
{
	uint64_t at = (block * 0x9e3779b97f4a7c15ULL) >> 32;
	unsigned int try;

	for (try = 0; try < TRIES; try++) {
		_Atomic uint64_t *slot = &record->slots[(at + try) % SLOTS];
		uint64_t found = atomic_load_explicit(slot, memory_order_relaxed);

		if (found == block)
			return;
		if (found == 0 && atomic_compare_exchange_strong(slot, &found, block))
			return;
		/* Another vCPU's thread may have been first, with the same. */
		if (found == block)
			return;
	}
	atomic_fetch_add(&record->dropped, 1);
}

static void translated(struct qemu_plugin_tb *tb)
{
	uint64_t begin = qemu_plugin_tb_vaddr(tb);
	size_t count = qemu_plugin_tb_n_insns(tb);
	struct qemu_plugin_insn *last;
	uint64_t size;

	if (!is_kernel(begin) || count == 0)
		return;
	last = qemu_plugin_tb_get_insn(tb, count - 1);
	size = qemu_plugin_insn_vaddr(last) + qemu_plugin_insn_size(last) - begin;
	if (size == 0 || size >> SIZE_BITS || (int64_t)begin >> (ADDRESS_BITS - 1) != -1)
		atomic_fetch_add(&record->odd, 1);
	else
		keep(begin << SIZE_BITS | size);
}

#if PLUGIN_API >= 7
static void on_translation(struct qemu_plugin_tb *tb, void *data)
{
	(void)data;
	translated(tb);
}
#else
static void on_translation(uint64_t id, struct qemu_plugin_tb *tb)
{
	(void)id;
	translated(tb);
}
#endif

static struct record *map(int fd)
{
	void *found = mmap(NULL, sizeof(struct record), PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);

	return found == MAP_FAILED ? NULL : found;
}

int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc, char **argv)
{
	const char *word = argc == 1 ? argv[0] : "";

	/* The lab asks for the version, to compile this file for it. */
	if (strcmp(word, "probe=on") == 0) {
		printf("plugin API %d\n", info->version.cur);
		fflush(stdout);
		_exit(0);
	}
	if (strncmp(word, "record=", 7) == 0)
		record = map(atoi(word + 7));
	if (!record || info->version.cur < PLUGIN_API) {
		fprintf(stderr, "blocks: %s is no record\n", word);
		return -1;
	}
	record->magic = MAGIC;
#if PLUGIN_API >= 7
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation, NULL);
#else
	qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
#endif
	return 0;
}
