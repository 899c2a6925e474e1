/* bench/shim/skb_runtime.c - a benchmark's body as a coroutine. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

struct call {
    void (*body)(struct skb *);
    struct skb *b;
};

static int run_body(void *arg)
{
    struct call *call = arg;
    call->body(call->b);
    return 0;
}

/* skua_run would do it, but for its handlers: Ctrl-C ends a benchmark at once. */
int skb_run_in_runtime(unsigned workers, void (*body)(struct skb *), struct skb *b)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    int rc = skua_start(&config);
    if (rc < 0)
        return rc;
    struct call call = {body, b};
    int called = skua_call(run_body, &call, SKUA_NEVER);
    int stopped = skua_stop(SKUA_NEVER);
    return called < 0 ? called : stopped;
}
