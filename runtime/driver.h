/* runtime/driver.h - what a worker needs from I/O: the one upward edge of the layout.
 * io/ defines these functions; the tests of runtime/ define them by a fake. One driver per worker, and
 * one per plain thread that does I/O (io/ makes that, runtime/wait.c sleeps in it and closes it). Its
 * owner alone touches it, except where "Any thread." stands. */
#ifndef SK_RUNTIME_DRIVER_H
#define SK_RUNTIME_DRIVER_H

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include <skua/time.h>

#include "runtime/base/atomic.h"

struct sk_driver;
struct sk_settings;
struct skua_task;
struct sk_waiter;

/* What a driver counts; the worker's statistics read it from any thread. */
struct sk_driver_counts {
    _Atomic(uint64_t) x_enters;      /* system calls into the ring */
    _Atomic(uint64_t) x_completions; /* operations completed */
    _Atomic(uint64_t) x_sleeps;      /* times that sk_driver_wait slept */
};

/* Can this process do I/O as the settings say? Called once by skua_start, before any worker. 0, or
 * a negative errno after one line that names cause and remedy. */
int sk_driver_probe(const struct sk_settings *settings);

/* A worker's, on its own thread. 0, or a negative errno; the first worker of a start that fails prints one
 * line that names cause and remedy. */
int sk_driver_open(struct sk_driver **out, const struct sk_settings *settings,
                   struct sk_driver_counts *counts);
/* Owner only. Nothing is in flight. */
void sk_driver_close(struct sk_driver *d);

/* Owner only. Submits what is prepared, takes in the mail, reaps completions and readies their
 * tasks (sk_ready), without waiting; makes no system call when there is nothing to submit and
 * nothing is said to have come. Returns how many completions it saw. */
unsigned sk_driver_poll(struct sk_driver *d);
/* Owner only. Submits what is prepared and sleeps until there is something for poll: a completion,
 * a wake, mail, or the time `until` (CLOCK_MONOTONIC ns, SKUA_NEVER). Takes nothing in. */
void sk_driver_wait(struct sk_driver *d, skua_time until);
/* Owner only. Whether poll has mail to take in: looked at between announcing sleep and sleeping. */
bool sk_driver_has_mail(struct sk_driver *d);
/* Any thread. Ends the wait in progress, or the next one. */
void sk_driver_wake(struct sk_driver *d);

/* Any thread. The caller has claimed the operation that t is parked on (SK_WAIT_OP) for another
 * reason than its completion: the operation is to be cancelled; its ring's owner readies t after
 * the terminal completion. */
void sk_driver_cancel(struct skua_task *t);

/* One descriptor that a wait for several things waits for, in memory that stays from arm until disarm
 * has returned; its contents are the driver's. */
struct sk_driver_poll {
    alignas(SK_CACHELINE) uint64_t opaque[63];
    uint64_t bound; /* 0 before the first arm; what is armed again means the same open descriptor,
                       whatever has got its number since */
};

/* Coroutine or plain thread, whose wait has begun; a thread holds the runtime from here until disarm.
 * From now on whatever ends the poll may claim the wait (SK_WAIT_WOKEN), at any time: `events` (as in
 * poll(2)), an error, skua_close. It keeps task and ticket and does not look at waiter again. 0; or
 * nothing was begun: -EBADF (being closed, or no descriptor), -ENOMEM, -ESHUTDOWN, -EOWNERDEAD. */
int sk_driver_poll_arm(struct sk_driver_poll *p, int fd, short events, struct sk_waiter *waiter);
/* The same coroutine or thread, after that wait is over, perhaps on another worker; once for each arm
 * that returned 0. Ends the poll if it has not ended, and waits, unseen by cancellation, until neither
 * the kernel nor anybody else will touch *p again. What came: revents > 0; 0: nothing, even if the
 * wait was claimed: whoever still wants to know begins a new wait and arms the same *p; the kernel's
 * error; -ECANCELED: skua_close closed the descriptor. Nothing is lost: a poll takes nothing away.
 * POLLERR and POLLHUP come unasked. */
int sk_driver_poll_disarm(struct sk_driver_poll *p);
/* Any thread. The same at once, as poll(2) says it: revents > 0, 0 or a negative errno; -EBADF also while fd is
 * being closed. */
int sk_driver_poll_now(int fd, short events);

/* In a forked child: gives its copies of a plain thread's driver back, which stays the parent's. */
void sk_driver_forget(struct sk_driver *d);
/* In a forked child: the rings belong to the parent. */
void sk_driver_after_fork(void);

/* Once, when the last worker is gone: gives process-wide memory back. */
void sk_driver_stop(void);

#endif
