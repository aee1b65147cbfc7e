/* SPDX-License-Identifier: GPL-2.0 */
/* The pseudo file systems. */
#ifndef AGENT_MOUNT_H
#define AGENT_MOUNT_H

#include <stdbool.h>

/* Mount those that are not there; PID 1 of a fast guest finds none. */
void mount_all(bool is_init);

#endif /* AGENT_MOUNT_H */
