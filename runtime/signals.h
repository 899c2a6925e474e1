/* runtime/signals.h - SIGINT and SIGTERM while skua_run runs: the first cancels the root scope, the
 * second ends the process. The handler counts and wakes the thread in skua_run, which does the
 * rest; only an action that was the default is replaced. */
#ifndef SK_RUNTIME_SIGNALS_H
#define SK_RUNTIME_SIGNALS_H

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

#endif
