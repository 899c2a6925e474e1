#include "runtime/base/sigpipe.h"

#include <errno.h>
#include <time.h>

static sigset_t only_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

void sk_sigpipe_hold(struct sk_sigpipe *s)
{
    const sigset_t set = only_sigpipe();
    sigset_t pending;
    pthread_sigmask(SIG_BLOCK, &set, &s->before);
    s->was_open = sigismember(&s->before, SIGPIPE) == 0;
    s->was_pending = false;
    if (s->was_open)
        return;
    sigemptyset(&pending);
    sigpending(&pending);
    s->was_pending = sigismember(&pending, SIGPIPE) == 1;
}

void sk_sigpipe_release(const struct sk_sigpipe *s, bool raised)
{
    const sigset_t set = only_sigpipe();
    const struct timespec none = {0, 0};
    if (raised && !s->was_pending)
        while (sigtimedwait(&set, NULL, &none) < 0 && errno == EINTR)
            ;
    if (s->was_open)
        pthread_sigmask(SIG_SETMASK, &s->before, NULL);
}
