/* bench/sync/bench_select.c - select over channels. Unit: ns per select, or per element. */
#include <skua/skua.h>

#include "bench/shim/skb.h"

enum { CAPACITY = 128, CHANNELS_MAX = 16, SHARED = 3, RECEIVERS = 8, ELEMENTS = 100000 };

static void make_cases(skua_case *cases, int64_t count, uint64_t *v)
{
    for (int64_t i = 0; i < count; i++) {
        skua_chan *c = NULL;
        skua_chan_new(&c, sizeof(*v), CAPACITY, 0);
        cases[i] = (skua_case){.op = SKUA_RECV, .obj = c, .val = v};
    }
}

static void free_cases(skua_case *cases, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        skua_chan_unref(cases[i].obj);
}

/* All channels hold something: what was received is sent back, which is in the time. */
SKB_BENCH("select/ready", .workers = {1}, .arg_names = {"channels", "ordered"},
          .args = {{1, 0}, {2, 0}, {4, 0}, {4, 1}, {16, 0}}, .arg_rows = 5)
{
    skua_case cases[CHANNELS_MAX];
    uint64_t v = 0;
    int64_t count = skb_arg(b, 0);
    unsigned flags = skb_arg(b, 1) ? SKUA_SELECT_ORDERED : 0;
    make_cases(cases, count, &v);
    for (int64_t i = 0; i < count; i++)
        skua_chan_send(cases[i].obj, &v, SKUA_NEVER);
    while (skb_next(b)) {
        int i = skua_select(cases, (unsigned)count, flags, SKUA_NEVER);
        skua_chan_send(cases[i].obj, &v, SKUA_NEVER);
    }
    free_cases(cases, count);
}

/* None is ready, and it may not wait: a look at each. */
SKB_BENCH("select/none", .workers = {1}, .arg_names = {"channels"}, .args = {{1}, {4}, {16}},
          .arg_rows = 3)
{
    skua_case cases[CHANNELS_MAX];
    uint64_t v = 0;
    int64_t count = skb_arg(b, 0);
    make_cases(cases, count, &v);
    while (skb_next(b))
        skb_keep(skua_select(cases, (unsigned)count, 0, SKUA_NOW));
    free_cases(cases, count);
}

static int produce(void *c)
{
    for (uint64_t i = 0; i < ELEMENTS / SHARED; i++)
        skua_chan_send(c, &i, SKUA_NEVER);
    return skua_chan_close(c);
}

static int drain(void *arg)
{
    skua_case cases[SHARED];
    uint64_t v;
    for (int i = 0; i < SHARED; i++) {
        cases[i] = ((skua_case *)arg)[i];
        cases[i].val = &v;
    }
    for (int open = SHARED; open > 0;) {
        int i = skua_select(cases, SHARED, 0, SKUA_NEVER);
        if (i < 0)
            return i;
        if (cases[i].res < 0) {
            cases[i].op = SKUA_SKIP;
            open--;
        }
    }
    return 0;
}

/* Eight select over the same three channels, each of which has a producer. */
SKB_BENCH("select/shared", .workers = {1, 2})
{
    while (skb_next(b)) {
        skua_case cases[SHARED];
        skua_scope scope;
        make_cases(cases, SHARED, NULL);
        skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
        for (int i = 0; i < SHARED; i++)
            skb_must(skua_spawn(&scope, produce, cases[i].obj));
        for (int i = 0; i < RECEIVERS; i++)
            skb_must(skua_spawn(&scope, drain, cases));
        skua_scope_close(&scope, SKUA_NEVER);
        free_cases(cases, SHARED);
    }
    skb_items(b, ELEMENTS / SHARED * SHARED);
}
