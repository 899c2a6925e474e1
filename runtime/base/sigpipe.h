/* runtime/base/sigpipe.h - a write that raises no SIGPIPE, whatever the program's action for it is. It costs
 * four system calls; runtime/signals.h has the way that costs none, and serves the default action.
 * Threads: the calling one, which does not change between the two calls. */
#ifndef SK_RUNTIME_BASE_SIGPIPE_H
#define SK_RUNTIME_BASE_SIGPIPE_H

#include <signal.h>
#include <stdbool.h>

struct sk_sigpipe {
    sigset_t before;
    bool was_open;    /* the thread did not block the signal, so none was pending */
    bool was_pending; /* one that the program has to see was there already */
};

/* Blocks the signal. */
void sk_sigpipe_hold(struct sk_sigpipe *s);
/* raised: a write since then has failed with EPIPE. Takes the signal back that it raised, and gives the
 * thread the mask that it had. Changes errno. */
void sk_sigpipe_release(const struct sk_sigpipe *s, bool raised);

#endif
