// SPDX-License-Identifier: GPL-2.0
/* For testing the lab: crashes the kernel by sysrq-c. */
#include <stdio.h>
#include <string.h>

#include "rmaplab.h"

int main(void)
{
	int ret;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..1\n");
	ret = write_text("/proc/sysrq-trigger", "c");
	bail_out("the kernel survived sysrq-c: %s", strerror(-ret));
}
