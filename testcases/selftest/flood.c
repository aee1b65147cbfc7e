// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: 10 MB on standard output and as many lines as the kernel
 * takes on /dev/kmsg, around one result.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NR_LINES	((10 << 20) / 128)
#define NR_KMSG		2000

int main(void)
{
	int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char line[129];
	int i;

	printf("KTAP version 1\n1..1\nok 1 before\n");
	for (i = 0; i < NR_LINES; i++) {
		snprintf(line, sizeof(line), "# line %d", i);
		memset(line + strlen(line), '.', sizeof(line) - strlen(line));
		line[sizeof(line) - 1] = '\0';
		puts(line);
		if (i < NR_KMSG && write(kmsg, line, strlen(line)) < 0)
			printf("# kmsg refused line %d\n", i);
	}
	return 0;
}
