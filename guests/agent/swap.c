// SPDX-License-Identifier: GPL-2.0
/* The request "swap": a zram device as swap. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/swap.h>
#include <unistd.h>

#include "event.h"
#include "guest.h"
#include "protocol.h"
#include "sizes.h"
#include "swap.h"
#include "util.h"

#define ZRAM_SYSFS	"/sys/block/zram0"
#define ZRAM_DEVICE	"/dev/zram0"

/* Returns what failed, with errno, or NULL. */
static const char *set_up_swap(long megabytes)
{
	char size[32];
	int fd, err;

	snprintf(size, sizeof(size), "%ldM", megabytes);
	if (!write_file(ZRAM_SYSFS "/disksize", size))
		return "disksize";
	fd = open(ZRAM_DEVICE, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return "open";
	err = write_swap_header(fd, (megabytes << 20) / page_size);
	close(fd);
	if (err) {
		errno = err;
		return "header";
	}
	return swapon(ZRAM_DEVICE, 0) ? "swapon" : NULL;
}

/* swap MB */
void swap_request(const struct request *rq)
{
	const char *step;
	long megabytes;
	int err;

	if (!parse_number(rq->word[1].s, 1 << 20, &megabytes) || !megabytes) {
		event_error(rq->id, "swap: not a number of megabytes");
		return;
	}
	errno = 0;
	step = set_up_swap(megabytes);
	err = errno;
	event_begin(EVENT_SWAPPED, rq->id);
	event_int(KEY_ERRNO, step ? (err ? err : EIO) : 0);
	event_string(KEY_STEP, step ? step : "");
	event_end();
}
