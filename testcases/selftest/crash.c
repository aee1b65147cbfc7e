// SPDX-License-Identifier: GPL-2.0
/* For testing the lab: dies of SIGSEGV in the middle of its KTAP. */
#include <signal.h>
#include <stdio.h>

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("KTAP version 1\n1..2\nok 1 before\n");
	raise(SIGSEGV);
	printf("ok 2 after\n");
	return 0;
}
