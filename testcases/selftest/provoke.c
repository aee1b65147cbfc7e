// SPDX-License-Identifier: GPL-2.0
/*
 * For golden console logs: does what its arguments say, in order, so that the
 * kernel complains.  Whether it did is for the reader of the console.
 *
 *   write FILE TEXT	one write(2) to an existing file
 *   sleep SECONDS
 *   flood FILE LINES	so many lines to a file, from two processes at once
 *
 * Without arguments it skips: the lab has nothing to provoke by itself.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int write_once(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0) {
		perror(path);
		return 1;
	}
	n = write(fd, text, strlen(text));
	if (n < 0)
		perror(path);
	close(fd);
	return n < 0;
}

static int flood(const char *path, long lines)
{
	static const char line[] =
		"<6>a line that is longer than the console can print in the time that it takes to write it\n";
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	pid_t parent = getpid();

	if (fd < 0) {
		perror(path);
		return 1;
	}
	if (fork() < 0)
		perror("fork");
	while (lines-- > 0)
		if (write(fd, line, sizeof(line) - 1) < 0)
			break;
	close(fd);
	if (getpid() != parent)
		_exit(0);
	wait(NULL);
	return 0;
}

static int act(char **word)
{
	if (!strcmp(word[0], "write"))
		return write_once(word[1], word[2]);
	if (!strcmp(word[0], "flood"))
		return flood(word[1], atol(word[2]));
	fprintf(stderr, "unknown action %s\n", word[0]);
	return 1;
}

int main(int argc, char **argv)
{
	int failed = 0, i = 1;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2) {
		printf("KTAP version 1\n1..0 # SKIP nothing to provoke\n");
		return 4;
	}
	printf("KTAP version 1\n1..1\n");
	while (i < argc) {
		if (!strcmp(argv[i], "sleep") && i + 1 < argc) {
			sleep(atoi(argv[i + 1]));
			i += 2;
			continue;
		}
		if (i + 2 >= argc) {
			fprintf(stderr, "%s: words are missing\n", argv[i]);
			failed = 1;
			break;
		}
		failed |= act(argv + i);
		i += 3;
	}
	printf("%s 1 provoke\n", failed ? "not ok" : "ok");
	return failed;
}
