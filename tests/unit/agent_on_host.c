// SPDX-License-Identifier: GPL-2.0
/*
 * The agent's requests without a guest: requests on standard input, events on
 * standard output.  Linked with all of the agent but main.c, loop.c and port.c.
 */
#include <stdio.h>
#include <string.h>

#include "port.h"
#include "protocol.h"
#include "serve.h"
#include "sizes.h"

#define ROOM	(256 << 10)

void port_put(const char *s, size_t len)
{
	fwrite(s, 1, len, stdout);
}

void port_end_line(void)
{
	putchar('\n');
	fflush(stdout);
}

void port_flush(void)
{
	fflush(stdout);
}

size_t port_room(void)
{
	return ROOM;
}

int main(void)
{
	static char line[MAX_REQUEST + 1];

	sizes_init();
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		serve(line);
	}
	return 0;
}
