/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between architectures: a header each. */
#ifndef RMAPLAB_ARCH_H
#define RMAPLAB_ARCH_H

#if defined(__x86_64__)
#include "arch_x86_64.h"
#else
#error "the testcases need an arch_*.h for this architecture"
#endif

#endif /* RMAPLAB_ARCH_H */
