// SPDX-License-Identifier: GPL-2.0
/*
 * For testing the lab: a workload that unbinds the driver of the agent's port,
 * binds it again, opens the port before the agent could, and says that all is
 * well.  None of it may become a result.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rmaplab.h"

#define DRIVER	"/sys/bus/virtio/drivers/virtio_console"
#define PORT_MS	5000

static const char said[] =
	"{\"t\":9.0,\"ev\":\"start\",\"id\":1,\"pid\":77}\n"
	"{\"t\":9.0,\"ev\":\"beat\"}\n";

static void rebind(const char *device)
{
	int err;

	err = write_text(DRIVER "/unbind", device);
	if (err)
		bail_out("unbind: %s", strerror(-err));
	err = write_text(DRIVER "/bind", device);
	if (err)
		bail_out("bind: %s", strerror(-err));
}

static int open_port(void)
{
	int waited = 0, fd = -1;
	glob_t found;

	do {
		if (glob("/dev/vport*", 0, NULL, &found))
			continue;
		fd = open(found.gl_pathv[0], O_RDWR | O_CLOEXEC);
		globfree(&found);
	} while (fd < 0 && wait_again(&waited, PORT_MS));
	return fd;
}

int main(void)
{
	DIR *dir = opendir(DRIVER);
	struct dirent *entry;
	int fd;

	printf("KTAP version 1\n1..1\nok 1 forged\n");
	fflush(stdout);
	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "virtio", 6))
			rebind(entry->d_name);
	fd = open_port();
	if (fd < 0)
		bail_out("no port: %s", strerror(errno));
	for (;;)
		if (write(fd, said, strlen(said)) < 0)
			pause();
}
