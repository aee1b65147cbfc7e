// SPDX-License-Identifier: GPL-2.0
/* Pins on demand: mm/gup_test.c, whose header is not exported. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <unistd.h>

#include "rmaplab.h"

#define GUP_TEST	"/sys/kernel/debug/gup_test"
#define FOLL_WRITE	0x01	/* include/linux/mm_types.h */

struct gup_test {
	__u64 get_delta_usec;
	__u64 put_delta_usec;
	__u64 addr;
	__u64 size;
	__u32 nr_pages_per_call;
	__u32 gup_flags;
	__u32 test_flags;
	__u32 which_pages[8];
};

struct pin_longterm_test {
	__u64 addr;
	__u64 size;
	__u32 flags;
};

#define PIN_BASIC_TEST		_IOWR('g', 5, struct gup_test)
#define PIN_LONGTERM_TEST_START	_IOW('g', 7, struct pin_longterm_test)
#define PIN_LONGTERM_TEST_STOP	_IO('g', 8)
#define PIN_LONGTERM_TEST_READ	_IOW('g', 9, __u64)

int gup_open(void)
{
	int fd = open(GUP_TEST, O_RDWR | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT)
		skip("no " GUP_TEST);
	require_errno(fd >= 0, GUP_TEST);
	return fd;
}

long gup_pin_once(int gup, const void *addr, size_t size, bool write)
{
	struct gup_test arg = {
		.addr = (uintptr_t)addr,
		.size = size,
		.nr_pages_per_call = size / PAGE_SIZE,
		.gup_flags = write ? FOLL_WRITE : 0,
	};

	if (ioctl(gup, PIN_BASIC_TEST, &arg))
		return -errno;
	return arg.size / PAGE_SIZE;
}

int gup_pin(int gup, const void *addr, size_t size, unsigned int flags)
{
	struct pin_longterm_test arg = {
		.addr = (uintptr_t)addr,
		.size = size,
		.flags = flags,
	};

	return ioctl(gup, PIN_LONGTERM_TEST_START, &arg) ? -errno : 0;
}

int gup_read(int gup, void *buf)
{
	__u64 to = (uintptr_t)buf;

	return ioctl(gup, PIN_LONGTERM_TEST_READ, &to) ? -errno : 0;
}

void gup_unpin(int gup)
{
	require_errno(!ioctl(gup, PIN_LONGTERM_TEST_STOP),
		      "PIN_LONGTERM_TEST_STOP");
}
