/* sync/ticker.c - a channel on which the time comes every so often.
 * A coroutine in the root scope, which waits for the channel's close or for the next tick, whichever
 * comes first; so the end of the runtime ends it as it ends any other. It holds one reference; when
 * the caller's last one goes the channel is closed (sync/chan.c). */
#include <errno.h>

#include <skua/chan.h>
#include <skua/scope.h>
#include <skua/time.h>

#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/sched.h"
#include "sync/chan.h"

struct ticker {
    skua_chan *chan;
    int64_t period_ns;
    skua_time next;
};

/* The next multiple of the period that lies ahead. */
static void advance(struct ticker *t)
{
    skua_time now = sk_clock_now();
    int64_t missed = now >= t->next ? (now - t->next) / t->period_ns : 0;
    int64_t step;
    if (__builtin_mul_overflow(missed + 1, t->period_ns, &step) ||
        __builtin_add_overflow(t->next, step, &t->next))
        t->next = SKUA_NEVER;
}

static bool is_wanted(const struct ticker *t)
{
    return sk_load_acquire(&t->chan->x_refs) > 1;
}

static int tick(void *arg)
{
    struct ticker t = *(struct ticker *)arg;
    while (sk_chan_wait_closed(t.chan, t.next) == -ETIMEDOUT && is_wanted(&t)) {
        int rc = skua_chan_send(t.chan, &t.next, SKUA_NOW);
        if (rc < 0 && rc != -EAGAIN)
            break;
        advance(&t);
    }
    (void)skua_chan_close(t.chan);
    skua_chan_unref(t.chan);
    return 0;
}

int skua_ticker(skua_chan **out, int64_t period_ns)
{
    struct ticker t = {.period_ns = period_ns};
    if (out == NULL || period_ns <= 0)
        return -EINVAL;
    int rc = skua_chan_new(&t.chan, sizeof(skua_time), 1, 0);
    if (rc < 0)
        return rc;
    t.next = skua_in(period_ns);
    t.chan->has_ticker = true;
    skua_chan *theirs = skua_chan_ref(t.chan);
    rc = skua_spawn_copy(SKUA_SCOPE_ROOT, tick, &t, sizeof(t));
    if (rc == 0) {
        *out = theirs;
        return 0;
    }
    t.chan->has_ticker = false;
    skua_chan_unref(t.chan);
    skua_chan_unref(theirs);
    return rc;
}
