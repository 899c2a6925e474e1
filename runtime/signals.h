/* runtime/signals.h - the two sorts of signals that the runtime has a handler for. Only an action that
 * was the default is replaced.
 * SIGINT and SIGTERM while skua_run runs: the first cancels the root scope, the second ends the process.
 * The handler counts and wakes the thread in skua_run, which does the rest.
 * SIGPIPE and SIGXFSZ while the runtime runs: the kernel sends them to the thread that writes. Where
 * that was skua for a coroutine, an errno says all, and the handler does nothing; otherwise it lets the
 * default action end the process. A handler, not SIG_IGN, as exec restores the default (ADR 0017). */
#ifndef SK_RUNTIME_SIGNALS_H
#define SK_RUNTIME_SIGNALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Installs the handlers. Returns the futex word that changes whenever something is to be looked
 * at. */
_Atomic(uint32_t) *sk_signals_take(void);
/* Whether a signal has come that was not told of yet. */
bool sk_signals_came(void);
/* Restores what was replaced. */
void sk_signals_give_back(void);
/* Any thread, and a signal handler. */
void sk_signals_bump(_Atomic(uint32_t) *event);

/* ---- SIGPIPE and SIGXFSZ ---- */

void sk_signals_start(void);
void sk_signals_stop(void);

extern __thread volatile bool sk_tls_writes
    __attribute__((visibility("hidden"), tls_model("initial-exec")));

/* Around a system call of skua's own that may write for a coroutine. No suspension lies between. */
static inline void sk_signals_write_begin(void)
{
    sk_tls_writes = true;
    atomic_signal_fence(memory_order_seq_cst); /* the handler runs in this thread */
}

static inline void sk_signals_write_end(void)
{
    atomic_signal_fence(memory_order_seq_cst);
    sk_tls_writes = false;
}

/* Any thread. This kernel writes for a worker whenever that enters or leaves the kernel, not only between
 * begin and end: no worker's SIGPIPE or SIGXFSZ has an effect from now on. */
void sk_signals_write_any_time(void);

#endif
