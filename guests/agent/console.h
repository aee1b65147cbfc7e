/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's console and kernel log. */
#ifndef AGENT_CONSOLE_H
#define AGENT_CONSOLE_H

/* Give a PID 1 that started without a console its descriptors 0 to 2. */
void console_open(void);
/* After /dev and /proc are mounted. */
void console_init(void);
/* One line for what cannot be said over the port. */
void complain(const char *what, int err);
/*
 * One line "rmaplab: WHAT TEXT" (TEXT may be NULL) in the kernel log, and so
 * among the kernel's own lines on the console.
 */
void kmsg_mark(const char *what, const char *text);
/* Wait until the console has what the kernel said before. */
void console_flush(void);

#endif /* AGENT_CONSOLE_H */
