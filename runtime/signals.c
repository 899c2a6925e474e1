#include "runtime/signals.h"

#include <errno.h>
#include <signal.h>

#include "runtime/base/atomic.h"
#include "runtime/base/sys.h"
#include "runtime/current.h"

static const int signals[2] = {SIGINT, SIGTERM};
static bool replaced[2];
static _Atomic(uint32_t) x_event;
static _Atomic(uint32_t) x_count;
static _Atomic(bool) x_news;

static bool replace_default(int signo, const struct sigaction *action)
{
    struct sigaction before;
    return sigaction(signo, NULL, &before) == 0 && (before.sa_flags & SA_SIGINFO) == 0 &&
           before.sa_handler == SIG_DFL && sigaction(signo, action, NULL) == 0;
}

/* Unless the program has replaced it meanwhile. */
static void restore_default(int signo, void (*handler)(int))
{
    struct sigaction now;
    if (sigaction(signo, NULL, &now) == 0 && now.sa_handler == handler)
        sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
}

/* ---- SIGINT and SIGTERM ---- */

void sk_signals_bump(_Atomic(uint32_t) *event)
{
    sk_add_seq_cst(event, 1u);
    sk_sys_futex_wake(event, 1);
}

static void handle(int signo)
{
    int saved = errno;
    if (sk_add_acq_rel(&x_count, 1u) > 0) {
        struct sigaction action = {.sa_handler = SIG_DFL};
        sigaction(signo, &action, NULL);
        raise(signo); /* delivered when the handler returns */
    }
    sk_store_release(&x_news, true);
    sk_signals_bump(&x_event);
    errno = saved;
}

_Atomic(uint32_t) *sk_signals_take(void)
{
    sk_store_relaxed(&x_event, 0u);
    sk_store_relaxed(&x_count, 0u);
    sk_store_relaxed(&x_news, false);
    struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < 2; i++)
        replaced[i] = replace_default(signals[i], &action);
    return &x_event;
}

bool sk_signals_came(void)
{
    return atomic_exchange_explicit(&x_news, false, memory_order_acq_rel);
}

void sk_signals_give_back(void)
{
    for (unsigned i = 0; i < 2; i++)
        if (replaced[i])
            restore_default(signals[i], handle);
}

/* ---- SIGPIPE and SIGXFSZ ---- */

static const int write_signals[2] = {SIGPIPE, SIGXFSZ};
static bool write_replaced[2];
static _Atomic(bool) x_write_any_time;

__thread volatile bool sk_tls_writes;

static void handle_write(int signo)
{
    int saved = errno;
    bool is_ours =
        sk_tls_writes || (sk_load_relaxed(&x_write_any_time) && sk_current_worker() != NULL);
    if (!is_ours) {
        sigaction(signo, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
        raise(signo); /* delivered when the handler returns */
    }
    errno = saved;
}

void sk_signals_write_any_time(void)
{
    sk_store_relaxed(&x_write_any_time, true);
}

void sk_signals_start(void)
{
    struct sigaction action = {.sa_handler = handle_write, .sa_flags = SA_RESTART | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (unsigned i = 0; i < 2; i++)
        write_replaced[i] = replace_default(write_signals[i], &action);
}

void sk_signals_stop(void)
{
    for (unsigned i = 0; i < 2; i++)
        if (write_replaced[i])
            restore_default(write_signals[i], handle_write);
}
