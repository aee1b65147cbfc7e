/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What is used of qemu-plugin.h, which Debian 12 does not ship. It is the same
 * in versions 1 to 6; since 7 a callback has a pointer of its own.
 */
#ifndef PLUGIN_API
#error "PLUGIN_API is the version of QEMU's plugin interface"
#endif

#include <stddef.h>
#include <stdint.h>

struct qemu_info {
	const char *target_name;
	struct {
		int min;
		int cur;
	} version;
};

/* What QEMU looks for. */
#pragma GCC visibility push(default)
extern int qemu_plugin_version;
int qemu_plugin_install(uint64_t id, const struct qemu_info *info, int argc,
			char **argv);
#pragma GCC visibility pop

struct qemu_plugin_tb;
struct qemu_plugin_insn;

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb,
						 size_t number);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);

#if PLUGIN_API >= 7
typedef void (*translated_fn)(struct qemu_plugin_tb *tb, void *data);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_fn fn, void *data);
#else
typedef void (*translated_fn)(uint64_t id, struct qemu_plugin_tb *tb);
void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_fn fn);
#endif
