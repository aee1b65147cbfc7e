/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What this kernel does that others do otherwise: seen, and not concluded from
 * a version.  The agent's ready event says what was seen.
 */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

#include <stdbool.h>

struct probes {
	/* [vvar] maps pages that have a mapcount, as other mappings do. */
	bool vvar_counted;
	/* kpageflags says KPF_NOPAGE of a hole, or no flags: neither without one. */
	bool hole_is_nopage, hole_has_no_flags;
};

extern struct probes probes;

void probe_init(void);

#endif /* AGENT_PROBE_H */
