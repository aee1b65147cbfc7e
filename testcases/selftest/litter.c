// SPDX-License-Identifier: GPL-2.0
/*
 * A test that passes and leaves a file of 64 pages on tmpfs: no process of it
 * lives on, and the ledger has to find the memory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "rmaplab.h"

#define NR	64

static void test_litter(void)
{
	static char page[MAX_PAGE_SIZE];
	int fd = open("/tmp/litter", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	int i;

	require_errno(fd >= 0, "/tmp/litter");
	for (i = 0; i < NR; i++)
		require_errno(write(fd, page, PAGE_SIZE) == (ssize_t)PAGE_SIZE,
			      "write");
	close(fd);
}

int main(void)
{
	static const struct subtest tests[] = {
		{ .name = "litter", .run = test_litter },
	};

	return ktap_run(tests, ARRAY_SIZE(tests));
}
