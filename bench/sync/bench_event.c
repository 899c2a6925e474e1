/* bench/sync/bench_event.c - an event that is set and waited for. Unit: ns per pair, or per round
 * trip. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

/* Nobody waits. */
SKB_BENCH("event/set_clear", .workers = {1})
{
    skua_event e = SKUA_EVENT_INIT;
    while (skb_next(b)) {
        skb_keep(skua_event_set(&e));
        skb_keep(skua_event_clear(&e));
    }
}

/* Nobody has to wait. */
SKB_BENCH("event/set_wait", .workers = {1})
{
    skua_event e = SKUA_EVENT_INIT;
    while (skb_next(b)) {
        skb_keep(skua_event_set(&e));
        skb_keep(skua_event_wait(&e, SKUA_NEVER));
    }
}

struct table {
    skua_event there, back;
};

static int answer(void *arg)
{
    struct table *t = arg;
    while (skua_event_wait(&t->there, SKUA_NEVER) == 0) {
        skua_event_clear(&t->there);
        skua_event_set(&t->back);
    }
    return 0;
}

/* Two coroutines wake each other: what a wait and a wake cost, without a channel around them. */
SKB_BENCH("event/ping_pong", .workers = {1, 2})
{
    struct table t = {SKUA_EVENT_INIT, SKUA_EVENT_INIT};
    skua_scope scope;
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    skb_must(skua_spawn(&scope, answer, &t));
    while (skb_next(b)) {
        skua_event_set(&t.there);
        skua_event_wait(&t.back, SKUA_NEVER);
        skua_event_clear(&t.back);
    }
    skua_scope_cancel(&scope);
    skua_scope_close(&scope, SKUA_NEVER);
}
