// SPDX-License-Identifier: GPL-2.0
/* Numbers from procfs and sysfs. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"
#include "rmaplab.h"

static bool line_has_key(const char *line, const char *key, long long *value)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) || (line[len] != ':' && line[len] != ' '))
		return false;
	*value = strtoll(line + len + 1, NULL, 0);
	return true;
}

long long file_field(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	long long value = -1;
	char line[512];

	require_errno(f, "%s", path);
	while (fgets(line, sizeof(line), f))
		if (line_has_key(line, key, &value))
			break;
	fclose(f);
	return value;
}

long long vmstat(const char *key)
{
	return file_field("/proc/vmstat", key);
}

/* drop_caches drains the batches in which mlock and munlock wait. */
long long nr_mlock(void)
{
	int ret = write_text("/proc/sys/vm/drop_caches", "1");

	require(!ret, "drop_caches: %s", strerror(-ret));
	require(read_number("/proc/sys/vm/stat_refresh") == -1,
		"stat_refresh is not empty");
	return vmstat("nr_mlock");
}

long long status_kb(const char *key)
{
	return file_field("/proc/self/status", key);
}

long long smaps_kb(const void *addr, const char *key)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long start, end, wanted = (unsigned long)addr;
	bool inside = false;
	long long value = -1;
	char line[512];

	require_errno(f, "/proc/self/smaps");
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			inside = start == wanted;
		else if (inside && line_has_key(line, key, &value))
			break;
	}
	fclose(f);
	return value;
}

static void read_rss(long long *counter, long long *ptes)
{
	*counter = status_kb("RssAnon");
	*ptes = file_field("/proc/self/smaps_rollup", "Anonymous");
}

bool kernel_at_least(int version, int patchlevel)
{
	int ret = kernel_is_at_least(version, patchlevel);

	require(ret >= 0, "the kernel's release is no version");
	return ret;
}

/*
 * Before 6.2 (f1a7941243c1, "mm: convert mm's rss stats into percpu_counter")
 * each task keeps up to 64 changes to itself (SPLIT_RSS_COUNTING).
 */
bool rss_is_exact(void)
{
	return kernel_at_least(6, 2);
}

void check_rss_anon(void)
{
	long long counter, ptes;

	if (!rss_is_exact()) {
		diag("RssAnon not compared: this kernel caches it per task");
		return;
	}

	/* The first time, stdio may need a page between the two. */
	read_rss(&counter, &ptes);
	read_rss(&counter, &ptes);
	check(counter == ptes, "RssAnon: %lld kB, but anonymous PTEs for %lld kB",
	      counter, ptes);
	diag("RssAnon: %lld kB", counter);
}

bool wait_again(int *waited_ms, int limit_ms)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	if (*waited_ms >= limit_ms)
		return false;
	nanosleep(&pause, NULL);
	++*waited_ms;
	return true;
}

long long read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long long value;
	int n;

	if (!f)
		return -1;
	n = fscanf(f, "%lld", &value);
	fclose(f);
	return n == 1 ? value : -1;
}

bool read_text(const char *path, char *text, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(text, size, f);
	fclose(f);
	if (ok)
		text[strcspn(text, "\n")] = '\0';
	return ok;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		err = -errno;
	else if (n != (ssize_t)strlen(text))
		err = -EIO;
	close(fd);
	return err;
}

bool file_exists(const char *path)
{
	return !access(path, F_OK);
}
