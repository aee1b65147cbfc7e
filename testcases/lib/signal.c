// SPDX-License-Identifier: GPL-2.0
/* What signal an access to memory gets. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>

#include "rmaplab.h"

static sigjmp_buf back;
static volatile int caught;

static void on_signal(int signal)
{
	caught = signal;
	siglongjmp(back, 1);
}

int access_signal(void *addr, bool write)
{
	struct sigaction action = { .sa_handler = on_signal }, segv, bus;
	volatile char *byte = addr;

	require_errno(!sigaction(SIGSEGV, &action, &segv), "sigaction");
	require_errno(!sigaction(SIGBUS, &action, &bus), "sigaction");
	caught = 0;
	if (!sigsetjmp(back, 1)) {
		if (write)
			*byte = 0;
		else
			(void)*byte;
	}
	require_errno(!sigaction(SIGSEGV, &segv, NULL), "sigaction");
	require_errno(!sigaction(SIGBUS, &bus, NULL), "sigaction");
	return caught;
}
