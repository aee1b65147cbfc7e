// SPDX-License-Identifier: GPL-2.0
/* Memory of a tmpfs file. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <unistd.h>

#include "rmaplab.h"

int shmem_file(size_t size)
{
	int file = memfd_create("shmem", MFD_CLOEXEC);

	require_errno(file >= 0, "memfd_create");
	require_errno(!ftruncate(file, size), "ftruncate");
	return file;
}

char *shmem_map(int file, size_t size)
{
	char *addr = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file,
			  0);

	require_errno(addr != MAP_FAILED, "mmap");
	return addr;
}
