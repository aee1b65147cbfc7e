/* SPDX-License-Identifier: GPL-2.0 */
/* The virtio-serial port to the lab: lines in, lines out. */
#ifndef AGENT_PORT_H
#define AGENT_PORT_H

#include <stdbool.h>
#include <stddef.h>

/* Wait for the port, and open it. */
bool port_open(void);
/* What poll() shows as readable when the port may have something to do. */
int port_poll_fd(void);
/* Write and read what is possible without waiting. */
void port_service(void);
void port_write(void);
/*
 * Whether the device was taken away: by the host, or by a workload that unbound
 * its driver.  Who opens the next one is not the agent.
 */
bool port_is_gone(void);
/* To be asked before every sleep: there are bytes to read. */
bool port_has_input(void);
/* Bytes that can be put without waiting for the host. */
size_t port_room(void);
/* Take the first line that is wanted (NULL: any) out of the buffer. */
bool port_line(char *line, bool (*wanted)(const char *line));
/* Whether a line was too long since the last call. */
bool port_line_too_long(void);
void port_put(const char *s, size_t len);
void port_end_line(void);
/* Wait until the host has all, or is gone. */
void port_flush(void);

#endif /* AGENT_PORT_H */
