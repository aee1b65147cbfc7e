// SPDX-License-Identifier: GPL-2.0
/* Threads that do things to the same pages: see stress.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rmaplab.h"
#include "stress.h"

#define NR		32
#define STRIDE		(2 * PAGE_SIZE)	/* test_hmm's range end is inclusive */
#define MAX_ACTORS	6
#define ZEROS		0		/* content of a page that was zapped */

struct stress {
	char *base;
	int dev;
	pthread_rwlock_t world;		/* written for a fork(), else read */
	pthread_mutex_t lock[NR];
	uint64_t content[NR];		/* the pattern's seed, or ZEROS */
};

struct thread {
	pthread_t id;
	struct stress *s;
	const struct stress_actor *actor;
	uint64_t random;
	unsigned long done;
};

static uint64_t seed;
static unsigned long rounds;
static int pages = NR;

void stress_on(int nr)
{
	pages = nr;
}

void stress_arguments(int argc, char **argv, unsigned long default_rounds)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seed = now.tv_sec * 1000000000ULL + now.tv_nsec;
	rounds = default_rounds;
	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	if (argc > 2)
		rounds = strtoul(argv[2], NULL, 0);
}

/* xorshift64*, Vigna 2016 */
static uint64_t next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

static char *page_of(struct stress *s, int i)
{
	return s->base + i * STRIDE + PAGE_SIZE;
}

static bool as_noted(struct stress *s, int i)
{
	if (s->content[i] == ZEROS)
		return page_is_zero(page_of(s, i));
	return page_intact(page_of(s, i), s->content[i]);
}

static void begin(struct stress *s, int i)
{
	pthread_rwlock_rdlock(&s->world);
	pthread_mutex_lock(&s->lock[i]);
}

static void end(struct stress *s, int i)
{
	pthread_mutex_unlock(&s->lock[i]);
	pthread_rwlock_unlock(&s->world);
}

bool stress_check(struct stress *s, int i, uint64_t random)
{
	bool ok;

	(void)random;
	begin(s, i);
	ok = as_noted(s, i);
	check(ok, "page %d is not as written (%#llx)", i,
	      (unsigned long long)s->content[i]);
	end(s, i);
	return ok;
}

bool stress_write(struct stress *s, int i, uint64_t random)
{
	begin(s, i);
	check(as_noted(s, i), "page %d is not as written (%#llx)", i,
	      (unsigned long long)s->content[i]);
	s->content[i] = random | 1;
	page_fill(page_of(s, i), s->content[i]);
	end(s, i);
	return true;
}

bool stress_zap(struct stress *s, int i, uint64_t random)
{
	bool ok;

	(void)random;
	begin(s, i);
	ok = !madvise(page_of(s, i), PAGE_SIZE, MADV_DONTNEED);
	if (ok)
		s->content[i] = ZEROS;
	check(ok, "MADV_DONTNEED: %s", strerror(errno));
	end(s, i);
	return ok;
}

bool stress_touch(struct stress *s, int i, uint64_t random)
{
	(void)random;
	(void)*(volatile char *)page_of(s, i);
	return true;
}

/* A few pages at once, with what is between them. */
bool stress_exclusive(struct stress *s, int i, uint64_t random)
{
	int n = 1 + random % 4;

	if (i + n > NR)
		n = NR - i;
	return !dmirror_exclusive(s->dev, page_of(s, i), 2 * n - 1);
}

/* Content is read by somebody else: the page's lock, not the world's. */
bool stress_device_read(struct stress *s, int i, uint64_t random)
{
	uint64_t buf[PAGE_SIZE / sizeof(uint64_t)];
	bool ok;

	(void)random;
	begin(s, i);
	ok = !dmirror_read(s->dev, page_of(s, i), buf, NULL);
	if (ok)
		check(s->content[i] == ZEROS ? page_is_zero(buf) :
		      page_intact(buf, s->content[i]),
		      "page %d: the device reads other data", i);
	end(s, i);
	return ok;
}

bool stress_migrate(struct stress *s, int i, uint64_t random)
{
	int node = random & 1;

	return move_page(page_of(s, i), node) == node;
}

bool stress_pageout(struct stress *s, int i, uint64_t random)
{
	(void)random;
	madvise(page_of(s, i), PAGE_SIZE, MADV_PAGEOUT);
	return is_swapped(pagemap_entry(page_of(s, i)));
}

/* Not for long: a writer that meets it would be killed, so under the lock. */
bool stress_mprotect(struct stress *s, int i, uint64_t random)
{
	bool ok;

	(void)random;
	begin(s, i);
	ok = !mprotect(page_of(s, i), PAGE_SIZE, PROT_READ);
	check(as_noted(s, i), "page %d is not as written, read-only", i);
	ok &= !mprotect(page_of(s, i), PAGE_SIZE, PROT_READ | PROT_WRITE);
	end(s, i);
	return ok;
}

static void child(struct stress *s, uint64_t random)
{
	int i, bad = 0;

	for (i = 0; i < NR; i++) {
		bad += !as_noted(s, i);
		s->content[i] = random | 1;
		page_fill(page_of(s, i), s->content[i]);
	}
	for (i = 0; i < NR; i++)
		bad += !as_noted(s, i);
	_exit(bad);
}

bool stress_fork(struct stress *s, int i, uint64_t random)
{
	int status = -1;
	pid_t pid;

	(void)i;
	pthread_rwlock_wrlock(&s->world);
	pid = fork();
	if (!pid)
		child(s, random);
	pthread_rwlock_unlock(&s->world);
	require_errno(pid > 0 && waitpid(pid, &status, 0) == pid, "fork, waitpid");
	check(!status, "child: status %#x, bad pages or a signal", status);
	return !status;
}

static void *act(void *arg)
{
	struct thread *t = arg;
	unsigned long i;
	uint64_t random;

	for (i = 0; i < rounds; i++) {
		random = next(&t->random);
		t->done += t->actor->op(t->s, random % pages, random >> 8);
	}
	return NULL;
}

static void set_up(struct stress *s)
{
	int i;

	pthread_rwlock_init(&s->world, NULL);
	s->dev = dmirror_open();
	s->base = anon_map(NR * STRIDE, MADV_NOHUGEPAGE);
	for (i = 0; i < NR; i++) {
		pthread_mutex_init(&s->lock[i], NULL);
		s->content[i] = i + 1;
		page_fill(page_of(s, i), s->content[i]);
	}
}

static void check_all(struct stress *s)
{
	struct page_facts p;
	int i, intact = 0, once = 0;

	check_rss_anon();
	for (i = 0; i < NR; i++)
		intact += as_noted(s, i);
	check_eq("pages as written", intact, NR);
	for (i = 0; i < NR; i++) {
		*(volatile char *)page_of(s, i) = 0;
		p = page_facts(page_of(s, i));
		once += is_present(p.pagemap) && p.count == 1;
		watch_pfn(p.pfn);
	}
	check_eq("pages mapped once", once, NR);
	check_rss_anon();
}

void stress_run(const struct stress_actor *actors, size_t nr)
{
	struct thread thread[MAX_ACTORS];
	static struct stress s;
	size_t i;

	require(nr <= MAX_ACTORS, "too many actors");
	diag("seed %#llx, %lu rounds", (unsigned long long)seed, rounds);
	set_up(&s);
	for (i = 0; i < nr; i++) {
		thread[i] = (struct thread){
			.s = &s, .actor = &actors[i],
			.random = (seed + i + 1) * 0x9e3779b97f4a7c15ULL | 1,
		};
		require(!pthread_create(&thread[i].id, NULL, act, &thread[i]),
			"pthread_create");
	}
	for (i = 0; i < nr; i++) {
		require(!pthread_join(thread[i].id, NULL), "pthread_join");
		diag("%s: %lu of %lu", actors[i].name, thread[i].done, rounds);
	}
	check_all(&s);
}
