// SPDX-License-Identifier: GPL-2.0
/* What of a file such as /proc/iomem is RAM: the end, then each PFN asked for. */
#include <stdio.h>
#include <stdlib.h>

#include "ram.h"
#include "sizes.h"

int main(int argc, char **argv)
{
	FILE *f = fopen(argv[1], "r");
	int i;

	sizes_init();
	printf("%lx\n", ram_read(f));
	for (i = 2; i < argc; i++)
		printf("%d\n", ram_has(strtoull(argv[i], NULL, 16)));
	return 0;
}
