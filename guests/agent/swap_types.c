// SPDX-License-Identifier: GPL-2.0
/*
 * The swap types of device-exclusive entries: the numbers depend on the tree
 * and its configuration.  A child makes such an entry of its own through
 * lib/test_hmm and looks, the first time that an entry of unknown type is
 * counted.  So a cell that never uses the device never touches that code.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compiler.h"
#include "guest.h"
#include "sizes.h"
#include "swap_types.h"

#define DEVICE		DMIRROR_DEVICE "0"

static enum { UNKNOWN, KNOWN, NO_DEVICE, FAILED } state;
static uint32_t types;

uint32_t exclusive_types(void)
{
	return types;
}

/* Exits with 0 and the types in TO, or with 1. */
static void __noreturn look(int dev, volatile uint32_t *to)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char *page = mmap(NULL, 4 * page_size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct exclusive_sample sample;

	if (dev < 0 || pagemap < 0 || page == MAP_FAILED)
		_exit(1);
	madvise(page, 4 * page_size, MADV_NOHUGEPAGE);
	/* dmirror's invalidation also drops the page behind a range. */
	page += page_size;
	if (sample_exclusive(dev, pagemap, page, page + 2 * page_size, &sample))
		_exit(1);
	*to = exclusive_types_in(&sample);
	_exit(!*to);
}

static void learn(void)
{
	volatile uint32_t *shared;
	int status = 1;
	pid_t pid;

	shared = mmap(NULL, page_size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return;
	pid = fork();
	/* The device mirrors the process that opens it: not the agent. */
	if (!pid)
		look(open(DEVICE, O_RDWR | O_CLOEXEC), shared);
	if (pid > 0 && waitpid(pid, &status, 0) == pid && !status) {
		types = *shared;
		state = KNOWN;
	}
	munmap((void *)shared, page_size);
}

void exclusive_types_learn(void)
{
	if (state != UNKNOWN)
		return;
	state = FAILED;
	if (access(DEVICE, F_OK))
		state = NO_DEVICE;
	else
		learn();
}

int exclusive_types_state(void)
{
	switch (state) {
	case KNOWN:
		return 0;
	case NO_DEVICE:
		return -ENODEV;
	case FAILED:
		return -EIO;
	default:
		return -EAGAIN;
	}
}
