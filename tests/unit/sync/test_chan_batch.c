/* tests/unit/sync/test_chan_batch.c - sending and receiving many at a time, on channels of every kind. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/sync/chan_test.h"

/* ---- batches ---- */

enum { BATCH = 150, BATCHES = 20 };

static int send_batches(void *arg)
{
    uint64_t v[BATCH], next = 0;
    for (int i = 0; i < BATCHES; i++) {
        for (uint64_t k = 0; k < BATCH; k++)
            v[k] = next++;
        SKT_EQ(skua_chan_send_n(arg, v, BATCH, SKUA_NEVER), BATCH);
        memset(v, 0xEE, sizeof(v));
    }
    return 0;
}

/* Goal: batches arrive whole and in order, whatever the sizes on both sides. */
RT_TEST(chan, batches)
{
    CT_EACH(kind)
    {
        skua_scope s;
        skua_chan *c = ct_new(kind, 8);
        uint64_t v[100], next = 0;
        ct_open(&s);
        SKT_EQ(skua_spawn(&s, send_batches, c), 0);
        for (size_t n = 1; next < BATCH * BATCHES; n = n % 100 + 1) {
            ssize_t k = skua_chan_recv_n(c, v, n, SKUA_NEVER);
            SKT_TRUE(k >= 1 && k <= (ssize_t)n);
            for (ssize_t i = 0; i < k; i++)
                SKT_EQ(v[i], next++);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(skua_chan_recv_n(c, v, 100, SKUA_NOW), -EAGAIN);
        skua_chan_unref(c);
    }
}

/* Goal: a batch says how many went when it ends early; receiving takes what is there. */
RT_TEST(chan, partial_batches)
{
    uint64_t v[10] = {0}, out[10];
    for (enum ct_kind kind = CT_ONE; kind < CT_UNBOUNDED; kind++) {
        skua_chan *c = ct_new(kind, 8);
        uint64_t cap = skua_chan_cap(c), n = cap < 10 ? cap : 10;
        SKT_EQ(skua_chan_send_n(c, v, 10, SKUA_NOW), n);
        ct_fill_rest(c);
        SKT_EQ(skua_chan_send_n(c, v, 10, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_chan_send_n(c, v, 10, rt_past()), -ETIMEDOUT);
        SKT_EQ(skua_chan_recv_n(c, out, 10, SKUA_NEVER), n);
        SKT_EQ(skua_chan_send_n(c, v, 10, skua_in(SKUA_MS(1))), n);
        SKT_EQ(skua_chan_close(c), 0);
        SKT_EQ(skua_chan_send_n(c, v, 10, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_chan_recv_n(c, out, 10, SKUA_NOW), n);
        skua_chan_unref(c);
    }
}

/* Goal: a batch wakes as many as it has elements, or room, for. */
RT_TEST(chan, batch_wakes_many)
{
    enum { CROWD = 10 };
    for (int sending = 0; sending < 2; sending++) {
        struct ct_waiters w = {.ended = {0}};
        skua_task *tasks[CROWD];
        uint64_t v[CROWD] = {0};
        skua_scope s;
        SKT_EQ(skua_chan_new(&w.chan, 8, CROWD, 0), 0);
        if (!sending)
            SKT_EQ(skua_chan_send_n(w.chan, v, CROWD, SKUA_NOW), CROWD);
        ct_open(&s);
        for (int i = 0; i < CROWD; i++)
            SKT_EQ(skua_spawn_opts(&s, sending ? ct_recv_one : ct_send_one, &w, NULL, &tasks[i]),
                   0);
        for (int i = 0; i < CROWD; i++) {
            RT_UNTIL(rt_is_waiting(tasks[i]));
            skua_task_unref(tasks[i]);
        }
        ssize_t n = sending ? skua_chan_send_n(w.chan, v, CROWD, SKUA_NOW)
                            : skua_chan_recv_n(w.chan, v, CROWD, SKUA_NOW);
        SKT_EQ(n, CROWD);
        SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
        SKT_EQ(atomic_load(&w.ended[0]), CROWD);
        skua_chan_unref(w.chan);
    }
}

struct batch_end {
    skua_chan *chan;
    ssize_t rc;
};

static int send_until_ended(void *arg)
{
    struct batch_end *b = arg;
    uint64_t v[10] = {0};
    b->rc = skua_chan_send_n(b->chan, v, 10, SKUA_NEVER);
    return 0;
}

/* Goal: a batch that is cancelled or closed in the middle reports what went before. */
RT_TEST(chan, batch_ended)
{
    for (int by_close = 0; by_close < 2; by_close++) {
        CT_EACH(kind)
        {
            skua_scope s;
            struct batch_end b = {.chan = ct_new(kind, 8), .rc = 99};
            uint64_t word;
            if (kind == CT_UNBOUNDED || kind == CT_MANY) {
                skua_chan_unref(b.chan);
                continue;
            }
            ct_open(&s);
            SKT_EQ(skua_spawn(&s, send_until_ended, &b), 0);
            SKT_EQ(skua_chan_recv(b.chan, &word, SKUA_NEVER), 0);
            RT_UNTIL(skua_chan_len(b.chan) == ct_room(kind));
            SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(1))), -EBUSY);
            if (by_close)
                SKT_EQ(skua_chan_close(b.chan), 0);
            else
                skua_scope_cancel(&s);
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), by_close ? 0 : -ECANCELED);
            SKT_EQ(b.rc, 1 + skua_chan_len(b.chan));
            SKT_EQ(b.rc, 1 + ct_room(kind));
            skua_chan_unref(b.chan);
        }
    }
}
