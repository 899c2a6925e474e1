#include "runtime/signals.h"

#include <errno.h>
#include <signal.h>

#include "runtime/base/atomic.h"
#include "runtime/base/sys.h"

static const int signals[2] = {SIGINT, SIGTERM};
static bool replaced[2];
static _Atomic(uint32_t) x_event;
static _Atomic(uint32_t) x_count;
static _Atomic(bool) x_news;

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
    for (unsigned i = 0; i < 2; i++) {
        struct sigaction before,
            action = {.sa_handler = handle, .sa_flags = SA_RESTART | SA_ONSTACK};
        sigemptyset(&action.sa_mask);
        replaced[i] = sigaction(signals[i], NULL, &before) == 0 &&
                      (before.sa_flags & SA_SIGINFO) == 0 && before.sa_handler == SIG_DFL &&
                      sigaction(signals[i], &action, NULL) == 0;
    }
    return &x_event;
}

bool sk_signals_came(void)
{
    return atomic_exchange_explicit(&x_news, false, memory_order_acq_rel);
}

void sk_signals_give_back(void)
{
    for (unsigned i = 0; i < 2; i++) {
        struct sigaction now;
        if (replaced[i] && sigaction(signals[i], NULL, &now) == 0 && now.sa_handler == handle)
            sigaction(signals[i], &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    }
}
