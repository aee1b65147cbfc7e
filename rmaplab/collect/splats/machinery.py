# SPDX-License-Identifier: GPL-2.0
"""Functions that are in a trace because of how the kernel reports, not because of what broke.

A title and a fingerprint should name the code that misbehaved. The check that noticed
(``__list_del_entry_valid``), the helper that was handed a bad pointer (``memcpy``) and the
machinery that prints (``dump_stack``) are passed over. Each group is a family of functions, never
one function of one bug.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

_REPORTING = r"""
    bad_page print_bad_p\w+ die_\w+ do_el1\w* do_debug\w* __bad_page_fault __do_pgm_check
    pgm_check_handler
    do_protection_exception monitor_event_exception (_|__)?(dev|netdev)_(printk|err|warn|info|emerg)
    (__)?dump_stack(_lvl)? show_(stack|regs|trace|task|fault_oops|opcodes|ip)\w* sched_show_task
    _sched_show_task dump_backtrace\w* unwind_\w+ c?_?backtrace __?panic panic vpanic
    panic_saved_regs __warn\w* warn_slowpath\w* warn_bogus\w* (__)?report_bug fixup_bug
    (un)?handle_bug bug_handler do_error_trap do_trap\w* do_invalid_op invalid_op do_undef\w*
    do_general_protection general_protection exc_\w+ asm_\w+ (async_)?page_fault
    (__)?do_(user_addr|kern_addr)_fault (__)?do_page_fault
    do_(mem_abort|translation_fault|DataAbort|bad_area\w*|alignment\w*) (__)?bad_area\w*
    bad_page_fault page_fault_oops (__)?no_context kernelmode_fixup_or_oops __?die\w* die
    oops_(begin|end) (arm_)?notify_die error_(entry|code) do_(debug|double_fault|divide\w*)
    divide_error double_fault program_check\w* brk_handler call_break_hook
    call_(el1_break|undef)_h\w+ el1\w* bug_brk\w* __dabt_\w+ __irq_svc __und_svc\w*
    ret_from_exception do_sp_pc_abort handle_(exception|page_fault|fault) __rust_begin_unwind
    rust_begin_unwind rust_helper_BUG _R\w*panic\w* .*core::panicking::\w+ nmi_\w+
    (arch_)?trigger_\w*backtrace __schedule_bug spin_(dump|bug) rwlock_bug
    print_unlock_imbalance_bug print_\w*(bug|dump|report) kernel_(exc|fault)_\w+ ex_handler\w*
    fixup_exception restore_all x86_\w*exception check_panic_on_warn __switch_to(_to)?
    assertfail \w*_panic _R\w*(rust|panic)\w* exception_\w+ do_tag_\w+ __do_kernel_fault
    vprintk\w* _?printk console_unlock
"""
_CHECKERS = r"""
    trace_event_(raw|buffer)\w* perf_trace_\w+ __traceiter_\w+ __bpf_trace_\w+
    k(asan|msan|csan|fence|coverage|cov)_\w+ __k(asan|msan|csan)_\w+
    __(asan|msan|tsan|hwasan|ubsan)_\w+ (asan|msan|tsan|ubsan|hwasan)_\w+ __sanitizer\w+
    (__)?write_comp_data check_(memory_region\w*|poison_obj|object|slab)
    check_(bytes_and_report|heap_object|stack_object|preemption_disabled|region_inline)
    print_address_description\w* print_(trailer|error\w*|track) describe_\w+ object_err
    slab_(err|fix|bug|pad_check\w*) end_report start_report fortify_panic __fortify_\w+
    __check_object_size usercopy_\w+ report_usercopy __(read|write)_overflow\w*
    debug_dma_\w+
    err_printk check_(unmap|sync) __this_cpu_preempt_check debug_smp_processor_id debug_objects_\w+
    debug_(print_object|object_\w+|check_no_obj\w*|check_no_locks_\w+)
    debug_(mutex_\w+|spin_\w+|show_\w+|rt_mutex\w+) __debug_(object|check)\w+ refcount_\w+
    __refcount_\w+ instrument_\w+ should_fail\w* fail_dump __should_fail\w*
    stack_(trace|depot)_\w+ arch_stack_walk\w* walk_stackframe handle_overflow val_to_string
    (work|timer|hrtimer)_is_static_object __check_heap_object ref_tracker_\w+ (__)?save_stack\w*
    set_track\w* tag_(clear|mte)\w* page_table_check_\w+ __page_table_check_\w+
    page_counter_(cancel|uncharge) __cant_(sleep|migrate) (__)?kernel_(un)?poison_pages
    check_poison_mem __stack_chk_fail slab_err __slab_err free_to_partial_list
    (alloc|free)_debug_processing
"""
_MEMORY_HELPERS = r"""
    __arch_(copy|clear)_\w+ jhash\w* (__)?siphash\w* xxh(32|64)\w* full_name_hash cpumask_\w+
    percpu_counter_\w+ ktime_get\w* seq_(printf|write|put\w*) try_module_get module_put
    (__)?(pi_)?mem(cpy|move|set|cmp|chr|scan)\w* __?(inline_)?mem(cpy|set|move)
    (__)?(pi_)?str(n?len|n?cpy|l?cpy|scpy|n?cmp|n?casecmp|chr|rchr|nstr|str|lcat) v?s?c?n?printf
    number string(_nocheck)? format_decode hex_(dump\w+|string) _?copy_(to|from)_\w+
    __?copy_(to|from|user|skb)\w* copy(in|out) copy_page(_to|_from|_mc|_erms|_regs)?(_iter)?
    copy_(user|mc)_\w+ (raw|_raw)_copy_\w+
    (__)?(get|put)_user\w* clear_(page|user)\w* __clear_user csum_partial\w* do_csum memdup\w*
    simple_copy_to_iter iterate_(and_advance|bvec|iovec|ubuf|all_kinds)\w*
    iov_iter_(copy\w+|zero|fault\w+) __raw_(read|write)\w*
    (read|write|io(read|write))[bwlq](_relaxed)? in[bwl]\b out[bwl]\b __probe_kernel_read
    probe_kernel_\w+ (__)?might_fault find_(first|next|last)_\w*bit
    _find_(first|next|last)_\w*bit __bitmap_\w+ bitmap_(zero|fill|copy|set|clear|weight|find)\w*
    bitmap_(parse|print|alloc|free|equal|subset|empty|full)\w*
    (arch_)?(test|set|clear|change)_\w*bit\w*
    (arch_|raw_|_|__)*atomic(64|_long)?_(read|set|add|sub|inc|dec)\w*
    (arch_|raw_|_|__)*atomic(64|_long)?_(fetch|try|cmpxchg|xchg|and|or|cond)\w* crc\w+ __crc\w+
    __x86_(indirect|return)_thunk\w* (logic|extr)_(in|out)\w+ (inc|drop|clear|set)_nlink
    mark_buffer_dirty mark_inode_dirty\w* (fast_)?dput iput __lse_\w+ arch_static_\w+
    constant_test_bit variable_test_bit (__)?(read|write)_once\w* __(read|write)_once_size
    rep_(movs|stos)\w*
"""
_ALLOCATORS = r"""
    (__)?folio_put\w* __page_cache_release
    (__|___)?k(m|z|c|vm|vz|vc|re|vre)alloc\w* kmalloc_\w+ (__)?kmem_cache_\w+ (__|___)?slab_\w+
    ___?cache_\w+ cache_(alloc|grow|free|flusharray)\w* (__)?k(v|z)?free\w*
    kfree_(const|sensitive) (__)?v(m|z)alloc\w* vfree\w* (__)?vunmap\w*
    (__)?alloc_(pages|page|frozen)\w* alloc_fresh\w* __alloc_pages\w* get_page_from_freelist
    post_alloc_hook prep_new_page get_free_pages __get_free_pages get_zeroed_page
    __?free_(pages|unref|frozen)\w* free_(pages|page|pcppages|large)\w* free_unref\w*
    bad_page\w* free_tail\w* check_(new|free)_page\w* alloc_slab_page allocate_slab new_slab\w*
    (__)?kmemleak_\w+ create_object __create_object \w+_free_hook do_slab_free memcg_slab_\w+
    (__)?mempool_\w*alloc\w* kasprintf kvasprintf\w* kstrdup\w* kmemdup\w* dev(res|m)_k\w+
    devres_alloc\w* free_percpu pcpu_\w+ (__)?alloc_percpu\w* (__)?krealloc\w* qlink_free
    qlist_free (__)?page_frag_\w+ alloc_pages\w* alloc_node_mem_map (__)?cache_free_\w+
    discard_slab unfreeze_partials put_cpu_partial (__)?flush_(cpu_slab|all)\w* __?quarantine\w*
    get_(any_)?partial\w* alloc_inode_sb alloc_inode sock_[kw]?malloc
    find_(get|lock)_(page|entr|entries|folio)\w*
    truncate_inode_pages\w* pagecache_get_page __?page_cache_alloc
"""
_LOCKING = r"""
    (__)?raw_(spin|read|write|local|irqentry)_\w+ _raw_\w+ do_raw_\w+
    (native_|pv_|__pv_|__)*queued_\w+ (arch|native)_spin_\w+ spin_\w+
    _?(read|write)_(un)?lock\w* queue_(read|write|spin)\w* virt_spin_lock __raw_\w+lock\w*
    (__)?mutex_\w*lock\w* mutex_(trylock|optimistic\w*|spin\w*) (__)?rt_mutex_\w+ rwsem_\w+
    __rwsem_\w+ (__)?(down|up)_(read|write|interruptible|killable|timeout|trylock)\w*
    call_rwsem_\w+ (__)?percpu_(down|up)_\w+
    (__)?lock_(acquire|release|acquired|contended|is_held|set\w*|downgrade)\w* (__)?lockdep_\w+
    register_lock_class assign_lock_key look_up_lock_class mark_(lock\w*|held\w*|usage)
    check_(prev\w*|noncircular|deadlock|usage\w*)
    check_(irq_usage|wait_context|lock_usage|path|chain_key) add_lock_to_list validate_chain
    save_trace alloc_list_entry __?find_held_lock match_held_lock hlock_class valid_state
    reacquire_held_locks (__)?lock_sock\w* __lock_release local_lock\w*
    (trace|lockdep)_(hard|soft)irqs\w* __trace_hardirqs\w* seqcount_\w+ (__)?local_bh_\w+
    raw_local_irq\w* arch_local_\w+ __?local_irq_\w+ (__)?read_seq\w* rcu_read_(un)?lock\w*
    __rcu_read_(un)?lock rcu_lock_\w+ rcu_is_watching __wait_rcu_gp rcu_barrier osq_\w+
    (__)?ldsem_\w+ \w+_(read|write)_lock(_nested)? rcu_dynticks\w* rcu_(note|softirq)_\w+
    __rcu_is_watching (__)?(down|up)(_common)?
"""
_SLEEPING = r"""
    (__)?schedule\w* preempt_schedule\w* io_schedule\w* context_switch (__)?cond_resched\w*
    (__|___)?might_(sleep|resched)\w* (__)?wait_for_(common|completion)\w* do_wait_for_common
    (__)?wait_on_(bit|buffer|page)\w* out_of_line_wait\w* bit_wait\w* (__)?prepare_to_wait\w*
    wait_on_page_\w+ folio_wait_\w+ wait_for_completion\w* (__)?lock_page\w* __?folio_lock\w*
    (__)?finish_wait do_wait_common __wake_up\w* wake_up\w* autoremove_wake_function
    default_wake_function try_to_wake_up add_wait_queue\w* ttwu_\w+ swake_up\w* complete(_all)?
    (hr)?timeout\w* (__)?folio_(un)?lock unlock_page __down_\w+ tty_ldisc_lock\w* do_nanosleep
    kthread_(stop|park|should\w+) hrtimer_nanosleep\w* usleep\w* msleep\w* rq_qos_wait wbt_wait
    __rq_qos_\w+
"""
_LISTS = r"""
    __list_\w+ list_\w+ (__)?hlist_\w+ (__)?rb_(insert|erase|next|prev|first|last|set)\w*
    __rb_\w+ (__)?(xa|xas|idr|ida|radix_tree)_\w+ (__)?rhashtable_\w+ (__)?rht_\w+ llist_\w+
    plist_\w+ klist_\w+ interval_tree_\w+ (__)?assoc_array\w+ mas_\w+
    mt_(find\w*|next|prev|destroy|dump\w*|validate) mtree_\w+
"""
_OBJECTS = r"""
    kref_\w+ (__)?kobject_\w+ kset_\w+ sysfs_\w+
    (__)?kernfs_(remove|add|create|new|find|activate|get|put|link|unlink|next|name|drain)\w*
    internal_create_\w+ dpm_sysfs\w*
    device_(add|del|register|unregister|create|destroy|release|initialize|pm)\w*
    (get|put)_device cdev_\w+ devres_(release|remove|log)\w*
    proc_(register|mkdir|create|symlink)\w* _?proc_mkdir\w* __?proc_create\w* remove_proc\w*
    skb_(push|put|pull|panic|over_panic|under_panic|cow\w*|trim) pskb_(expand|may_pull|pull)\w*
    __?skb_(put|pull|push|trim|cow\w*) (__)?pskb_\w+ i2c_del_adapter\w* i2c_unregister_device
    (__)?device_release_driver\w* bus_remove_device device_for_each_child\w* bus_for_each_\w+
    release_nodes get_device_parent add_uevent_var __unregister_client tty_unregister_\w+
    hwrng_unregister rollback_registered\w* unregister_netdevice_(many|queue)\w*
    usb_(kill|poison|unlink)_urb\w*
"""
_DEFERRED = r"""
    (__)?flush_work(queue)?\w* (__)?cancel_(delayed_)?work\w* __cancel_\w+ drain_workqueue
    destroy_workqueue (__)?queue_(delayed_)?work\w* insert_work get_work_pool
    (del|mod|add)_timer\w* try_to_grab_pending grab_pending work_grab_pending
    (__)?timer_delete\w* __mod_timer try_to_del_timer\w* del_singleshot\w* lock_timer_base
    detach_(timer|if_pending)\w* call_rcu\w* __call_rcu\w* kvfree_call_rcu debug_rcu_\w+
    __kthread_\w+ start_flush_work check_flush_dependency (__)?tasklet_schedule\w* irq_work_\w+
    smp_call_function\w* csd_lock\w* generic_exec_single on_each_cpu\w*
"""


def _family(*groups: str) -> re.Pattern[str]:
    """One pattern out of blank-separated ones, each for a whole function name."""
    return re.compile("|".join(f"(?:{part})" for group in groups for part in group.split()))


_GROUPS = (
    _REPORTING, _CHECKERS, _MEMORY_HELPERS, _ALLOCATORS, _LOCKING, _SLEEPING, _LISTS, _OBJECTS,
    _DEFERRED,
)  # fmt: skip
_MACHINERY = _family(*_GROUPS)
_REPORT_ONLY = _family(_REPORTING)
_CHECKER = _family(_CHECKERS)


@lru_cache(maxsize=4096)
def is_machinery(function: str) -> bool:
    """Whether a function reports, checks or helps, so that the title looks further out."""
    return _MACHINERY.fullmatch(function) is not None


@lru_cache(maxsize=4096)
def is_reporting(function: str) -> bool:
    """Whether a function is part of printing the splat itself."""
    return _REPORT_ONLY.fullmatch(function) is not None


# What an entry from user space, an exception or a thread starts with: below it is nothing.
_ENTRY = _family(
    r"""
    entry_\w+ do_syscall_\w+ do_(fast|int80)_syscall\w* __do_fast_syscall\w* ret_from_\w+
    ret_fast_\w+ ret_to_\w+ el0\w* invoke_syscall do_el0_\w+
    syscall_(exit|enter|trace|return|call|slow\w*)\w* system_call\w* kthread kthread_worker_fn
    worker_thread x(64|32)_sys_call ia32_sys_call exit_to_user\w* work_pending tracesys\w*
    start_secondary secondary_startup\w* __libc\w* sysenter_\w+ kernel_thread_starter int_ret\w*
    el1_irq el1h\w* handle_exception\w* do_notify_resume
"""
)
_INTERRUPT = _family(
    r"""
    (smp_)?(apic_timer|reschedule|call_function\w*)_interrupt\w*
    (smp_)?(local_timer|thermal|trace_apic\w*)_interrupt\w* \w*hrtimer_(interrupt|run_queues)\w*
    tick_\w+ update_process_times rcu_\w+ print_cpu_stall check_cpu_stall print_other_cpu_stall
    irqentry_\w+ preempt_schedule_irq sysvec_\w+ __sysvec_\w+ asm_\w+ local_apic_timer\w*
    run_(local_)?timers\w* (__)?do_softirq\w* irq_exit\w* __irq_exit\w* invoke_softirq
    handle_softirqs gic_\w+ (__)?handle_(domain_)?irq\w* generic_handle\w* handle_percpu\w*
    arch_timer_\w+ (generic_)? do_IRQ common_interrupt interrupt_entry ret_from_intr
    call_on_(irq_)?stack\w* do_interrupt_handler scheduler_tick sched_tick timer_interrupt
    watchdog\w* perf_\w*nmi\w* default_do_nmi do_nmi end_repeat_nmi io_serial_\w+ serial\w*
    uart_\w+ univ8250\w* wait_for_\w*xmitr call_console_drivers\w* console_\w+ vprintk\w*
    __down_trylock_console_sem irq_work_run\w* restore_regs\w* notifier_call_chain hung_task\w*
    check_hung\w* dump_cpu_task dump_task\w* arch_trigger\w* csd_\w+ flush_smp_call\w*
"""
)
_PASSED_OVER = re.compile("|".join(p.pattern for p in (_REPORT_ONLY, _CHECKER, _INTERRUPT)))
# The kernel's big switches: what one of them calls is the handler that a user, a packet or a
# timer asked for, and that is who a stall is named after.
_DISPATCHERS = _family(
    r"""
    (do_)?vfs_ioctl (__do_|__se_|__x64_|__arm64_|__ia32_|compat_)*(sys|SyS)_ioctl ksys_ioctl
    do_vfs_ioctl (__)?(compat_)?(do_)?(vfs|kernel)_(read|write)v? new_sync_(read|write)
    call_(read|write)_iter do_iter_\w+ do_loop_readv\w* __fput call_mmap mmap_region
    do_dentry_open vfs_open __do_fault do_(read|shared|cow)_fault (__)?netif_receive_skb\w*
    call_timer_fn process_one_work process_scheduled_works tasklet_action\w* rtnetlink_rcv_msg
    nfnetlink_rcv_\w*msg full_proxy_\w+ proc_reg_\w+ (__sys|do_sock|sock_common)_[gs]etsockopt
    genl_\w*rcv_msg\w* kthread
"""
)


def is_entry(function: str) -> bool:
    """Whether a function is an entry into the kernel or the start of a thread."""
    return _ENTRY.fullmatch(function) is not None


_IDLE = _family("cpu_startup_entry do_idle default_idle\\w* cpu_idle\\w* arch_cpu_idle\\w*")
_CROSS_CPU = re.compile(r"smp_call_function\w*")
_ALLOCATING = _family(r"\w*alloc\w*", _ALLOCATORS, _LISTS, _CHECKERS)


@lru_cache(maxsize=4096)
def is_checker(function: str) -> bool:
    """Whether a function is a sanitizer or a debugging check."""
    return _CHECKER.fullmatch(function) is not None


@lru_cache(maxsize=4096)
def allocates(function: str) -> bool:
    """Whether a function hands out memory: a leak is its caller's, or further out."""
    return _ALLOCATING.fullmatch(function) is not None


def stall_handler(functions: Sequence[str]) -> str | None:
    """The handler in which a CPU was stuck: what the innermost dispatcher had called.

    ``functions`` is a trace, innermost first. Where in the handler a timer happened to find the
    CPU is chance, so a stall is not named after it.
    """
    candidates = [name for name in functions if not _PASSED_OVER.fullmatch(name)]
    outermost = None
    for number, inner in enumerate(candidates, start=1):
        outer = candidates[number] if number < len(candidates) else ""
        if is_entry(inner) or _IDLE.fullmatch(inner):
            break
        if _CROSS_CPU.fullmatch(inner):
            return inner
        if _DISPATCHERS.fullmatch(outer) and not _DISPATCHERS.fullmatch(inner):
            return inner
        outermost = inner
    return outermost
