/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's own code has by its compiler.h and align.h. */
#ifndef RMAPLAB_COMPILER_H
#define RMAPLAB_COMPILER_H

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define __printf(f, a)	__attribute__((format(printf, f, a)))
#define __noreturn	__attribute__((noreturn))
#define __aligned(n)	__attribute__((aligned(n)))

/* The first address from P on that is a multiple of A, a power of two. */
static inline void *ptr_align(const void *p, unsigned long a)
{
	return (void *)(((unsigned long)p + a - 1) & ~(a - 1));
}

#endif /* RMAPLAB_COMPILER_H */
