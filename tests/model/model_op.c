/* tests/model/model_op.c - cancel mail against completion: the real state machine of an operation and
 * the real driver, on a kernel that is played. When the call returns, nobody has the operation: not
 * the kernel, not a request that is prepared, not who has cancelled it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/op.h"
#include "io/ring.h"
#include "runtime/base/env.h"
#include "runtime/base/sys.h"
#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

enum { SQ = 8, CQ = 16, WAKE_FD = 5, FD = 9, GOT = 4, CALLER = 0 };

static struct {
    struct sk_driver *driver;
    struct sk_driver_counts counts;
    bool readied; /* the coroutine, by its worker */
    _Atomic(int) x_quit;
    int result;
    struct sk_driver_poll storage;
    struct sk_op op; /* no stack's: what comes next there would write to it when it is gone */
    /* The kernel. Of one ring, whose owner alone looks at all but the last three. */
    struct io_uring_sqe sqes[SQ];
    struct io_uring_cqe cqes[CQ];
    unsigned sq_head, sq_flags, cq_head, cq_tail;
    struct sk_ring *ring;
    uint64_t pending; /* user_data of the read or poll that waits; 0: none */
    int *buffer;      /* NULL: a poll */
    bool stays;       /* a poll that stays armed */
    int told;         /* what it has told of */
    bool wake_read;   /* a read of the eventfd waits */
    bool evasive;     /* has said once that it had the read in hand */
    bool closed;      /* the eventfd */
    bool is_select;   /* others may ready the thread, too */
    _Atomic(uint32_t) x_data, x_hung_up, x_event, x_bell;
} m;

/* ---- the kernel ---- */

static void ring_bell(void)
{
    sk_add_seq_cst(&m.x_bell, 1u);
    model_futex_wake(&m.x_bell, 1);
}

static void tell(uint64_t data, int res, unsigned flags)
{
    struct io_uring_cqe *cqe = &m.cqes[m.cq_tail % CQ];
    *cqe = (struct io_uring_cqe){.user_data = data, .res = res, .flags = flags};
    m.cq_tail++;
}

static void complete(uint64_t data, int res)
{
    tell(data, res, 0);
}

static void try_cancel(const struct io_uring_sqe *sqe)
{
    if (m.pending == 0 || m.pending != sqe->addr || (!m.evasive && model_choose(2) == 1)) {
        m.evasive = true;
        complete(sqe->user_data, -ENOENT);
        return;
    }
    complete(m.pending, -ECANCELED);
    complete(sqe->user_data, 0);
    m.pending = 0;
}

static void submit(const struct io_uring_sqe *sqe)
{
    if (sqe->opcode == IORING_OP_ASYNC_CANCEL) {
        try_cancel(sqe);
    } else if (sqe->fd == WAKE_FD) {
        m.wake_read = true;
    } else {
        m.pending = sqe->user_data;
        m.buffer = (int *)(uintptr_t)sqe->addr;
        m.stays = sqe->opcode == IORING_OP_POLL_ADD && sqe->len == IORING_POLL_ADD_MULTI;
        m.told = 0;
    }
}

/* Tells of a peer that has hung up whether it is asked or not, as the real one does. */
static void look_at_poll(void)
{
    int now = (sk_load_acquire(&m.x_hung_up) != 0 ? POLLRDHUP : 0) |
              (sk_load_acquire(&m.x_data) != 0 ? POLLOUT : 0);
    if (now == m.told)
        return;
    m.told = now;
    tell(m.pending, now, m.stays ? IORING_CQE_F_MORE : 0);
    m.pending = m.stays ? m.pending : 0;
}

/* What has come of what waits. The eventfd's tag is the driver's own. */
static void look(void)
{
    if (m.pending != 0 && m.buffer == NULL) {
        look_at_poll();
    } else if (m.pending != 0 && sk_load_acquire(&m.x_data) != 0) {
        *m.buffer = 7;
        complete(m.pending, GOT);
        m.pending = 0;
    }
    if (m.wake_read && sk_xchg_acq_rel(&m.x_event, 0u) != 0) {
        m.wake_read = false;
        complete(2, 8);
    }
}

int sk_ring_enter(struct sk_ring *r, unsigned want, skua_time until)
{
    for (; m.sq_head != r->uring.sq.sqe_tail; m.sq_head++)
        submit(&m.sqes[m.sq_head % SQ]);
    for (;;) {
        uint32_t bell = sk_load_seq_cst(&m.x_bell);
        look();
        if (want == 0 || m.cq_tail != m.cq_head)
            return 0;
        if (!model_futex_wait(&m.x_bell, bell, until != SKUA_NEVER)) {
            world.now = until;
            return 0;
        }
    }
}

int sk_ring_open(struct sk_ring *r, uint32_t entries, skua_time patience)
{
    (void)entries, (void)patience;
    m.ring = r;
    r->entries = SQ;
    r->uring.sq.khead = &m.sq_head;
    r->uring.sq.kflags = &m.sq_flags;
    r->uring.sq.sqes = m.sqes;
    r->uring.sq.ring_mask = SQ - 1;
    r->uring.cq.khead = &m.cq_head;
    r->uring.cq.ktail = &m.cq_tail;
    r->uring.cq.cqes = m.cqes;
    r->uring.cq.ring_mask = CQ - 1;
    return 0;
}

void sk_ring_close(struct sk_ring *r)
{
    (void)r;
}

int sk_ring_code(int err)
{
    return err;
}

int sk_ring_explain(int err, uint32_t entries)
{
    (void)entries;
    return err;
}

static int make_eventfd(unsigned initial, int flags)
{
    (void)initial, (void)flags;
    return WAKE_FD;
}

static ssize_t write_event(int fd, const void *buf, size_t n)
{
    (void)fd, (void)buf;
    model_assert(!m.closed);
    sk_store_seq_cst(&m.x_event, 1u);
    ring_bell();
    return (ssize_t)n;
}

static int close_event(int fd)
{
    (void)fd;
    m.closed = true;
    return 0;
}

/* The call has returned: who else knows its operation? */
static void kernel_has_forgotten(void)
{
    model_assert(m.pending == 0);
    for (unsigned i = m.sq_head; i != m.ring->uring.sq.sqe_tail; i++)
        model_assert(m.sqes[i % SQ].opcode != IORING_OP_ASYNC_CANCEL);
}

/* ---- the rest of the world ---- */

struct sk_driver *sk_current_driver(void)
{
    struct sk_worker *w = model_worker();
    return w != NULL ? w->driver : NULL;
}

bool sk_current_acquire(void)
{
    return true;
}

void sk_current_wake(struct sk_driver *d)
{
    sk_driver_wake(d);
}

int sk_fd_enter(struct sk_op *op)
{
    op->in_window = op->is_moved = false;
    return 0;
}

void sk_fd_leave(struct sk_op *op)
{
    (void)op;
}

bool sk_fd_is_closing(int fd)
{
    (void)fd;
    return false;
}

bool sk_fd_is_same(int fd, uint32_t generation)
{
    (void)fd, (void)generation;
    return true;
}

void sk_fd_after_fork(void)
{
}

/* No descriptor here is a file. */
bool sk_op_is_file(int fd)
{
    (void)fd;
    return false;
}

bool sk_op_moves_file(struct sk_op *op)
{
    (void)op;
    return false;
}

int sk_op_try_file(struct sk_op *op, skua_time dl)
{
    (void)op, (void)dl;
    return -ENOSYS;
}

/* No descriptor here is O_NONBLOCK. */
int sk_op_await_ready(const struct sk_op *op, unsigned vain, skua_time dl)
{
    (void)op, (void)vain, (void)dl;
    return -ENOSYS;
}

/* The coroutine's worker goes on here until it has readied it. */
void sk_park(void (*commit)(struct skua_task *task, void *arg), void *arg)
{
    struct sk_worker *w = model_worker();
    struct skua_task *self = w->current;
    w->current = NULL;
    commit(self, arg);
    while (!m.readied) {
        (void)sk_driver_poll(w->driver);
        if (!m.readied)
            sk_driver_wait(w->driver, SKUA_NEVER);
    }
    m.readied = false;
    w->current = self;
}

/* OP1: by the ring's owner alone. */
void sk_ready(struct skua_task *task)
{
    if ((task->flags & SK_TASK_PROXY) != 0) {
        model_assert(model_self() == CALLER || m.is_select);
        sk_wait_wake_proxy(task);
        return;
    }
    model_assert(model_self() == CALLER && !m.readied);
    m.readied = true;
}

/* ---- models ---- */

static void begin(void)
{
    world_begin();
    sk_sys.eventfd = make_eventfd;
    sk_sys.write = write_event;
    sk_sys.close = close_event;
    if (fcntl(FD, F_GETFD) < 0) /* the driver of a thread asks the real kernel whether it is open */
        model_assert(dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), FD) == FD);
}

static void setup(void)
{
    begin();
    model_assert(sk_driver_open(&m.driver, &sk_runtime.settings, &m.counts) == 0);
    world.workers[CALLER].driver = m.driver;
}

static void setup_thread(void)
{
    begin();
    world_set(CALLER, WORLD_PLAIN);
}

static void setup_select(void)
{
    setup_thread();
    m.is_select = true;
}

static __attribute__((noinline)) int read_once(skua_time dl)
{
    int buffer = 0;
    sk_op_init(&m.op, SK_OP_RECV, FD, &buffer, sizeof(buffer), 0, 0);
    int rc = (int)sk_op_run(&m.op, dl);
    kernel_has_forgotten();
    model_assert(rc < 0 || (rc == GOT && buffer == 7));
    model_gone(&m.op, sizeof(m.op));
    return rc;
}

static void reader(void)
{
    m.result = read_once(SKUA_NEVER);
    model_assert(m.result == GOT || m.result == -ECANCELED);
}

static void peer(void)
{
    sk_store_seq_cst(&m.x_data, 1u);
    ring_bell();
}

static void canceller(void)
{
    sk_cancel_task(&world.tasks[CALLER]);
}

MODEL(op_complete, .state = &m, .state_bytes = sizeof(m), .setup = setup, .threads = {reader, peer})
MODEL(op_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {reader, canceller})
MODEL(op_cancel_complete, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {reader, canceller, peer})

/* ---- a poll that is not to end by what nobody has asked for ---- */

static __attribute__((noinline)) int poll_once(void)
{
    sk_op_init(&m.op, SK_OP_POLL, FD, NULL, 0, 0, POLLOUT);
    int rc = sk_op_poll(&m.op, SKUA_NEVER);
    kernel_has_forgotten();
    model_gone(&m.op, sizeof(m.op));
    return rc;
}

static void poller(void)
{
    m.result = poll_once();
    model_assert(m.result == POLLOUT || m.result == -ECANCELED);
}

static void patient_poller(void)
{
    m.result = poll_once();
    model_assert(m.result == POLLOUT);
}

static void peer_hangs_up_first(void)
{
    sk_store_seq_cst(&m.x_hung_up, 1u);
    ring_bell();
    peer();
}

MODEL(op_half_closed, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {patient_poller, peer_hangs_up_first})
MODEL(op_half_closed_cancel, .state = &m, .state_bytes = sizeof(m), .setup = setup,
      .threads = {poller, canceller, peer_hangs_up_first})

/* ---- a plain thread's operation, on a ring of its own, whose driver goes when the thread ends ---- */

static void end_thread(void)
{
    sk_wait_close_driver(&world.tasks[CALLER]);
}

static void thread_reader(void)
{
    m.result = read_once(WORLD_SOON);
    model_assert(m.result == GOT || m.result == -ETIMEDOUT);
    end_thread();
}

static void patient_thread_reader(void)
{
    m.result = read_once(SKUA_NEVER);
    model_assert(m.result == GOT || m.result == -ESHUTDOWN);
    end_thread();
}

/* As stop does: it knows the wait by what it reads. */
static void stopper(void)
{
    struct skua_task *proxy = &world.tasks[CALLER];
    uint64_t word = sk_load_seq_cst(&proxy->x_wait);
    if ((word & SK_WAIT_NOCANCEL) == 0)
        sk_wait_wake(proxy, word, SK_WAIT_SHUTDOWN);
}

/* Ends the read in any case: the thread may not have begun it. */
static void stopper_and_peer(void)
{
    stopper();
    peer();
}

MODEL(op_thread, .state = &m, .state_bytes = sizeof(m), .setup = setup_thread,
      .threads = {thread_reader, peer})
MODEL(op_thread_stop, .state = &m, .state_bytes = sizeof(m), .setup = setup_thread,
      .threads = {patient_thread_reader, stopper_and_peer})
MODEL(op_thread_stop_peer, .state = &m, .state_bytes = sizeof(m), .setup = setup_thread,
      .threads = {patient_thread_reader, stopper, peer})

/* ---- a plain thread's select: a poll on its ring, and a waker that has nothing to do with that ---- */

static __attribute__((noinline)) int select_once(skua_time dl)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    m.storage.bound = 0;
    model_assert(sk_wait_begin(&wait, dl, 0) == 0);
    model_assert(sk_driver_poll_arm(&m.storage, FD, POLLOUT, &waiter) == 0);
    int rc = sk_wait_park(&wait);
    int events = sk_driver_poll_disarm(&m.storage);
    kernel_has_forgotten();
    model_gone(&m.storage, sizeof(m.storage));
    return events != 0 ? events : rc;
}

static void selecter(void)
{
    m.result = select_once(WORLD_SOON);
    model_assert(m.result == POLLOUT || m.result == -ETIMEDOUT || m.result == -ESHUTDOWN);
    end_thread();
}

static void patient_selecter(void)
{
    m.result = select_once(SKUA_NEVER);
    model_assert(m.result == POLLOUT || m.result == -ESHUTDOWN);
    end_thread();
}

MODEL(op_select, .state = &m, .state_bytes = sizeof(m), .setup = setup_select,
      .threads = {selecter, stopper})
MODEL(op_select_peer, .state = &m, .state_bytes = sizeof(m), .setup = setup_select,
      .threads = {patient_selecter, stopper_and_peer})
