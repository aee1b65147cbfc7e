/* SPDX-License-Identifier: GPL-2.0 */
/* Small files and the clock. */
#ifndef AGENT_UTIL_H
#define AGENT_UTIL_H

#include <stdbool.h>
#include <stddef.h>

/* One write(2) to an existing file; false with errno. */
bool write_file(const char *path, const char *text);
/*
 * Read a file into TEXT, which is returned: cut after SIZE - 1 bytes, empty on
 * an error.  reread() reads an open file from its start; -1 has no content.
 */
const char *read_file(const char *path, char *text, size_t size);
const char *reread(int fd, char *text, size_t size);
/* CLOCK_MONOTONIC in milliseconds. */
long long now_ms(void);

#endif /* AGENT_UTIL_H */
