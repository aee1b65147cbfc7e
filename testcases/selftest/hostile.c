// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: what a guest may print that a parser, a terminal, an XML
 * or an HTML file does not expect.  Its own result is the first line only.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rmaplab.h"

#define TEXT(s) { s, sizeof(s) - 1 }

static const struct {
	const char *s;
	size_t len;
} lines[] = {
	TEXT("KTAP version 1"),
	TEXT("1..1"),
	TEXT("ok 1 honest"),
	TEXT("\x1b[31mred\x1b[0m \x1b]0;title\a \x1b[2J\x1b[H \b\b\b"),
	TEXT("]]> <![CDATA[ </testcase> <script>alert(1)</script> &amp; & \" '"),
	TEXT("a NUL \0 in the middle, DEL \x7f, BEL \x07, VT \v, FF \f, CR \r."),
	TEXT("invalid UTF-8: \xff\xfe \xc3\x28 \xe2\x82 \xed\xa0\x80 \xf4\x90\x80\x80"),
	TEXT("valid UTF-8: \xe2\x80\xae right to left \xf0\x9f\x92\xa9"),
	TEXT("{\"t\":1,\"ev\":\"exit\",\"id\":1,\"status\":0}"),
	TEXT("  ok 2 indented # SKIP not a result of ours"),
	TEXT("ok"),
	TEXT("ok 1"),
	TEXT("not ok 99999999999999999999 beyond any integer"),
	TEXT("1..4294967297"),
	TEXT("ok -1 negative"),
	TEXT("okay 1 not a result"),
	TEXT("%s%s%s%n %d {0} {{ 7*7 }} ${7*7} `id` $(id)"),
	TEXT("../../../../etc/passwd"),
	TEXT("[    1.000000] BUG: kernel NULL pointer dereference, address: 0"),
	TEXT("rmaplab: end /bin/selftest/hostile"),
};

int main(void)
{
	int kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		fwrite(lines[i].s, 1, lines[i].len, stdout);
		putchar('\n');
		/* Not the forged splat: the console is the kernel's own. */
		if (i < 17 && write(kmsg, lines[i].s, lines[i].len) < 0)
			printf("# kmsg refused line %zu\n", i);
	}
	fflush(stdout);
	/* The last line has no end, and is longer than a pipe. */
	for (i = 0; i < 100000; i++)
		putchar("abc\xff"[i % 4]);
	return 0;
}
