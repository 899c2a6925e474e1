/* io/driver_uring.c - runtime/driver.h on io_uring: one ring, one mailbox and one eventfd per
 * worker, and per plain thread that does I/O. A completion's user_data is the address of its operation, and its low bits say what
 * completed. */
#include "runtime/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdalign.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

#include "io/fd.h"
#include "io/op.h"
#include "io/ring.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/env.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/current.h"
#include "runtime/runtime.h"

enum { TAG_OP = 0, TAG_CANCEL = 1, TAG_WAKE = 2, TAG_MASK = 3 };

struct sk_driver {
    struct sk_ring ring;
    struct sk_driver_counts *counts;
    struct skua_task *proxy; /* of the plain thread that owns it; NULL: a worker does */
    int wake_fd;
    bool wake_armed;       /* a read of wake_fd is in the ring, or prepared */
    uint64_t wake_value;   /* where that read writes to */
    uint32_t limited;      /* limited operations in the ring */
    struct sk_mail *turns; /* those that wait for their turn, first to last */
    struct sk_mail *last_turn;
    struct sk_driver_counts own_counts; /* a plain thread's, which nobody reads */
    /* Any thread. */
    alignas(SK_CACHELINE) _Atomic(struct sk_mail *) x_mail;
    _Atomic(uint32_t) x_wake; /* wake_fd was written and the owner has not taken it in */
};

/* Operations on files at once per ring. What is not in the page cache occupies one of the kernel's
 * worker threads, by default four per processor; more than these only fill its queue. Operations
 * that wait for a peer occupy none. */
enum { LIMITED_MOST = 64 };

/* Of a plain thread's ring. Queues of this length and the entries fill one page each, the least that
 * the kernel allocates; they are full only where a select has more descriptors. */
enum { THREAD_ENTRIES = 32 };

/* How often one line says that a ring cannot be entered, or that a plain thread can have none. */
#define COMPLAINT_EVERY_NS SKUA_S(60)

/* The kernel returns the charge of a ring that was closed late: so long a new one waits for it. */
#define PATIENCE_NS SKUA_S(1)

static const uint8_t opcodes[SK_OP_KINDS] = {
    [SK_OP_READ] = IORING_OP_READ,       [SK_OP_WRITE] = IORING_OP_WRITE,
    [SK_OP_READV] = IORING_OP_READV,     [SK_OP_WRITEV] = IORING_OP_WRITEV,
    [SK_OP_RECV] = IORING_OP_RECV,       [SK_OP_SEND] = IORING_OP_SEND,
    [SK_OP_RECVMSG] = IORING_OP_RECVMSG, [SK_OP_SENDMSG] = IORING_OP_SENDMSG,
    [SK_OP_ACCEPT] = IORING_OP_ACCEPT,   [SK_OP_CONNECT] = IORING_OP_CONNECT,
    [SK_OP_POLL] = IORING_OP_POLL_ADD,
};

/* Owner only, as are all functions without a word. */
static void count(_Atomic(uint64_t) *counter, uint64_t n)
{
    sk_store_relaxed(counter, sk_load_relaxed(counter) + n);
}

/* ---- Completions. */

/* A wake that finds x_wake set writes nothing: it relies on this exchange, whose reader then looks
 * at everything that the waker published before. The read is armed again before the ring is entered
 * next. */
static void take_wake(struct sk_driver *d)
{
    d->wake_armed = false;
    sk_xchg_acq_rel(&d->x_wake, 0u);
}

static unsigned take(struct sk_driver *d, uint64_t data, int32_t res, unsigned flags)
{
    struct sk_op *op = (struct sk_op *)(uintptr_t)(data & ~(uint64_t)TAG_MASK);
    switch (data & TAG_MASK) {
    case TAG_OP:
        if (sk_unlikely((flags & IORING_CQE_F_MORE) != 0))
            sk_op_event(op, res);
        else
            sk_op_complete(op, res);
        return 1;
    case TAG_CANCEL:
        return sk_op_cancel_complete(op, res);
    default:
        take_wake(d);
        return 0;
    }
}

/* Takes out all completions that are there. Prepares no request: the ring may be full. */
static unsigned reap(struct sk_driver *d)
{
    struct io_uring_cq *cq = &d->ring.uring.cq;
    unsigned head = *cq->khead;
    unsigned tail = io_uring_smp_load_acquire(cq->ktail);
    unsigned done = 0;
    if (head == tail)
        return 0;
    for (; head != tail; head++) {
        const struct io_uring_cqe *cqe = &cq->cqes[head & cq->ring_mask];
        done += take(d, cqe->user_data, cqe->res, cqe->flags);
    }
    io_uring_smp_store_release(cq->khead, head);
    count(&d->counts->x_completions, done);
    return done;
}

/* ---- Requests. */

/* The kernel refuses for a reason that passes, or that nobody here can mend: not without a word. True:
 * nor in a hot loop. */
static bool enter_failed(const struct sk_driver *d, int err)
{
    static struct sk_log_limit limit;
    bool passes = err == -EBUSY || err == -EAGAIN; /* completions to take out, or memory short */
    if (passes && sk_ring_ready(&d->ring) > 0)
        return false;
    if (!passes && sk_log_may(&limit, sk_clock_now(), COMPLAINT_EVERY_NS))
        sk_log(SK_LOG_ERROR, "io_uring_enter failed: error %d (%s); trying again", -err,
               strerrorname_np(-err));
    return true;
}

/* True: the ring was entered, or is to be entered again at once. Without waiting: a worker that has
 * coroutines to run goes on with them. */
static bool try_enter(struct sk_driver *d, unsigned want, skua_time until)
{
    count(&d->counts->x_enters, 1);
    int rc = sk_ring_enter(&d->ring, want, until);
    return sk_likely(rc >= 0) || !enter_failed(d, rc);
}

/* For a worker that has nothing else to do, or cannot go on without the kernel. */
static void enter(struct sk_driver *d, unsigned want, skua_time until)
{
    const struct timespec ms = {0, 1000000};
    if (sk_unlikely(!try_enter(d, want, until)))
        nanosleep(&ms, NULL);
}

/* Makes room for n requests that follow each other without a gap. Completions that the kernel wants
 * taken out are taken out, mail is not: an operation that is being armed must not be cancelled
 * before it is. */
static void reserve(struct sk_driver *d, unsigned n)
{
    while (sk_unlikely(sk_ring_room(&d->ring) < n)) {
        enter(d, 0, SKUA_NEVER);
        if (sk_ring_room(&d->ring) < n)
            reap(d);
    }
}

/* The kernel wakes no poll of a ring by POLLPRI alone: but what wakes by that wakes by POLLRDBAND too.
 * What is so, sk_op_events finds out. */
static void fill_poll(struct io_uring_sqe *sqe, const struct sk_op *op)
{
    if ((op->flags & POLLPRI) != 0)
        sqe->poll32_events |= POLLRDBAND;
    if (op->stays)
        sqe->len = IORING_POLL_ADD_MULTI;
}

static void fill(struct io_uring_sqe *sqe, const struct sk_op *op)
{
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = opcodes[op->kind];
    sqe->fd = op->fd;
    sqe->off = op->off;
    sqe->addr = op->addr;
    sqe->len = op->len;
    sqe->rw_flags = (int)op->flags; /* msg_flags, accept_flags, poll32_events: the same place */
    if (sk_unlikely(op->kind == SK_OP_POLL))
        fill_poll(sqe, op);
    if (sk_unlikely(op->is_nowait) && op->kind <= SK_OP_SENDMSG)
        sqe->rw_flags |= op->kind <= SK_OP_WRITEV ? RWF_NOWAIT : MSG_DONTWAIT;
    sqe->user_data = (uint64_t)(uintptr_t)op | TAG_OP;
}

static void fill_cancel(struct io_uring_sqe *sqe, const struct sk_op *op)
{
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_ASYNC_CANCEL;
    sqe->fd = -1;
    sqe->addr = (uint64_t)(uintptr_t)op | TAG_OP;
    sqe->user_data = (uint64_t)(uintptr_t)op | TAG_CANCEL;
}

void sk_driver_arm(struct sk_driver *d, const struct sk_op *op)
{
    reserve(d, 1);
    fill(sk_ring_next(&d->ring), op);
}

void sk_driver_arm_at_once(struct sk_driver *d, const struct sk_op *op)
{
    reserve(d, 2);
    fill(sk_ring_next(&d->ring), op);
    fill_cancel(sk_ring_next(&d->ring), op);
}

void sk_driver_arm_cancel(struct sk_driver *d, const struct sk_op *op)
{
    reserve(d, 1);
    fill_cancel(sk_ring_next(&d->ring), op);
}

static void arm_wake(struct sk_driver *d)
{
    if (sk_likely(d->wake_armed))
        return;
    reserve(d, 1);
    struct io_uring_sqe *sqe = sk_ring_next(&d->ring);
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_READ;
    sqe->fd = d->wake_fd;
    sqe->off = UINT64_MAX;
    sqe->addr = (uint64_t)(uintptr_t)&d->wake_value;
    sqe->len = sizeof(d->wake_value);
    sqe->user_data = TAG_WAKE;
    d->wake_armed = true;
}

/* ---- Turns of limited operations. */

bool sk_driver_admit(struct sk_driver *d, struct sk_mail *arm)
{
    if (d->limited < LIMITED_MOST) {
        d->limited++;
        return true;
    }
    arm->next = NULL;
    if (d->turns == NULL)
        d->turns = arm;
    else
        d->last_turn->next = arm;
    d->last_turn = arm;
    return false;
}

void sk_driver_leave(struct sk_driver *d)
{
    d->limited--;
}

/* Not while completions are taken out: it prepares requests. Returns how many waiters it has
 * readied. */
static unsigned give_turns(struct sk_driver *d)
{
    unsigned readied = 0;
    while (sk_unlikely(d->turns != NULL) && d->limited < LIMITED_MOST) {
        struct sk_mail *first = d->turns;
        d->turns = first->next;
        readied += sk_op_take(first);
    }
    return readied;
}

/* ---- Mail. */

static void push_mail(struct sk_driver *d, struct sk_mail *mail)
{
    struct sk_mail *first = sk_load_relaxed(&d->x_mail);
    do
        mail->next = first;
    while (!sk_cas_seq_cst(&d->x_mail, &first, mail)); /* OP4 */
}

/* Any thread. The thread that owns the driver may end as soon as it has taken the mail in. */
static void post_to_thread(struct sk_driver *d, struct sk_mail *mail)
{
    struct skua_task *proxy = d->proxy;
    sk_wait_before_mail(proxy);
    push_mail(d, mail);
    sk_wait_after_mail(proxy);
}

/* Any thread. */
void sk_driver_post(struct sk_driver *d, struct sk_mail *mail)
{
    if (sk_unlikely(d->proxy != NULL)) {
        post_to_thread(d, mail);
        return;
    }
    /* The operation ends only after its mail was taken in, so the runtime is there now; a plain
     * thread keeps it so until it has woken the worker. */
    bool held = sk_current_worker() == NULL && sk_runtime_hold();
    push_mail(d, mail);
    sk_current_wake(d);
    if (held)
        sk_current_release();
}

bool sk_driver_has_mail(struct sk_driver *d)
{
    return sk_load_seq_cst(&d->x_mail) != NULL; /* after sleep was announced: runtime/idle.h */
}

/* Returns how many waiters it has readied. */
static unsigned take_mail(struct sk_driver *d)
{
    if (sk_likely(!sk_driver_has_mail(d)))
        return 0;
    struct sk_mail *mail = sk_xchg_acquire(&d->x_mail, NULL); /* OP5 */
    unsigned readied = 0;
    while (mail != NULL) {
        struct sk_mail *next = mail->next; /* its operation may be gone after this */
        readied += sk_op_take(mail);
        mail = next;
    }
    return readied;
}

/* Any thread. */
void sk_driver_wake(struct sk_driver *d)
{
    if (sk_xchg_acq_rel(&d->x_wake, 1u) != 0)
        return; /* one is under way, and the owner looks at everything after it */
    const uint64_t one = 1;
    int before = sk_sys_bar_cancel(); /* the caller holds the runtime */
    sk_san_acquire(&d->wake_fd);
    while (sk_sys.write(d->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    sk_san_release(&d->x_wake);
    sk_sys_allow_cancel(before);
}

/* ---- The owner's side. */

unsigned sk_driver_poll(struct sk_driver *d)
{
    unsigned n = take_mail(d);
    if (sk_ring_prepared(&d->ring) > 0 || sk_ring_has_news(&d->ring)) {
        arm_wake(d);
        (void)try_enter(d, 0, SKUA_NEVER);
    }
    n += reap(d);
    return n + give_turns(d);
}

void sk_driver_wait(struct sk_driver *d, skua_time until)
{
    if (sk_driver_has_mail(d) || sk_ring_ready(&d->ring) > 0)
        return;
    uint64_t before = sk_load_relaxed(&d->counts->x_completions);
    arm_wake(d);
    if (sk_unlikely(sk_load_relaxed(&d->counts->x_completions) != before ||
                    (d->turns != NULL && d->limited < LIMITED_MOST)))
        return; /* room was made by taking completions out: their tasks are ready */
    count(&d->counts->x_sleeps, 1);
    enter(d, 1, until);
}

/* ---- Opening and closing. */

/* A worker of this start has said why it has no ring: the others, which lack the same, do not repeat it. */
static _Atomic(bool) x_told_worker;

int sk_driver_probe(const struct sk_settings *settings)
{
    static _Atomic(bool) x_works;
    sk_store_relaxed(&x_told_worker, false);
    if (settings->io == SK_IO_EPOLL) {
        sk_log(SK_LOG_ERROR, "SKUA_IO='epoll': this build does I/O by io_uring only: unset it, or "
                             "set it to 'auto'");
        return -ENOTSUP;
    }
    if (sk_load_relaxed(&x_works))
        return 0; /* should it have been forbidden since, the workers say so */
    struct sk_ring ring;
    int rc = sk_ring_open(&ring, 1, skua_in(PATIENCE_NS));
    if (rc < 0)
        return sk_ring_explain(rc, settings->ring_entries);
    sk_ring_close(&ring);
    sk_store_relaxed(&x_works, true);
    return 0;
}

/* 0, or why it failed, in the kernel's words. */
static int open_driver(struct sk_driver **out, uint32_t entries, skua_time patience)
{
    struct sk_driver *d = sk_mem_zalloc_aligned(SK_CACHELINE, sizeof(*d));
    if (d == NULL)
        return -ENOMEM;
    d->counts = &d->own_counts;
    /* Not O_NONBLOCK: a read in the ring would then return at once. */
    d->wake_fd = sk_sys.eventfd(0, EFD_CLOEXEC);
    int rc = d->wake_fd < 0 ? -errno : sk_ring_open(&d->ring, entries, patience);
    if (rc < 0) {
        if (d->wake_fd >= 0)
            sk_sys.close(d->wake_fd);
        sk_mem_free(d);
        return rc;
    }
    arm_wake(d);
    sk_san_release(&d->wake_fd); /* wakers come after it, in no order among them */
    *out = d;
    return 0;
}

int sk_driver_open(struct sk_driver **out, const struct sk_settings *settings,
                   struct sk_driver_counts *counts)
{
    int rc = open_driver(out, settings->ring_entries, skua_in(PATIENCE_NS));
    if (rc < 0)
        return sk_xchg_acq_rel(&x_told_worker, true) ? sk_ring_code(rc)
                                                     : sk_ring_explain(rc, settings->ring_entries);
    (*out)->counts = counts;
    return 0;
}

/* Apart, because it happens once. */
static __attribute__((noinline)) int open_of_thread(struct sk_driver **out, struct skua_task *proxy,
                                                    skua_time dl)
{
    static struct sk_log_limit limit;
    skua_time now = sk_clock_now(), patience = now + PATIENCE_NS;
    uint32_t most = sk_runtime.settings.ring_entries;
    uint32_t entries = most < THREAD_ENTRIES ? most : THREAD_ENTRIES;
    int before = sk_sys_bar_cancel();
    int rc = open_driver(out, entries, dl < patience ? dl : patience);
    if (rc < 0)
        rc = sk_log_may(&limit, now, COMPLAINT_EVERY_NS) ? sk_ring_explain(rc, entries)
                                                         : sk_ring_code(rc);
    sk_sys_allow_cancel(before);
    if (rc < 0)
        return rc;
    (*out)->proxy = proxy;
    proxy->proxy.driver = *out;
    return 0;
}

int sk_driver_of_thread(struct sk_driver **out, struct skua_task *proxy, int fd, skua_time dl)
{
    *out = proxy->proxy.driver;
    if (sk_likely(*out != NULL))
        return 0;
    return fcntl(fd, F_GETFD) < 0 ? -EBADF : open_of_thread(out, proxy, dl);
}

void sk_driver_forget(struct sk_driver *d)
{
    sk_ring_close(&d->ring);
    sk_sys.close(d->wake_fd);
    sk_mem_free(d);
}

/* The read of the eventfd is ended first: a ring with a request in it gives its memory back much
 * later. */
void sk_driver_close(struct sk_driver *d)
{
    skua_time until = sk_clock_now() + SKUA_MS(100);
    sk_driver_wake(d);
    while (d->wake_armed && sk_clock_now() < until) {
        enter(d, 1, until);
        reap(d);
    }
    sk_ring_close(&d->ring);
    sk_san_acquire(&d->x_wake);
    sk_sys.close(d->wake_fd);
    sk_mem_free(d);
}

void sk_driver_after_fork(void)
{
    sk_fd_after_fork();
}

/* The table of descriptors stays: skua_close may look into it at any time. */
void sk_driver_stop(void)
{
}
