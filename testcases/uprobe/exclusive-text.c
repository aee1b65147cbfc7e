// SPDX-License-Identifier: GPL-2.0
/*
 * A uprobe in a private file mapping whose page is exclusive.
 *
 * A private mapping of a file, written to, so that the page is anonymous; made
 * exclusive; then a probe is put there.  On both kernels uprobes take the page
 * back and write the breakpoint; taking the probe away restores the byte; all
 * else is as it was.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch.h"
#include "rmaplab.h"

#define TEXT	"/tmp/uprobe-text"
#define OFFSET	0x40

static int make_file(void)
{
	int fd = open(TEXT, O_RDWR | O_CREAT | O_CLOEXEC, 0755);
	char page[PAGE_SIZE];

	memset(page, INSN_NOP, sizeof(page));
	require_errno(fd >= 0 && write(fd, page, PAGE_SIZE) == (ssize_t)PAGE_SIZE,
		      TEXT);
	return fd;
}

static int bytes_changed(const volatile unsigned char *text)
{
	unsigned int i;
	int n = 0;

	for (i = 1; i < PAGE_SIZE; i++)
		n += i != OFFSET && text[i] != INSN_NOP;
	return n;
}

static void test_uprobe(void)
{
	int ret, probe, dev = dmirror_open();
	volatile unsigned char *text;

	text = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		    MAP_PRIVATE, make_file(), 0);
	require_errno(text != MAP_FAILED, "mmap");
	text[0] = 1;
	watch_pfn(page_facts((void *)text).pfn);
	ret = dmirror_exclusive(dev, (void *)text, 1);
	require(!ret, "EXCLUSIVE: %s", strerror(-ret));
	/* Probes are not put where VM_WRITE is set. */
	require_errno(!mprotect((void *)text, PAGE_SIZE, PROT_READ | PROT_EXEC),
		      "mprotect(RX)");
	require(is_exclusive(pagemap_entry((void *)text)), "not exclusive");

	probe = uprobe_open(TEXT, OFFSET);
	require(probe >= 0, "perf_event_open: %s", strerror(-probe));
	check(!dmirror_has_exclusive(dev, (void *)text),
	      "the device still has access to probed text");
	check_eq("byte at the probe", text[OFFSET], INSN_BREAKPOINT);
	check_eq("byte written before", text[0], 1);
	check_eq("other bytes changed", bytes_changed(text), 0);
	check_eq("mapcount", page_facts((void *)text).count, 1);
	watch_pfn(page_facts((void *)text).pfn);
	close(probe);
	check_eq("byte after the probe", text[OFFSET], INSN_NOP);
	check_eq("byte written before", text[0], 1);
	check_rss_anon();
}

static void remove_file(void)
{
	require_errno(!unlink(TEXT), TEXT);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "uprobe", .run = test_uprobe, .after = remove_file },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
