// SPDX-License-Identifier: GPL-2.0
/* The request "stat": of what kind files are. */
#include <errno.h>
#include <sys/stat.h>

#include "event.h"
#include "protocol.h"
#include "stat.h"

/* The kind of a file; *ERR is set if the kernel would not say. */
static const char *kind_of(const char *path, int *err)
{
	struct stat st;

	*err = 0;
	if (stat(path, &st)) {
		if (errno == ENOENT || errno == ENOTDIR)
			return STAT_MISSING;
		*err = errno;
		return STAT_ERROR;
	}
	if (S_ISCHR(st.st_mode))
		return STAT_CHR;
	if (S_ISBLK(st.st_mode))
		return STAT_BLK;
	if (S_ISREG(st.st_mode))
		return STAT_REG;
	if (S_ISDIR(st.st_mode))
		return STAT_DIR;
	return STAT_OTHER;
}

/* stat PATH... */
void stat_request(const struct request *rq)
{
	int err[MAX_WORDS], i;

	event_begin(EVENT_STATS, rq->id);
	event_open(KEY_STATS);
	for (i = 1; i < rq->nr; i++)
		event_string(rq->word[i].s, kind_of(rq->word[i].s, &err[i]));
	event_close();
	event_open(KEY_ERRORS);
	for (i = 1; i < rq->nr; i++)
		if (err[i])
			event_int(rq->word[i].s, err[i]);
	event_close();
	event_end();
}
