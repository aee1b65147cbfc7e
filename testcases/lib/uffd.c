// SPDX-License-Identifier: GPL-2.0
/* userfaultfd write protection, and PAGEMAP_SCAN, which drives it as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/userfaultfd.h>

#include "rmaplab.h"

#define EVENT_WAIT_MS	5000

/* include/uapi/linux/userfaultfd.h, since 6.4 and 6.7 */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED	(1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC		(1 << 15)
#endif

#define MAX_REGIONS	512

static int uffd_register(void *addr, size_t size, uint64_t features)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | features,
	};
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)addr, .len = size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0)
		skip("userfaultfd: %s", strerror(errno));
	if (ioctl(uffd, UFFDIO_API, &api))
		skip("no userfaultfd write protection, features %#llx: %s",
		     (unsigned long long)features, strerror(errno));
	require_errno(!ioctl(uffd, UFFDIO_REGISTER, &reg), "UFFDIO_REGISTER");
	return uffd;
}

int uffd_open_wp(void *addr, size_t size)
{
	return uffd_register(addr, size, 0);
}

int uffd_open_wp_async(void *addr, size_t size)
{
	return uffd_register(addr, size, UFFD_FEATURE_WP_ASYNC |
			     UFFD_FEATURE_WP_UNPOPULATED);
}

void uffd_protect(int uffd, void *addr, size_t size, bool protect)
{
	struct uffdio_writeprotect wp = {
		.range = { .start = (uintptr_t)addr, .len = size },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	require_errno(!ioctl(uffd, UFFDIO_WRITEPROTECT, &wp),
		      "UFFDIO_WRITEPROTECT");
}

bool uffd_event(int uffd, const void *addr)
{
	struct pollfd pfd = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&pfd, 1, EVENT_WAIT_MS) != 1)
		return false;
	if (read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		return false;
	return msg.event == UFFD_EVENT_PAGEFAULT &&
	       (msg.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP) &&
	       (msg.arg.pagefault.address & ~(PAGE_SIZE - 1)) ==
	       (uintptr_t)addr;
}

bool is_uffd_wp(uint64_t pagemap)
{
	return pagemap & PM_UFFD_WP;
}

long pagemap_scan_written(void *addr, size_t size, bool protect)
{
	static struct scan_region region[MAX_REGIONS];
	struct scan_arg arg = {
		.size = sizeof(arg),
		.flags = SCAN_CHECK_WPASYNC |
			 (protect ? SCAN_WP_MATCHING : 0),
		.start = (uintptr_t)addr,
		.end = (uintptr_t)addr + size,
		.vec = (uintptr_t)region,
		.vec_len = MAX_REGIONS,
		.category_mask = SCAN_IS_WRITTEN,
		.return_mask = SCAN_IS_WRITTEN,
	};
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	long i, n, pages = 0;

	require_errno(fd >= 0, "/proc/self/pagemap");
	n = ioctl(fd, SCAN_PAGEMAP, &arg);
	if (n < 0 && errno == ENOTTY)
		skip("no PAGEMAP_SCAN");
	require_errno(n >= 0, "PAGEMAP_SCAN");
	require(arg.walk_end == arg.end, "PAGEMAP_SCAN stopped at %#llx",
		(unsigned long long)arg.walk_end);
	close(fd);
	for (i = 0; i < n; i++)
		pages += (region[i].end - region[i].start) / PAGE_SIZE;
	return pages;
}
