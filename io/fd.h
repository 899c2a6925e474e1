/* io/fd.h - what is known of each descriptor number: the operations in flight on it, and how often
 * it was closed.
 * Owns:    struct sk_fd, all fields, under its lock; but `turns` is runtime/block.c's.
 * Threads: any thread.
 *
 * Entries are in chunks that are allocated when first needed, never move, and stay until the
 * process ends: whoever holds a number may look it up at any time, also while a runtime stops.
 * Order: FD1 release CAS of a chunk's pointer -> FD2 acquire load by a finder: the chunk's zeroes.
 *
 * Closing, and what a new operation finds:
 *   open       it enters the list
 *   closing    skua_close has found operations, has claimed them and waits for the list to become
 *              empty: -EBADF
 *   `windows`  close(2) is running: on the worker if it cannot wait, else in a thread of a pool. The kernel gives the number free at its beginning, so that an
 *              operation that comes now may mean the dead file or one that was just opened: it
 *              enters, marked, and when close(2) has returned it is ended and tried again
 *              (is_moved): on the new file, or for -EBADF. Nothing is lost: a result that came
 *              first counts. */
#ifndef SK_IO_FD_H
#define SK_IO_FD_H

#include <assert.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "io/op.h"
#include "runtime/base/atomic.h"
#include "runtime/base/lock.h"
#include "runtime/block.h"

struct sk_fd {
    alignas(SK_CACHELINE) struct sk_lock lock; /* by sk_solo_lock */
    uint32_t generation;                       /* closings of this number by skua_close */
    struct sk_list *ops;    /* first of those in flight: their wait.link, ended by NULL */
    struct sk_wait *closer; /* who waits for the list to become empty */
    uint32_t windows;       /* calls of close(2) that run */
    bool closing;
    _Atomic(uint8_t) x_hint;     /* enum sk_fd_hint */
    struct sk_block_turns turns; /* of operations that move the file's position: one at a time */
};

enum { SK_FD_CHUNK_SHIFT = 12, SK_FD_CHUNK = 1 << SK_FD_CHUNK_SHIFT };
/* The kernel's own bound of a descriptor number (sysctl fs.nr_open) is below 2^30. */
enum { SK_FD_CHUNKS = 1 << (30 - SK_FD_CHUNK_SHIFT) };

static_assert(sizeof(struct sk_fd) == SK_CACHELINE, "one line of the cache each");

extern _Atomic(struct sk_fd *) sk_fd_chunks[SK_FD_CHUNKS];

/* NULL: out of range, or no memory. */
struct sk_fd *sk_fd_make(int fd);

/* The entry of fd if its chunk is there. */
static inline struct sk_fd *sk_fd_find(int fd)
{
    unsigned n = (unsigned)fd;
    if (sk_unlikely(n >> SK_FD_CHUNK_SHIFT >= SK_FD_CHUNKS))
        return NULL;
    struct sk_fd *chunk = sk_load_acquire(&sk_fd_chunks[n >> SK_FD_CHUNK_SHIFT]); /* FD2 */
    return chunk ? &chunk[n & (SK_FD_CHUNK - 1)] : NULL;
}

/* Puts op, whose wait has begun, into its descriptor's list. 0, -EBADF or -ENOMEM. */
int sk_fd_enter(struct sk_op *op);
/* Takes it out again; the operation has ended. */
void sk_fd_leave(struct sk_op *op);

/* Cancels what is in flight on fd, waits for it, closes fd. What skua_close returns. May
 * suspend. */
int sk_fd_close(int fd);
/* The same if fd has not been closed by skua_close since its generation was read; else -EBADF. */
int sk_fd_close_if(int fd, uint32_t generation);
/* 0 and *generation; -EBADF (skua_close is at it, too), -ENOMEM, -EOWNERDEAD (a forked child). */
int sk_fd_generation(int fd, uint32_t *generation);

/* Any thread. Whether fd has not been closed by skua_close since, and is not being closed. */
bool sk_fd_is_same(int fd, uint32_t generation);

/* Any thread. Whether skua_close is at it: a new operation would get -EBADF. */
bool sk_fd_is_closing(int fd);

/* What a number is thought to be, until it is closed by skua_close. close(2) and dup2(2) make it another's
 * unseen: a wrong hint may cost time, and nothing else. */
enum sk_fd_hint {
    SK_FD_UNKNOWN,
    SK_FD_STREAM,   /* a stream socket: what waits, waits best in the kernel */
    SK_FD_DATAGRAM, /* another socket: it may be ready where a call would wait */
    SK_FD_ERRORS,   /* a socket whose queue of errors is in use: so at any time */
    SK_FD_OTHER,    /* no socket, and no terminal */
    SK_FD_TERMINAL, /* io/tty_write.c */
};

/* Any thread. Without memory for the entry the hint is not kept. */
void sk_fd_set_hint(int fd, enum sk_fd_hint hint);
/* Any thread. Asks the kernel, and notes what it says. */
enum sk_fd_hint sk_fd_learn(int fd);
static inline enum sk_fd_hint sk_fd_hint(int fd)
{
    struct sk_fd *entry = sk_fd_find(fd);
    enum sk_fd_hint hint =
        entry != NULL ? (enum sk_fd_hint)sk_load_relaxed(&entry->x_hint) : SK_FD_UNKNOWN;
    return sk_likely(hint != SK_FD_UNKNOWN) ? hint : sk_fd_learn(fd);
}

/* In a forked child: the table is the parent's, its locks may be held by threads that are not
 * here. */
void sk_fd_after_fork(void);

#endif
