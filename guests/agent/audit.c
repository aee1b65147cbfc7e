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
#include <time.h>
#include <unistd.h>

#include "agent.h"
#include "audit.h"

#define MARK_FD		198	/* in the workload */
#define MAX_MARKS	64
#define MAX_NAME	64
#define MAX_RECOUNTS	8
#define RECOUNT_MS	5
#define MAX_MAPPERS	4

struct mark {
	int pid, fd;
	char name[MAX_NAME];
};

static bool usable, enabled;
static int mark_fd = -1;	/* the reading end of the marks' pipe */

static struct mark marks[MAX_MARKS];
static int nr_marks;
static long marks_served;
static struct claims claims;
static int recounts;
static const char *problem;

static struct {
	int nr;
	struct place place[MAX_MAPPERS];
	uint64_t entry[MAX_MAPPERS];
} mappers[MAX_LISTED];

/* -- counting ------------------------------------------------------------ */

static bool agrees(void)
{
	return !claims.mismatches && claims_sums_agree(&claims);
}

static bool count_once(bool every_page, bool trust)
{
	if (!census_take(trust) || !claims_compare(&claims, every_page)) {
		problem = "/proc cannot be read";
		return false;
	}
	if (census.unknown) {
		problem = "the swap type of device-exclusive entries could not be learned";
		return false;
	}
	return true;
}

static void give_up(const char *why)
{
	memset(&claims, 0, sizeof(claims));
	problem = why;
}

/*
 * What the sums know of and the census does not: it may be anywhere, and a
 * process may have the PID that a kernel thread had at boot.
 */
static bool something_is_missing(void)
{
	return claims.kind[NOT_FOUND] || !claims_sums_agree(&claims);
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
	memset(&claims, 0, sizeof(claims));
	if (!count_once(every_page, true) || agrees())
		return;
	everywhere = something_is_missing();
	while (recounts++ < MAX_RECOUNTS) {
		last = claims.digest;
		poll(NULL, 0, RECOUNT_MS);
		if (!count_once(every_page || everywhere, !everywhere) ||
		    agrees() || claims.digest == last)
			return;
	}
	problem = "two counts in a row never agreed";
}

/* -- who maps it --------------------------------------------------------- */

static void note_mapper(const struct place *at, uint64_t entry)
{
	uint64_t pfn;
	uint32_t how;
	int i, n;

	if (!entry_page(entry, &pfn, &how))
		return;
	for (i = 0; i < claims.nr_listed; i++) {
		if (claims.listed[i].pfn != pfn)
			continue;
		n = mappers[i].nr++;
		if (n >= MAX_MAPPERS)
			continue;
		mappers[i].place[n] = *at;
		mappers[i].entry[n] = entry;
	}
}

static void find_mappers(void)
{
	memset(mappers, 0, sizeof(mappers));
	if (claims.nr_listed)
		each_entry(note_mapper, false);
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
	int n;

	event_list("maps");
	for (n = 0; n < mappers[i].nr && n < MAX_MAPPERS; n++) {
		event_item();
		event_int("pid", mappers[i].place[n].pid);
		put_hex("addr", mappers[i].place[n].addr);
		put_hex("entry", mappers[i].entry[n]);
		event_close();
	}
	event_list_end();
	event_int("mappers", mappers[i].nr);
}

static void put_mismatches(void)
{
	const struct mismatch *m;
	int i;

	event_int("mismatches", claims.mismatches);
	event_list("listed");
	for (i = 0; i < claims.nr_listed; i++) {
		m = &claims.listed[i];
		event_item();
		event_string("kind", mismatch_kind_name(m->kind));
		put_hex("pfn", m->pfn);
		put_hex("head", m->head);
		event_int("counted", m->counted);
		event_int("claimed", m->claimed);
		put_hex("flags", m->flags);
		put_mappers(i);
		event_close();
	}
	event_list_end();
}

static void put_kinds(void)
{
	enum mismatch_kind kind;

	event_open("kinds");
	for (kind = 0; kind < NR_KINDS; kind++)
		if (claims.kind[kind])
			event_int(mismatch_kind_name(kind), claims.kind[kind]);
	event_close();
}

static void put_sums(void)
{
	event_open("sums");
	event_int("anon", claims.anon);
	event_int("nr_anon_pages", claims.nr_anon_pages);
	event_int("file", claims.file);
	event_int("nr_mapped", claims.nr_mapped);
	event_int("zsmalloc", claims.zsmalloc);
	event_int("nr_zspages", claims.nr_zspages);
	event_bool("agree", claims_sums_agree(&claims));
	event_close();
}

static void put_left_out(void)
{
	event_open("left_out");
	event_int("zero", claims.zero);
	event_int("device", claims.device + census.device);
	event_int("large", claims.large);
	event_int("zsmalloc", claims.zsmalloc);
	event_int("special_vmas", census.special);
	event_close();
}

static void report(long id, const char *name, const struct timespec *began)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	event_begin("audit", id);
	event_string("name", name);
	event_string("error", problem ? problem : "");
	event_int("processes", census.processes);
	event_int("ptes", census.ptes);
	event_int("exclusive", census.exclusive);
	event_int("exclusive_types", exclusive_types());
	event_int("pages", claims.pages);
	event_int("recounts", recounts);
	put_kinds();
	put_mismatches();
	put_sums();
	put_left_out();
	event_int("us", (now.tv_sec - began->tv_sec) * 1000000 +
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

static void answer(const struct mark *m)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", m->pid, m->fd);
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
	census_shrink();
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
	report(id, "end", &began);
	census_shrink();
}

/* -- the workload's end of the pipe --------------------------------------- */

/*
 * Before the fork: TO is the end that the workload writes to, or -1 if no audit
 * is wanted.
 */
bool audit_open(int *to)
{
	int fd[2];

	*to = -1;
	if (!enabled)
		return true;
	marks_served = 0;
	census_forget_blocks();
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

/* In the child: the variable that names the descriptor, or NULL. */
char *audit_environment(int fd)
{
	static char variable[32];

	if (fd < 0 || dup2(fd, MARK_FD) < 0)
		return NULL;
	snprintf(variable, sizeof(variable), "RMAPLAB_AUDIT=%d", MARK_FD);
	return variable;
}

/* The first count is for what it allocates: the ledger is to see none of it. */
void audit_init(void)
{
	usable = census_init() && claims_init();
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
	event_begin("auditing", rq->id);
	event_bool("on", enabled);
	event_int("pfns", census.nr_pfns);
	event_end();
}
