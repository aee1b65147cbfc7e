/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The guest's half of the lab: PID 1 of a fast guest, a child of a
 * distribution's init in a virtme guest.  It speaks the protocol of
 * docs/protocol.md over the virtio-serial port "org.rmaplab.agent".
 */
#ifndef RMAPLAB_AGENT_H
#define RMAPLAB_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#define PROTOCOL_VERSION	2
#define NO_ID			(-1L)
#define MAX_REQUEST		65536
#define MAX_WORDS		512

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define __noreturn		__attribute__((noreturn))
#define __aligned(n)		__attribute__((aligned(n)))

struct word {
	char *s;	/* decoded, with a NUL behind it */
	size_t len;
};

struct request {
	long id;
	int nr;		/* words behind the number; the first is the name */
	struct word word[MAX_WORDS];
};

/* agent.c: the guest's console and kernel log */
extern bool is_init;		/* PID 1, with no other program around */
void __noreturn power_off(int status);
void complain(const char *what, int err);
void kmsg_mark(const char *what, const char *text);
void spare_from_oom(bool spare);
bool write_file(const char *path, const char *text);
/* Up to the next call; empty on an error, cut after 64 KB. */
const char *read_file(const char *path);
/* The same of an open file, from its start; empty also without one (-1). */
const char *reread(int fd);

/* port.c: the virtio-serial port, bytes in and bytes out */
bool port_open(void);
int port_poll_fd(void);
void port_service(void);
void port_write(void);
bool port_has_input(void);
size_t port_room(void);
bool port_line(char *line, bool (*wanted)(const char *line));
bool port_line_too_long(void);
void port_put(const char *s, size_t len);
void port_end_line(void);
void port_flush(void);

/* event.c: one JSON object a line */
void event_begin(const char *name, long id);
void event_int(const char *key, long long value);
void event_bool(const char *key, bool value);
void event_time(const char *key, const struct timespec *t);
void event_text(const char *key, const char *s, size_t len);
void event_string(const char *key, const char *s);
void event_raw(const char *key, const char *json);
void event_open(const char *key);
void event_close(void);
void event_list(const char *key);
void event_item(void);		/* an object in a list; event_close() ends it */
void event_list_end(void);
void event_end(void);
void event_error(long id, const char *message);

/* request.c: parsing and the requests that start no workload */
void request_serve(char *line);
bool request_is_urgent(const char *line);

/* files.c: files read for the lab */
void files_read(const struct request *rq);
void files_hold(const struct request *rq);
void files_sample(const struct request *rq);
void files_rehearse(const struct request *rq);

/* stream.c: a workload's standard output or error */
#define MAX_LINE		4096

struct stream {
	const char *event;
	long id;		/* of the run */
	int fd;
	char line[MAX_LINE];
	size_t len;		/* of the line so far, may exceed MAX_LINE */
	size_t total;
	size_t dropped;
};

void stream_open(struct stream *s, int fd);
bool stream_read(struct stream *s);
bool stream_has_room(void);
void stream_close(struct stream *s);
void stream_report_flood(const struct stream *s);

/* cell.c: the cgroup of the running workload */
bool cell_make(void);
bool cell_join(void);
int cell_count(void);
void cell_kill(void);
int cell_remove(void);		/* errno, 0 is fine */
bool cell_freeze(bool freeze);

/* drain.c: bring counters to rest */
void drain_request(const struct request *rq);

/* khugepaged.c: have its first scan behind us */
void khugepaged_request(const struct request *rq);

/* audit.c: recount the reverse map, see audit.h */
void audit_init(void);
bool audit_wanted(void);
void audit_request(const struct request *rq);
bool audit_open(int *to);
int audit_fd(void);
void audit_close(void);
char *audit_environment(int fd);
void audit_serve_marks(long id);
void audit_end(long id);

/* workload.c: the one running workload */
bool workload_init(void);
bool workload_running(void);
void workload_stage(const struct request *rq);
void workload_start(const struct request *rq);
void workload_start_exact(const struct request *rq);
bool workload_is_mute(void);
void workload_near_the_mark(void);
void workload_stop(void);
void workload_poll(void);

#endif /* RMAPLAB_AGENT_H */
