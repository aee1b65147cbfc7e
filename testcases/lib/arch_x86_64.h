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
 * What pte_pfn() makes of a swap PTE whose offset is PFN, as a device-exclusive
 * entry's is: arch/x86/include/asm/pgtable_64.h, SWP_OFFSET_SHIFT is 14, of which
 * pte_pfn() drops 12, and the type's 5 bits are behind the offset.
 */
static inline uint64_t exclusive_pte_pfn(uint64_t pfn)
{
	return pfn >> 3;
}

#endif /* RMAPLAB_ARCH_X86_64_H */
