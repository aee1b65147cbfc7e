// SPDX-License-Identifier: GPL-2.0
/*
 * Audits: at the marks that a workload sets, and when it is gone.
 *
 * A workload asks by a line "PID FD NAME" on a pipe that it inherited, and
 * waits for a byte on its own descriptor FD, which the agent opens through
 * /proc.  So nothing stays behind when it dies waiting, and no answer can reach
 * another process.  Meanwhile its cgroup is frozen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "audit.h"
#include "cell.h"
#include "compiler.h"
#include "console.h"
#include "event.h"
#include "kpagecount.h"
#include "protocol.h"
#include "pte_count.h"
#include "swap_types.h"

#define MARK_FD		198	/* in the workload */
#define MAX_MARKS	64
#define MAX_NAME	64
#define MAX_RECOUNTS	8
#define RECOUNT_MS	5

struct mark {
	int pid, fd;
	char name[MAX_NAME];
};

static bool usable, enabled;
static int mark_fd = -1;	/* the reading end of the marks' pipe */

static struct mark marks[MAX_MARKS];
static int nr_marks;
static long marks_served;
static struct comparison comparison;
static int recounts;
static const char *problem;

static struct {
	int nr;
	struct mapping mapping[AUDIT_MAPPERS];
} mappers[AUDIT_LISTED];

/* -- counting ------------------------------------------------------------ */

static bool agrees(void)
{
	return !comparison.mismatches && sums_agree(&comparison);
}

static bool count_once(bool every_page, bool trust)
{
	if (!pte_count(trust) || !kpagecount_compare(&comparison, every_page)) {
		problem = "/proc cannot be read";
		return false;
	}
	if (pte_counts.unknown) {
		problem = "the swap type of device-exclusive entries could not be learned";
		return false;
	}
	return true;
}

static void give_up(const char *why)
{
	memset(&comparison, 0, sizeof(comparison));
	problem = why;
}

/*
 * What the sums know of and no count of entries does: it may be anywhere, and a
 * process may have the PID that a kernel thread had at boot.
 */
static bool something_is_missing(void)
{
	return comparison.kind[NOT_FOUND] || !sums_agree(&comparison);
}

/*
 * Kernel threads may be at work on a page that is counted: a mismatch counts
 * when two counts in a row show the same.
 */
static void count(bool every_page)
{
	bool everywhere;
	uint64_t last;

	problem = NULL;
	recounts = 0;
	memset(&comparison, 0, sizeof(comparison));
	if (!count_once(every_page, true) || agrees())
		return;
	everywhere = something_is_missing();
	while (recounts++ < MAX_RECOUNTS) {
		last = comparison.digest;
		poll(NULL, 0, RECOUNT_MS);
		if (!count_once(every_page || everywhere, !everywhere) ||
		    agrees() || comparison.digest == last)
			return;
	}
	problem = "two counts in a row never agreed";
}

/* -- who maps it --------------------------------------------------------- */

static void note_mapper(const struct mapping *m)
{
	uint64_t pfn;
	uint32_t how;
	int i, n;

	if (!pte_page(m->entry, &pfn, &how))
		return;
	for (i = 0; i < comparison.nr_listed; i++) {
		if (comparison.listed[i].pfn != pfn)
			continue;
		n = mappers[i].nr++;
		if (n < AUDIT_MAPPERS)
			mappers[i].mapping[n] = *m;
	}
}

static void find_mappers(void)
{
	memset(mappers, 0, sizeof(mappers));
	if (comparison.nr_listed)
		each_pte(note_mapper, false);
}

/* -- the event ----------------------------------------------------------- */

static void put_hex(const char *key, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "\"%#llx\"", (unsigned long long)value);
	event_raw(key, text);
}

static void put_mappers(int i)
{
	const struct mapping *m = mappers[i].mapping;
	int n;

	event_list(KEY_MAPS);
	for (n = 0; n < mappers[i].nr && n < AUDIT_MAPPERS; n++) {
		event_item();
		event_int(KEY_PID, m[n].pid);
		put_hex(KEY_ADDR, m[n].addr);
		put_hex(KEY_ENTRY, m[n].entry);
		event_close();
	}
	event_list_end();
	event_int(KEY_MAPPERS, mappers[i].nr);
}

static void put_mismatches(void)
{
	const struct mismatch *m;
	int i;

	event_int(KEY_MISMATCHES, comparison.mismatches);
	event_list(KEY_LISTED);
	for (i = 0; i < comparison.nr_listed; i++) {
		m = &comparison.listed[i];
		event_item();
		event_string(KEY_KIND, mismatch_kind_name(m->kind));
		put_hex(KEY_PFN, m->pfn);
		put_hex(KEY_HEAD, m->head);
		event_int(KEY_COUNTED, m->counted);
		event_int(KEY_CLAIMED, m->claimed);
		put_hex(KEY_FLAGS, m->flags);
		put_mappers(i);
		event_close();
	}
	event_list_end();
}

static void put_kinds(void)
{
	enum mismatch_kind kind;

	event_open(KEY_KINDS);
	for (kind = 0; kind < NR_KINDS; kind++)
		if (comparison.kind[kind])
			event_int(mismatch_kind_name(kind), comparison.kind[kind]);
	event_close();
}

static void put_sums(void)
{
	event_open(KEY_SUMS);
	event_int(KEY_ANON, comparison.anon);
	event_int(KEY_NR_ANON_PAGES, comparison.nr_anon_pages);
	event_int(KEY_FILE, comparison.file);
	event_int(KEY_NR_MAPPED, comparison.nr_mapped);
	event_int(KEY_ZSMALLOC, comparison.zsmalloc);
	event_int(KEY_NR_ZSPAGES, comparison.nr_zspages);
	event_bool(KEY_AGREE, sums_agree(&comparison));
	event_close();
}

static void put_left_out(void)
{
	event_open(KEY_LEFT_OUT);
	event_int(KEY_ZERO, comparison.zero);
	event_int(KEY_DEVICE, comparison.device + pte_counts.device);
	event_int(KEY_LARGE, comparison.large);
	event_int(KEY_ZSMALLOC, comparison.zsmalloc);
	event_int(KEY_SPECIAL_VMAS, pte_counts.special);
	event_close();
}

static void report(long id, const char *name, const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	event_begin(EVENT_AUDIT, id);
	event_string(KEY_NAME, name);
	event_string(KEY_ERROR, problem ? problem : "");
	event_int(KEY_PROCESSES, pte_counts.processes);
	event_int(KEY_PTES, pte_counts.ptes);
	event_int(KEY_EXCLUSIVE, pte_counts.exclusive);
	event_int(KEY_EXCLUSIVE_TYPES, exclusive_types());
	event_int(KEY_PAGES, comparison.pages);
	event_int(KEY_RECOUNTS, recounts);
	put_kinds();
	put_mismatches();
	put_sums();
	put_left_out();
	event_int(KEY_US, (now.tv_sec - began->tv_sec) * 1000000 +
		  (now.tv_nsec - began->tv_nsec) / 1000);
	event_end();
}

/* -- marks --------------------------------------------------------------- */

static bool parse_mark(char *line, struct mark *m)
{
	int at;

	if (sscanf(line, "%d %d %n", &m->pid, &m->fd, &at) < 2)
		return false;
	snprintf(m->name, sizeof(m->name), "%s", line + at);
	return true;
}

/* What the frozen workload wrote: a read returns one write of a packet pipe. */
static void read_marks(void)
{
	char line[MAX_NAME + 32];
	ssize_t n;

	for (nr_marks = 0; nr_marks < MAX_MARKS; ) {
		n = read(mark_fd, line, sizeof(line) - 1);
		if (n <= 0)
			return;
		line[n] = '\0';
		line[strcspn(line, "\n")] = '\0';
		nr_marks += parse_mark(line, &marks[nr_marks]);
	}
}

/* To a pipe: a workload may name what is no business of its own. */
static void answer(const struct mark *m)
{
	struct stat st;
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", m->pid, m->fd);
	if (stat(path, &st) || !S_ISFIFO(st.st_mode))
		return;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "", 1) < 0)
		complain(path, errno);
	close(fd);
}

bool audit_wanted(void)
{
	return enabled;
}

int audit_fd(void)
{
	return mark_fd;
}

void audit_serve_marks(long id)
{
	struct timespec began;
	int i;

	clock_gettime(CLOCK_MONOTONIC, &began);
	if (cell_freeze(true))
		count(false);
	else
		give_up("the workload's processes could not be frozen");
	find_mappers();
	read_marks();
	for (i = 0; i < nr_marks; i++)
		report(id, marks[i].name, &began);
	marks_served += nr_marks;
	pte_count_shrink();
	cell_freeze(false);
	for (i = 0; i < nr_marks; i++)
		answer(&marks[i]);
}

/*
 * A look at every page is dear: docs/audit.md.  It is needed only if the sums
 * disagree, which count() sees, or if no mark showed where the workload had its
 * pages.
 */
void audit_end(long id)
{
	struct timespec began;

	clock_gettime(CLOCK_MONOTONIC, &began);
	count(!marks_served);
	find_mappers();
	report(id, AUDIT_END, &began);
	pte_count_shrink();
}

/* -- the workload's end of the pipe --------------------------------------- */

bool audit_open(int *to)
{
	int fd[2];

	*to = -1;
	if (!enabled)
		return true;
	marks_served = 0;
	pte_count_forget_blocks();
	if (pipe2(fd, O_CLOEXEC | O_DIRECT))
		return false;
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	mark_fd = fd[0];
	*to = fd[1];
	return true;
}

void audit_close(void)
{
	if (mark_fd >= 0)
		close(mark_fd);
	mark_fd = -1;
}

char *audit_environment(int fd)
{
	static char variable[32];

	if (fd < 0 || dup2(fd, MARK_FD) < 0)
		return NULL;
	snprintf(variable, sizeof(variable), ENV_AUDIT "=%d", MARK_FD);
	return variable;
}

/* The first count is for what it allocates: the ledger is to see none of it. */
void audit_init(void)
{
	usable = pte_count_init() && kpagecount_init();
	if (usable)
		count(true);
}

/* audit on|off [no-page-mapcount] */
void audit_request(const struct request *rq)
{
	if (!usable) {
		event_error(rq->id, "audit: no /proc/kpagecount, kpageflags or stat_refresh");
		return;
	}
	enabled = !strcmp(rq->word[1].s, "on");
	no_page_mapcount = rq->nr > 2 &&
			   !strcmp(rq->word[2].s, "no-page-mapcount");
	event_begin(EVENT_AUDITING, rq->id);
	event_bool(KEY_ON, enabled);
	event_int(KEY_PFNS, pte_counts.nr_pfns);
	event_end();
}
