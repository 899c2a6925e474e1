/* io/ring.c - setting up and entering an io_uring. */
#include "io/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/log.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/signals.h"

/* Younger than the headers of liburing 2.3. The kernel says whether it knows them. */
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif

enum {
    CQ_FACTOR = 4,   /* room for completions per submission entry; what overflows is not lost */
    CQ_MOST = 65536, /* the kernel's bound */
    POLL_MOST_NS = 2000000, /* under Valgrind */
    RING_BURST = 20, /* what one enter delivers at most: the kernel's IO_LOCAL_TW_DEFAULT_MAX */
    ENTRIES_MIN = 4,
    MEMLOCK_PAUSE_MS = 2,
};

#define NEEDED_FEATURES                                                        \
    (IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_RW_CUR_POS | \
     IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG |                             \
     IORING_FEAT_RSRC_TAGS /* Linux 5.13, as IORING_POLL_ADD_MULTI, which has no flag of its own */)

/* From the best to the plainest. The first spares the running thread every interrupt: a fifth of an
 * echo's CPU time. */
static const struct {
    unsigned flags;
    const char *lacks;
} levels[] = {
    {IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
         IORING_SETUP_SUBMIT_ALL,
     NULL},
    {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
     "IORING_SETUP_DEFER_TASKRUN (Linux 6.1)"},
    {IORING_SETUP_SUBMIT_ALL, "IORING_SETUP_COOP_TASKRUN (Linux 5.19)"},
    {0, "IORING_SETUP_SUBMIT_ALL (Linux 5.18)"},
};
enum { LEVELS = sizeof(levels) / sizeof(levels[0]) };

static _Atomic(unsigned) x_level; /* the best one that this kernel has taken or may take */
static _Atomic(bool) x_told_level;
static _Atomic(bool) x_told_smaller;

/* Rings closed so far. Pages of one that was closed may be those of the next, in another thread, and only
 * the kernel orders the two: its calls are not seen by ThreadSanitizer. RG1 release add before the pages
 * go -> RG2 acquire load after they were had. */
static _Atomic(uint32_t) x_closed;

/* While nothing is under way: a request keeps the number that it was submitted by. */
static int lift(struct io_uring *uring)
{
    int fd = sk_sys_lift(uring->ring_fd);
    int rc = fd < 0 ? -errno : 0;
    uring->ring_fd = uring->enter_ring_fd = fd;
    if (fd < 0)
        io_uring_queue_exit(uring);
    return rc;
}

static int setup(struct sk_ring *r, uint32_t entries, unsigned level)
{
    struct io_uring_params params;
    memset(&params, 0, sizeof(params));
    params.flags = levels[level].flags | IORING_SETUP_CQSIZE;
    params.cq_entries = entries > CQ_MOST / CQ_FACTOR ? CQ_MOST : entries * CQ_FACTOR;
    int rc = io_uring_queue_init_params(entries, &r->uring, &params);
    if (rc == 0)
        rc = lift(&r->uring);
    if (rc < 0)
        return rc;
    if ((params.features & NEEDED_FEATURES) != NEEDED_FEATURES) {
        io_uring_queue_exit(&r->uring);
        return -ENOTSUP;
    }
    r->enter_flags = (params.features & IORING_FEAT_NO_IOWAIT) != 0 ? IORING_ENTER_NO_IOWAIT : 0;
    r->entries = params.sq_entries;
    if ((params.flags & IORING_SETUP_DEFER_TASKRUN) == 0)
        sk_signals_write_any_time();
    return 0;
}

static int setup_by_level(struct sk_ring *r, uint32_t entries)
{
    for (unsigned level = sk_load_relaxed(&x_level);; level++) {
        int rc = setup(r, entries, level);
        if (rc == -EINVAL && level + 1 < LEVELS)
            continue;
        if (rc == 0 && level > 0) {
            sk_store_relaxed(&x_level, level);
            if (!sk_xchg_acq_rel(&x_told_level, true))
                sk_log(SK_LOG_WARN,
                       "io_uring: this kernel lacks %s: I/O costs up to a quarter more CPU time",
                       levels[level].lacks);
        }
        return rc;
    }
}

static int setup_patiently(struct sk_ring *r, uint32_t entries, skua_time until)
{
    for (;;) {
        int rc = setup_by_level(r, entries);
        if (rc != -ENOMEM || sk_clock_now() >= until)
            return rc;
        const struct timespec pause = {0, SKUA_MS(MEMLOCK_PAUSE_MS)};
        nanosleep(&pause, NULL);
    }
}

static unsigned long long memlock_bytes(void)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ? 0 : (unsigned long long)limit.rlim_cur;
}

static uint32_t round_up(uint32_t entries)
{
    uint32_t n = ENTRIES_MIN;
    while (n < entries)
        n *= 2;
    return n;
}

int sk_ring_open(struct sk_ring *r, uint32_t entries, skua_time patience)
{
    memset(r, 0, sizeof(*r));
    uint32_t wanted = round_up(entries), n = wanted;
    int rc = setup_patiently(r, n, patience);
    while (rc == -ENOMEM && n > ENTRIES_MIN)
        rc = setup_by_level(r, n /= 2);
    if (rc < 0)
        return rc;
    (void)sk_load_acquire(&x_closed); /* RG2 */
    if (n < wanted && !sk_xchg_acq_rel(&x_told_smaller, true))
        sk_log(SK_LOG_WARN,
               "io_uring: the memory lock limit (RLIMIT_MEMLOCK, %llu bytes) has no room for a "
               "ring of %u entries, using %u: raise it (ulimit -l, LimitMEMLOCK=) or set "
               "SKUA_RING_ENTRIES or SKUA_WORKERS lower",
               memlock_bytes(), wanted, n);
    /* The ring is not registered by all kernels, and then works by its descriptor. */
    if (io_uring_register_ring_fd(&r->uring) == 1) {
        r->enter_fd = r->uring.enter_ring_fd;
        r->enter_flags |= IORING_ENTER_REGISTERED_RING;
    } else {
        r->enter_fd = r->uring.ring_fd;
    }
    for (uint32_t i = 0; i < r->entries; i++)
        r->uring.sq.array[i] = i; /* entry i is always at place i: written once, here */
    return 0;
}

void sk_ring_close(struct sk_ring *r)
{
    (void)sk_add_acq_rel(&x_closed, 1u); /* RG1 */
    io_uring_queue_exit(&r->uring);
}

/* What /proc/sys/kernel/io_uring_disabled says; 0 where it is not there. */
static int read_disabled(void)
{
    char text[16];
    ssize_t n = sk_sys_read_text("/proc/sys/kernel/io_uring_disabled", text, sizeof(text));
    return n > 0 ? text[0] - '0' : 0;
}

static void explain_refusal(int err)
{
    int disabled = read_disabled();
    if (disabled > 0)
        sk_log(SK_LOG_ERROR,
               "io_uring is not permitted: sysctl kernel.io_uring_disabled is %d: as root, run "
               "'sysctl kernel.io_uring_disabled=0'%s",
               disabled,
               disabled == 1 ? ", or add this user to the group in kernel.io_uring_group" : "");
    else
        sk_log(SK_LOG_ERROR,
               "io_uring is not permitted (%s): a seccomp filter forbids it, as container runtimes "
               "do by default: allow io_uring_setup, io_uring_enter and io_uring_register (Docker: "
               "--security-opt seccomp=FILE)",
               err == -EACCES ? "EACCES" : "EPERM");
}

static void explain_files(int err)
{
    struct rlimit limit = {0, 0};
    getrlimit(RLIMIT_NOFILE, &limit);
    if (err == -EMFILE)
        sk_log(SK_LOG_ERROR,
               "io_uring: no descriptor is left (RLIMIT_NOFILE, %llu): raise it (ulimit -n, "
               "LimitNOFILE=); each worker needs two, and so does each other thread that does I/O",
               (unsigned long long)limit.rlim_cur);
    else
        sk_log(SK_LOG_ERROR, "io_uring: the system has no file left: raise sysctl fs.file-max");
}

int sk_ring_code(int err)
{
    switch (err) {
    case -EPERM:
    case -EACCES:
    case -ENOSYS:
    case -EINVAL:
        return -ENOTSUP;
    default:
        return err;
    }
}

int sk_ring_explain(int err, uint32_t entries)
{
    switch (err) {
    case -EPERM:
    case -EACCES:
        explain_refusal(err);
        break;
    case -ENOSYS:
        sk_log(SK_LOG_ERROR, "io_uring: this kernel has none (ENOSYS): run on Linux 5.13 or later "
                             "with CONFIG_IO_URING");
        break;
    case -EINVAL:
    case -ENOTSUP:
        sk_log(SK_LOG_ERROR, "io_uring: this kernel's is too old: run on Linux 5.13 or later");
        break;
    case -ENOMEM:
        sk_log(SK_LOG_ERROR,
               "io_uring: no memory for a ring of %u entries: raise the memory lock limit "
               "(RLIMIT_MEMLOCK, %llu bytes: ulimit -l, LimitMEMLOCK=) or set SKUA_RING_ENTRIES or "
               "SKUA_WORKERS lower, or do I/O in fewer threads",
               entries, memlock_bytes());
        break;
    case -EMFILE:
    case -ENFILE:
        explain_files(err);
        break;
    default:
        sk_log(SK_LOG_ERROR, "io_uring: cannot set up a ring of %u entries: error %d (%s)", entries,
               -err, strerrorname_np(-err));
    }
    return sk_ring_code(err);
}

static int wait_arg(struct io_uring_getevents_arg *arg, struct __kernel_timespec *ts,
                    skua_time until)
{
    skua_time left = until - sk_clock_now();
    if (left <= 0)
        return 0;
    ts->tv_sec = left / 1000000000;
    ts->tv_nsec = left % 1000000000;
    memset(arg, 0, sizeof(*arg));
    arg->sigmask_sz = _NSIG / 8;
    arg->ts = (uint64_t)(uintptr_t)ts;
    return 1;
}

/* Valgrind 3.19 takes io_uring_enter for a call that never waits, and keeps every other thread from
 * running meanwhile; of ppoll it knows better. A ring whose completions are made by its owner's enter is not
 * always readable for what waits to be made: so the owner looks again after a while. */
static void wait_in_poll(struct sk_ring *r, skua_time until)
{
    struct pollfd ring = {.fd = r->uring.ring_fd, .events = POLLIN};
    skua_time left = until - sk_clock_now();
    struct timespec ts = {.tv_nsec = left < POLL_MOST_NS ? left : POLL_MOST_NS};
    if (sk_ring_enter(r, 0, SKUA_NEVER) == 0 && sk_ring_ready(r) == 0 && left > 0)
        (void)ppoll(&ring, 1, &ts, NULL);
}

int sk_ring_enter(struct sk_ring *r, unsigned want, skua_time until)
{
    if (want > 0 && sk_san_valgrind()) {
        wait_in_poll(r, until);
        want = 0;
    }
    struct io_uring_sq *sq = &r->uring.sq;
    struct io_uring_getevents_arg arg;
    struct __kernel_timespec ts;
    unsigned flags = r->enter_flags | IORING_ENTER_GETEVENTS;
    void *extra = NULL;
    size_t extra_size = 0;
    if (want > 0 && until != SKUA_NEVER) {
        want = (unsigned)wait_arg(&arg, &ts, until);
        if (want > 0) {
            flags |= IORING_ENTER_EXT_ARG;
            extra = &arg;
            extra_size = sizeof(arg);
        }
    }
    io_uring_smp_store_release(sq->ktail, sq->sqe_tail);
    unsigned before = *r->uring.cq.ktail;
    sk_signals_write_begin();
    int rc =
        io_uring_enter2((unsigned)r->enter_fd, sk_ring_prepared(r), want, flags, extra, extra_size);
    sk_signals_write_end();
    unsigned came = IO_URING_READ_ONCE(*r->uring.cq.ktail) - before;
    r->more = came >= RING_BURST;
    return rc >= 0 || rc == -ETIME || rc == -EINTR ? 0 : rc;
}
