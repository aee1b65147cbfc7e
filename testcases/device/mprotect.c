// SPDX-License-Identifier: GPL-2.0
/*
 * mprotect() of pages in device memory: what is PROT_READ is written neither by
 * the CPU (SIGSEGV) nor by the device (an error), and keeps its data; and
 * writable again, it is written by both.
 *
 * A device that writes to read-only memory of its own is left out:
 * hmm_vma_handle_pte() reports a private page without trying to make it
 * writable, and test_hmm has a WARN_ON() for that.
 */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "rmaplab.h"

#define NR	8
#define SIZE	(NR * 2 * PAGE_SIZE)

static char buf[MAX_PAGE_SIZE] __aligned(sizeof(uint64_t));

static void test_mprotect(void)
{
	struct spaced e = spaced_map_on_device(subtest_arg(), NR);
	int i, segv = 0, refused = 0, ret;

	page_fill(buf, 99);
	require_errno(!mprotect(e.base, SIZE, PROT_READ), "mprotect(R)");
	check_eq("pages on the device", spaced_on_device(&e), NR);
	for (i = 0; i < NR; i++)
		check(!(dmirror_prot(e.dev, spaced_page(&e, i)) & DMIRROR_WRITABLE),
		      "page %d: the device may write", i);
	if (subtest_arg() == DEVICE_COHERENT) {
		for (i = 0; i < NR; i++)
			refused += dmirror_write(e.dev, spaced_page(&e, i), buf) < 0;
		check_eq("device writes refused", refused, NR);
	}
	for (i = 0; i < NR; i++)
		segv += access_signal(spaced_page(&e, i), true) == SIGSEGV;
	check_eq("CPU writes that got SIGSEGV", segv, NR);
	check_eq("pages intact", spaced_intact(&e), NR);
	check_rss_anon();

	require_errno(!mprotect(e.base, SIZE, PROT_READ | PROT_WRITE),
		      "mprotect(RW)");
	for (i = 0; i < NR; i++) {
		ret = dmirror_write(e.dev, spaced_page(&e, i), buf);
		check(!ret, "page %d: device write: %s", i, strerror(-ret));
		check(page_intact(spaced_page(&e, i), 99),
		      "page %d: the CPU does not see the device's write", i);
		page_fill(spaced_page(&e, i), i);
	}
	check_eq("pages intact", spaced_intact(&e), NR);
	check_rss_anon();
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "private", .run = test_mprotect,
		  .arg = DEVICE_PRIVATE },
		{ .name = "coherent", .run = test_mprotect,
		  .arg = DEVICE_COHERENT },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
