/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The protocol between the lab and a guest: docs/protocol.md.
 *
 * The agent and the testcase library include this file.  The lab has the same
 * constants in rmaplab/evidence/protocol.py; tests/unit/test_guest_headers.py
 * compares the two.  Who changes one changes both.
 */
#ifndef RMAPLAB_PROTOCOL_H
#define RMAPLAB_PROTOCOL_H

#define PROTOCOL		2
#define AGENT_PORT		"org.rmaplab.agent"	/* a virtio-serial port */

/* -- limits -------------------------------------------------------------- */

#define MAX_REQUEST		(64 << 10)	/* bytes of a request's line */
#define MAX_WORDS		512	/* of a request, behind its number */
#define REQUEST_BYTES		(16 << 10)	/* of the file of "await" */
#define LINE_BYTES		4096	/* of a line of output in one event */
#define STREAM_BYTES		(1 << 20)	/* of output from one workload */
#define FILE_BYTES		(256 << 10)	/* of a file's content */
#define BEAT_MS			500	/* between two heartbeats */
#define LIMIT_MS		(24L * 3600 * 1000)	/* the longest for a workload */
#define AUDIT_LISTED		16	/* mismatches with their page */
#define AUDIT_MAPPERS		4	/* of one page, with their address */
#define PAGES_NAME_BYTES	60	/* of a name behind SAY_PAGES */

/* -- lines in the kernel log --------------------------------------------- */

/* "rmaplab: begin /bin/control/empty" */
#define MARK_PREFIX		"rmaplab: "
#define MARK_READY		"ready"
#define MARK_BEGIN		"begin"		/* and the program's path */
#define MARK_END		"end"		/* the same */
#define MARK_GONE		"gone"		/* the port: the guest powers off */
#define MARK_SUBTEST		"subtest"	/* and the subtest's name */

/* -- lines of a workload's standard output that are not a test's result --- */

#define SAY_PREFIX		"# rmaplab: "
#define SAY_INSTRUCTIONS	"instructions"	/* and a number */
/* And PID, address in hex with 0x, number of pages, name. */
#define SAY_PAGES		"pages"

/* -- where a workload runs ----------------------------------------------- */

#define CGROUP			"/sys/fs/cgroup/cell"
#define ENV_AUDIT		"RMAPLAB_AUDIT"	/* the descriptor for marks */
#define ENV_EXACT		"RMAPLAB_EXACT"	/* instructions are counted */
#define ENV_HPAGE		"RMAPLAB_HPAGE"	/* bytes that a PMD maps */

/* -- events -------------------------------------------------------------- */

#define EVENT_AUDIT		"audit"
#define EVENT_AUDITING		"auditing"
#define EVENT_AWAITING		"awaiting"
#define EVENT_BEAT		"beat"
#define EVENT_BYE		"bye"
#define EVENT_DRAINED		"drained"
#define EVENT_ERR		"err"
#define EVENT_ERROR		"error"
#define EVENT_EXIT		"exit"
#define EVENT_FILES		"files"
#define EVENT_FLOOD		"flood"
#define EVENT_KHUGEPAGED	"khugepaged"
#define EVENT_MARKED		"marked"
#define EVENT_OUT		"out"
#define EVENT_PONG		"pong"
#define EVENT_READY		"ready"
#define EVENT_REHEARSED		"rehearsed"
#define EVENT_STAGED		"staged"
#define EVENT_START		"start"
#define EVENT_STATS		"stats"
#define EVENT_SWAPPED		"swapped"
#define EVENT_WROTE		"wrote"

/* Keys of every event */
#define KEY_TIME		"t"
#define KEY_EVENT		"ev"
#define KEY_ID			"id"

/* ready */
#define KEY_PROTOCOL		"protocol"
#define KEY_INIT		"init"
#define KEY_RELEASE		"release"
#define KEY_CPUS		"cpus"
#define KEY_NODES		"nodes"
#define KEY_MEMORY_KB		"memory_kb"
#define KEY_PROBES		"probes"
#define KEY_VVAR_COUNTED	"vvar_counted"
#define KEY_HOLE_IS_NOPAGE	"hole_is_nopage"
#define KEY_HOLE_HAS_NO_FLAGS	"hole_has_no_flags"

/* error */
#define KEY_MESSAGE		"message"

/* awaiting, drained, khugepaged, swapped, wrote */
#define KEY_ERRNO		"errno"

/* files */
#define KEY_FILES		"files"
#define KEY_ERRORS		"errors"	/* of stats, too */
#define KEY_LAST		"last"

/* stats, and what it says of a path */
#define KEY_STATS		"stats"
#define STAT_CHR		"chr"
#define STAT_BLK		"blk"
#define STAT_REG		"reg"
#define STAT_DIR		"dir"
#define STAT_OTHER		"other"
#define STAT_MISSING		"missing"
#define STAT_ERROR		"error"		/* its errno is in KEY_ERRORS */

/* swapped, khugepaged, drained */
#define KEY_STEP		"step"
#define KEY_SCANS		"scans"
#define KEY_FREE		"free"
#define KEY_PCP			"pcp"
#define KEY_STEADY		"steady"
#define KEY_POLLS		"polls"

/* auditing */
#define KEY_ON			"on"
#define KEY_PFNS		"pfns"

/* staged, start */
#define KEY_PID			"pid"

/* out, err, flood */
#define KEY_TEXT		"text"
#define KEY_STREAM		"stream"
#define KEY_DROPPED		"dropped"

/* exit */
#define KEY_STATUS		"status"
#define KEY_SIGNAL		"signal"
#define KEY_TIMEOUT		"timeout"
#define KEY_LEFT		"left"
#define KEY_RMDIR		"rmdir"
#define KEY_START_T		"start_t"
#define KEY_END_T		"end_t"

/* audit */
#define AUDIT_END		"end"		/* the name of the last one */
#define KEY_NAME		"name"
#define KEY_ERROR		"error"
#define KEY_PROCESSES		"processes"
#define KEY_PTES		"ptes"
#define KEY_EXCLUSIVE		"exclusive"
#define KEY_EXCLUSIVE_TYPES	"exclusive_types"
#define KEY_PAGES		"pages"
#define KEY_RECOUNTS		"recounts"
#define KEY_KINDS		"kinds"
#define KEY_MISMATCHES		"mismatches"
#define KEY_LISTED		"listed"
#define KEY_SUMS		"sums"
#define KEY_LEFT_OUT		"left_out"
#define KEY_US			"us"

/* audit: kinds */
#define MISMATCH_COUNT		"count"
#define MISMATCH_EXCLUSIVE	"exclusive"
#define MISMATCH_NOT_FOUND	"not-found"
#define MISMATCH_FLAGS		"flags"
#define MISMATCH_MIGRATION	"migration"

/* audit: listed */
#define KEY_KIND		"kind"
#define KEY_PFN			"pfn"
#define KEY_HEAD		"head"
#define KEY_COUNTED		"counted"
#define KEY_CLAIMED		"claimed"
#define KEY_FLAGS		"flags"
#define KEY_MAPS		"maps"		/* of pid, addr, entry */
#define KEY_ADDR		"addr"
#define KEY_ENTRY		"entry"
#define KEY_MAPPERS		"mappers"

/* audit: sums */
#define KEY_ANON		"anon"
#define KEY_NR_ANON_PAGES	"nr_anon_pages"
#define KEY_FILE		"file"
#define KEY_NR_MAPPED		"nr_mapped"
#define KEY_ZSMALLOC		"zsmalloc"	/* of left_out, too */
#define KEY_NR_ZSPAGES		"nr_zspages"
#define KEY_AGREE		"agree"

/* audit: left_out */
#define KEY_ZERO		"zero"
#define KEY_DEVICE		"device"
#define KEY_LARGE		"large"
#define KEY_SPECIAL_VMAS	"special_vmas"

#endif /* RMAPLAB_PROTOCOL_H */
