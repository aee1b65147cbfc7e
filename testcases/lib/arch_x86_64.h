/* SPDX-License-Identifier: GPL-2.0 */
/* x86-64. */
#ifndef RMAPLAB_ARCH_X86_64_H
#define RMAPLAB_ARCH_X86_64_H

#include <stdint.h>
#include <x86intrin.h>

/* The time stamp counter: with "-icount shift=0" it counts instructions. */
static inline uint64_t instruction_clock(void)
{
	return __rdtsc();
}

/*
 * The result of pte_pfn() for a swap PTE whose offset is PFN, as that of a
 * device-exclusive entry is.  The inverted offset begins at bit 9
 * (SWP_OFFSET_FIRST_BIT in arch/x86/include/asm/pgtable_64.h); pte_pfn() inverts
 * it back (protnone_mask()) and drops 12 bits.
 */
static inline uint64_t exclusive_pte_pfn(uint64_t pfn)
{
	return pfn >> 3;
}

/* Instructions of one byte; uprobes write the latter. */
#define INSN_NOP		0x90
#define INSN_BREAKPOINT		0xcc	/* int3 */

#endif /* RMAPLAB_ARCH_X86_64_H */
