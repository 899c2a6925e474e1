/* bench/sync/bench_chan.c - channels, and the ring by itself. Unit: ns per element, or per round
 * trip. */
#include <skua/skua.h>

#include "bench/shim/skb.h"
#include "sync/chan_ring.h"

enum { CAPACITY = 128, ELEMENTS = 100000, BATCH_MAX = 64, ELEM_BYTES_MAX = 4096 };

/* One thread, one element there and back. */
SKB_BENCH("chan_ring/push_pop")
{
    struct sk_chan_ring r;
    uint64_t element[2] = {0}; /* gcc 12 warns of copies of 16 bytes, which are not made */
    if (sk_chan_ring_init(&r, sizeof(element[0]), CAPACITY) < 0) {
        skb_skip(b, "no memory");
        return;
    }
    while (skb_next(b)) {
        skb_keep(sk_chan_ring_push(&r, element));
        skb_keep(sk_chan_ring_pop(&r, element));
    }
    sk_chan_ring_free(&r);
}

/* The same by the public calls, where nobody has to wait. */
SKB_BENCH("chan/send_recv", .workers = {1}, .arg_names = {"bytes"},
          .args = {{0}, {1}, {8}, {16}, {24}, {256}, {4096}}, .arg_rows = 7)
{
    char element[ELEM_BYTES_MAX] = {0};
    skua_chan *c;
    if (skua_chan_new(&c, (size_t)skb_arg(b, 0), CAPACITY, 0) < 0) {
        skb_skip(b, "no memory");
        return;
    }
    while (skb_next(b)) {
        skb_keep(skua_chan_send(c, element, SKUA_NEVER));
        skb_keep(skua_chan_recv(c, element, SKUA_NEVER));
    }
    skua_chan_unref(c);
}

struct stream {
    skua_chan *c;
    size_t batch;
    uint64_t share; /* elements of one producer */
};

static int produce(void *arg)
{
    const struct stream *s = arg;
    uint64_t batch[BATCH_MAX] = {0};
    ssize_t sent = 1;
    for (uint64_t i = 0; i < s->share && sent > 0; i += s->batch) {
        if (s->batch == 1)
            sent = skua_chan_send(s->c, &i, SKUA_NEVER) == 0;
        else
            sent = skua_chan_send_n(s->c, batch, s->batch, SKUA_NEVER);
    }
    return 0;
}

static int consume(void *arg)
{
    const struct stream *s = arg;
    uint64_t batch[BATCH_MAX];
    if (s->batch == 1)
        while (skua_chan_recv(s->c, batch, SKUA_NEVER) == 0)
            ;
    else
        while (skua_chan_recv_n(s->c, batch, s->batch, SKUA_NEVER) > 0)
            ;
    return 0;
}

static void stream(skua_chan *c, size_t batch, int64_t pairs)
{
    struct stream s = {c, batch, ELEMENTS / (uint64_t)pairs};
    skua_scope producers, consumers;
    skua_scope_open(&consumers, SKUA_FAIL_FAST, SKUA_NEVER);
    skua_scope_open(&producers, SKUA_FAIL_FAST, SKUA_NEVER);
    for (int64_t i = 0; i < pairs; i++) {
        skb_must(skua_spawn(&producers, produce, &s));
        skb_must(skua_spawn(&consumers, consume, &s));
    }
    skua_scope_close(&producers, SKUA_NEVER);
    skua_chan_close(c);
    skua_scope_close(&consumers, SKUA_NEVER);
}

/* Producers and as many consumers on one channel, one by one and in batches. */
SKB_BENCH("chan/stream", .workers = {1, 2}, .arg_names = {"pairs", "batch", "capacity"},
          .args = {{1, 1, CAPACITY},
                   {4, 1, CAPACITY},
                   {1, 8, CAPACITY},
                   {1, 64, CAPACITY},
                   {1, 1, 1},
                   {1, 1, 1024}},
          .arg_rows = 6)
{
    while (skb_next(b)) {
        skua_chan *c;
        if (skua_chan_new(&c, sizeof(uint64_t), (size_t)skb_arg(b, 2), 0) < 0)
            continue;
        stream(c, (size_t)skb_arg(b, 1), skb_arg(b, 0));
        skua_chan_unref(c);
    }
    skb_items(b, ELEMENTS);
}

struct table {
    skua_chan *there, *back;
};

static int answer(void *arg)
{
    const struct table *t = arg;
    uint64_t v;
    while (skua_chan_recv(t->there, &v, SKUA_NEVER) == 0)
        skua_chan_send(t->back, &v, SKUA_NEVER);
    return 0;
}

/* Ping-pong without a buffer. */
SKB_BENCH("chan/rendezvous", .workers = {1, 2})
{
    struct table t;
    skua_scope scope;
    uint64_t v = 0;
    if (skua_chan_new(&t.there, sizeof(v), 0, 0) < 0 ||
        skua_chan_new(&t.back, sizeof(v), 0, 0) < 0) {
        skb_skip(b, "no memory");
        return;
    }
    skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER);
    skb_must(skua_spawn(&scope, answer, &t));
    while (skb_next(b)) {
        skua_chan_send(t.there, &v, SKUA_NEVER);
        skua_chan_recv(t.back, &v, SKUA_NEVER);
    }
    skua_chan_close(t.there);
    skua_scope_close(&scope, SKUA_NEVER);
    skua_chan_unref(t.there);
    skua_chan_unref(t.back);
}
