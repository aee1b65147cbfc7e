// SPDX-License-Identifier: GPL-2.0
/*
 * The agent's event loop: requests of the lab's, the workload's output and end,
 * its marks for audits, limits and heartbeats.  It never waits for one of them
 * alone.
 */
#define _GNU_SOURCE
#include <poll.h>

#include "audit.h"
#include "console.h"
#include "event.h"
#include "init.h"
#include "loop.h"
#include "port.h"
#include "protocol.h"
#include "serve.h"
#include "workload.h"

static void serve_requests(void)
{
	static char line[MAX_REQUEST];

	if (port_line_too_long())
		event_error(NO_ID, "a request longer than 64 KB");
	while (port_line(line, workload_running() ? is_urgent : NULL))
		serve(line);
}

/* What there is to do for the port without reading; true: there is input. */
static bool port_wants_service(void)
{
	if (workload_is_mute())
		return false;
	/*
	 * Only write here: a request that was read now would lie in the buffer,
	 * its edge taken, while we sleep.
	 */
	port_write();
	return port_has_input();
}

static void wait_for_events(void)
{
	enum { PORT, CHILDREN, OUT, ERR, AUDIT, NR_FDS };
	bool input = port_wants_service();
	struct workload_fds fds = workload_fds();
	struct pollfd pfd[NR_FDS] = {
		[PORT] = { .events = POLLIN },
		[CHILDREN] = { .fd = fds.children, .events = POLLIN },
		[OUT] = { .fd = fds.out, .events = POLLIN },
		[ERR] = { .fd = fds.err, .events = POLLIN },
		[AUDIT] = { .fd = audit_fd(), .events = POLLIN },
	};

	pfd[PORT].fd = workload_is_mute() ? -1 : port_poll_fd();
	poll(pfd, NR_FDS, input ? 0 : workload_sleep_ms());
	if (pfd[AUDIT].revents & POLLIN)
		audit_serve_marks(workload_id());
	else if (pfd[AUDIT].revents)
		audit_close();
	workload_child_event();
}

/*
 * What the lab hears from now on, the agent has not said: so no end mark of the
 * workload's may come any more.
 */
static void __noreturn give_up(void)
{
	kmsg_mark(MARK_GONE, NULL);
	power_off(1);
}

void __noreturn loop_run(void)
{
	bool was_running;

	for (;;) {
		if (!workload_is_mute()) {
			port_service();
			if (port_is_gone())
				give_up();
			serve_requests();
		}
		was_running = workload_running();
		workload_advance();
		/* Requests that came meanwhile are served before it sleeps. */
		if (!was_running || workload_running())
			wait_for_events();
	}
}
