/* io/fd.c - the table of descriptors, and closing. */
#include "io/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/block.h"
#include "runtime/current.h"
#include "runtime/driver.h"
#include "runtime/solo.h"

_Atomic(struct sk_fd *) sk_fd_chunks[SK_FD_CHUNKS];

/* Written once, by the only thread of a forked child. */
static bool is_forked;

void sk_fd_after_fork(void)
{
    is_forked = true;
}

struct sk_fd *sk_fd_make(int fd)
{
    struct sk_fd *entry = sk_fd_find(fd);
    if (entry != NULL || fd < 0)
        return entry;
    unsigned index = (unsigned)fd >> SK_FD_CHUNK_SHIFT;
    if (index >= SK_FD_CHUNKS)
        return NULL;
    struct sk_fd *chunk = sk_mem_zalloc_aligned(SK_CACHELINE, SK_FD_CHUNK * sizeof(struct sk_fd));
    if (chunk == NULL)
        return NULL;
    struct sk_fd *there = NULL;
    if (!sk_cas_acq_rel(&sk_fd_chunks[index], &there, chunk)) /* FD1 */
        sk_mem_free(chunk);                                   /* another thread was faster */
    return sk_fd_find(fd);
}

static struct sk_op *op_of(struct sk_list *node)
{
    return sk_container_of(node, struct sk_op, wait.link);
}

/* Why there is no entry for fd. */
static int refusal(int fd)
{
    return (unsigned)fd >> SK_FD_CHUNK_SHIFT >= SK_FD_CHUNKS ? -EBADF : -ENOMEM;
}

/* Which way it moves data, or waits to. */
enum way { IN, OUT, NEITHER };

static enum way way_of(const struct sk_op *op)
{
    switch (op->kind) {
    case SK_OP_READ:
    case SK_OP_READV:
    case SK_OP_RECV:
    case SK_OP_RECVMSG:
        return IN;
    case SK_OP_WRITE:
    case SK_OP_WRITEV:
    case SK_OP_SEND:
    case SK_OP_SENDMSG:
        return OUT;
    case SK_OP_POLL:
        return (op->flags & POLLIN) != 0 ? IN : (op->flags & POLLOUT) != 0 ? OUT : NEITHER;
    default:
        return NEITHER;
    }
}

/* It waits in the kernel, which would else give what is there. */
static bool waits_for_all(const struct sk_op *op)
{
    return (op->kind == SK_OP_RECV || op->kind == SK_OP_RECVMSG) && (op->flags & MSG_WAITALL) != 0;
}

/* An operation that waits in the kernel beside others of its way loses most races for what comes, and
 * the kernel gives one that has lost 128 times a thread of its own. */
static bool has_rival_locked(const struct sk_fd *entry, const struct sk_op *op)
{
    enum way way = way_of(op);
    if (way == NEITHER || waits_for_all(op))
        return false;
    for (struct sk_list *node = entry->ops; node != NULL; node = node->next)
        if (way_of(op_of(node)) == way)
            return true;
    return false;
}

int sk_fd_enter(struct sk_op *op)
{
    struct sk_fd *entry = sk_fd_find(op->fd);
    if (sk_unlikely(entry == NULL)) {
        entry = sk_fd_make(op->fd);
        if (entry == NULL)
            return refusal(op->fd);
    }
    struct sk_list *node = &op->wait.link;
    op->entry = entry;
    op->is_moved = false;
    node->prev = NULL;
    sk_solo_lock(&entry->lock);
    bool closed_since = op->is_bound && (entry->closing || entry->generation != op->generation);
    if (sk_unlikely(entry->closing || closed_since)) {
        sk_unlock(&entry->lock);
        return closed_since ? -ECANCELED : -EBADF;
    }
    op->is_bound = true;
    op->generation = entry->generation;
    op->in_window = entry->windows > 0;
    if (sk_unlikely(entry->ops != NULL) && !op->is_limited && !op->may_wait)
        op->is_nowait |= has_rival_locked(entry, op);
    node->next = entry->ops;
    if (node->next != NULL)
        node->next->prev = node;
    entry->ops = node;
    sk_unlock(&entry->lock);
    return 0;
}

void sk_fd_leave(struct sk_op *op)
{
    struct sk_fd *entry = op->entry;
    struct sk_list *node = &op->wait.link;
    struct skua_task *closer = NULL;
    uint64_t ticket = 0;
    sk_solo_lock(&entry->lock);
    if (node->prev != NULL)
        node->prev->next = node->next;
    else
        entry->ops = node->next;
    if (node->next != NULL)
        node->next->prev = node->prev;
    if (sk_unlikely(entry->closer != NULL) && entry->ops == NULL) {
        closer = entry->closer->task; /* its stack may be gone once the lock is */
        ticket = entry->closer->ticket;
        entry->closer = NULL;
    }
    sk_unlock(&entry->lock);
    if (sk_unlikely(closer != NULL))
        sk_wait_wake(closer, ticket, SK_WAIT_WOKEN);
}

/* Claims operations of the entry, all or those that entered during a close(2), and chains what it
 * won by the nodes that will carry the mail. What it did not win is ending by itself; so is one of
 * op_file.c whose waiter has not slept: it finds its wait over, and may leave once the lock is free. */
static struct sk_mail *claim_ops_locked(struct sk_fd *entry, bool only_in_window)
{
    struct sk_mail *chain = NULL;
    for (struct sk_list *node = entry->ops; node != NULL; node = node->next) {
        struct sk_op *op = op_of(node);
        if (only_in_window && !op->in_window)
            continue;
        enum sk_wait_claim claim = sk_wait_claim(op->wait.task, op->wait.ticket, SK_WAIT_CLOSED);
        if (claim == SK_WAIT_LOST)
            continue;
        op->is_moved = only_in_window;
        if (op->in_pool && claim == SK_WAIT_WON_EARLY)
            continue;
        op->cancel.next = chain;
        chain = &op->cancel;
    }
    return chain;
}

/* Not under the lock: it may wake workers by system calls. */
static void cancel_ops(struct sk_mail *chain)
{
    while (chain != NULL) {
        struct sk_op *op = sk_container_of(chain, struct sk_op, cancel);
        chain = chain->next;
        if (op->in_pool)
            sk_wait_finish(op->wait.task, SK_WAIT_WON);
        else
            sk_driver_cancel(op->wait.task);
        /* op may be gone now */
    }
}

/* Apart, because it reads errno: its address must not live across a suspension. */
static __attribute__((noinline)) int call_close(int fd)
{
    sk_san_acquire(&sk_san_io);
    return sk_sys.close(fd) < 0 ? -errno : 0;
}

/* close(2) has returned. */
static void end_window(struct sk_fd *entry)
{
    sk_solo_lock(&entry->lock);
    entry->windows--;
    struct sk_mail *chain = sk_likely(entry->ops == NULL) ? NULL : claim_ops_locked(entry, true);
    sk_unlock(&entry->lock);
    cancel_ops(chain);
}

/* ---- close(2), which may wait: not on a worker then. */

struct closing {
    struct sk_fd *entry; /* whose window is open, or NULL */
    int fd;
    int rc;
};

static int run_close(void *arg)
{
    struct closing *c = arg;
    c->rc = call_close(c->fd);
    if (c->entry != NULL)
        end_window(c->entry);
    return 0;
}

static int run_close_detached(void *arg)
{
    (void)run_close(arg);
    sk_mem_free(arg);
    return 0;
}

/* Who makes a close(2): the pool of its thread, or SK_BLOCK_POOLS: the worker, because it cannot wait.
 * A socket waits for its peer if it lingers (SO_LINGER). Other sockets and pipes do not wait. A file waits
 * for a disk or a server, a terminal for what it has to print, an inotify for those that read its
 * lists: what is not known here may wait. Apart, as all that may set errno. */
static __attribute__((noinline)) enum sk_block_pool choose_closer(int fd)
{
    struct linger linger;
    socklen_t len = sizeof(linger);
    struct statx st;
    if (getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &len) == 0)
        return linger.l_onoff != 0 && linger.l_linger != 0 ? SK_BLOCK_CLOSES : SK_BLOCK_POOLS;
    if (errno == EBADF)
        return SK_BLOCK_POOLS;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return SK_BLOCK_CLOSES;
    if (S_ISFIFO(st.stx_mode))
        return SK_BLOCK_POOLS;
    return S_ISREG(st.stx_mode) ? SK_BLOCK_FILES : SK_BLOCK_CLOSES;
}

/* A callback of a worker, which cannot wait: nobody hears what the close says. */
static void close_in_callback(struct closing *c, enum sk_block_pool closer)
{
    struct closing *copy = sk_mem_zalloc(sizeof(*copy));
    if (copy != NULL) {
        *copy = *c;
        if (sk_block_detach(closer, run_close_detached, copy))
            return;
        sk_mem_free(copy);
    }
    (void)run_close(c);
}

static int close_anywhere(struct sk_fd *entry, int fd)
{
    struct closing c = {.entry = entry, .fd = fd};
    enum sk_block_pool closer = sk_current_worker() == NULL ? SK_BLOCK_POOLS : choose_closer(fd);
    if (closer == SK_BLOCK_POOLS)
        (void)run_close(&c);
    else if (sk_current_task() != NULL)
        (void)sk_block_run(closer, run_close, &c);
    else
        close_in_callback(&c, closer);
    return c.rc;
}

/* The list is empty. Releases the lock. */
static int close_idle_locked(struct sk_fd *entry, int fd)
{
    entry->generation++;
    entry->windows++;
    sk_store_relaxed(&entry->x_hint, (uint8_t)SK_FD_UNKNOWN);
    sk_unlock(&entry->lock);
    return close_anywhere(entry, fd);
}

/* Waits until the list is empty; w has begun, or `begun` says why it could not: then, while the
 * runtime stops, a plain thread looks again and again, for the millisecond that cancelled
 * operations take. Returns with the lock held. */
static void wait_until_idle(struct sk_fd *entry, struct sk_wait *w, int begun)
{
    if (begun == 0)
        sk_wait_park(w);
    sk_solo_lock(&entry->lock);
    entry->closer = NULL;
    while (entry->ops != NULL) {
        sk_unlock(&entry->lock);
        const struct timespec ms = {0, 1000000};
        nanosleep(&ms, NULL);
        sk_solo_lock(&entry->lock);
    }
}

/* Whether there is nothing to close here: another closes it, or (generation not NULL) it was closed
 * since. */
static bool is_gone_locked(const struct sk_fd *entry, const uint32_t *generation)
{
    return entry->closing || (generation != NULL && entry->generation != *generation);
}

static int close_busy(struct sk_fd *entry, int fd, const uint32_t *generation)
{
    struct sk_wait w;
    int begun = sk_wait_begin(&w, SKUA_NEVER, SK_WAIT_NOCANCEL);
    if (begun == -EPERM)
        return begun; /* in a worker's callback, which the operations may wait for */
    sk_solo_lock(&entry->lock);
    bool gone = is_gone_locked(entry, generation);
    if (gone || entry->ops == NULL) {
        if (begun == 0)
            sk_wait_abandon(&w); /* nobody knows it, but for a stop, which needs no answer */
        if (!gone)
            return close_idle_locked(entry, fd);
        sk_unlock(&entry->lock);
        return -EBADF;
    }
    entry->closing = true;
    entry->closer = begun == 0 ? &w : NULL;
    struct sk_mail *chain = claim_ops_locked(entry, false);
    sk_unlock(&entry->lock);
    cancel_ops(chain);

    wait_until_idle(entry, &w, begun);
    entry->closing = false;
    return close_idle_locked(entry, fd);
}

/* -EBADF: there is nothing to close. */
static int close_known(struct sk_fd *entry, int fd, const uint32_t *generation)
{
    sk_solo_lock(&entry->lock);
    if (is_gone_locked(entry, generation)) {
        sk_unlock(&entry->lock);
        return -EBADF;
    }
    if (entry->ops == NULL)
        return close_idle_locked(entry, fd);
    sk_unlock(&entry->lock);
    return close_busy(entry, fd, generation);
}

static int close_entry(struct sk_fd *entry, int fd, const uint32_t *generation)
{
    if (sk_current_worker() != NULL)
        return close_known(entry, fd, generation);
    int before = sk_sys_bar_cancel();
    int rc = close_known(entry, fd, generation);
    sk_sys_allow_cancel(before);
    return rc;
}

int sk_fd_close(int fd)
{
    struct sk_fd *entry = is_forked ? NULL : sk_fd_find(fd);
    return entry == NULL ? close_anywhere(NULL, fd) : close_entry(entry, fd, NULL);
}

int sk_fd_close_if(int fd, uint32_t generation)
{
    struct sk_fd *entry = is_forked ? NULL : sk_fd_find(fd);
    return entry == NULL ? close_anywhere(NULL, fd) : close_entry(entry, fd, &generation);
}

int sk_fd_generation(int fd, uint32_t *generation)
{
    struct sk_fd *entry = is_forked ? NULL : sk_fd_make(fd);
    if (entry == NULL)
        return is_forked ? -EOWNERDEAD : refusal(fd);
    sk_solo_lock(&entry->lock);
    *generation = entry->generation;
    bool closing = entry->closing;
    sk_unlock(&entry->lock);
    return closing ? -EBADF : 0;
}

bool sk_fd_is_same(int fd, uint32_t generation)
{
    uint32_t now;
    return sk_fd_generation(fd, &now) == 0 && now == generation;
}

bool sk_fd_is_closing(int fd)
{
    struct sk_fd *entry = is_forked ? NULL : sk_fd_find(fd);
    if (entry == NULL)
        return false;
    sk_solo_lock(&entry->lock);
    bool closing = entry->closing;
    sk_unlock(&entry->lock);
    return closing;
}

void sk_fd_set_hint(int fd, enum sk_fd_hint hint)
{
    struct sk_fd *entry = sk_fd_make(fd);
    if (entry != NULL)
        sk_store_relaxed(&entry->x_hint, (uint8_t)hint);
}

static int option_of(int fd, int name)
{
    int value = 0;
    socklen_t len = sizeof(value);
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) < 0 ? -errno : value;
}

/* Apart, because it reads errno, whose address must not live across a suspension. */
__attribute__((noinline)) enum sk_fd_hint sk_fd_learn(int fd)
{
    int type = option_of(fd, SO_TYPE);
    enum sk_fd_hint hint = type == -ENOTSOCK && isatty(fd) ? SK_FD_TERMINAL : SK_FD_OTHER;
    if (type == -EBADF)
        return SK_FD_UNKNOWN;
    if (type > 0 && (option_of(fd, SO_ZEROCOPY) > 0 || option_of(fd, SO_TIMESTAMPING) > 0))
        hint = SK_FD_ERRORS;
    else if (type > 0)
        hint = type == SOCK_STREAM ? SK_FD_STREAM : SK_FD_DATAGRAM;
    sk_fd_set_hint(fd, hint);
    return hint;
}
