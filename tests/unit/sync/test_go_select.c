/* tests/unit/sync/test_go_select.c - select behaves as Go's does: the behaviours that Go's own tests hold
 * fast, by the public interface. */
#include <skua/skua.h>

#include <stdlib.h>

#include "tests/unit/sync/go_test.h"

/* ---- Fair select. */

/* Goal: of channels that are all ready, each is chosen about as often; on request, the first always. */
RT_TEST(go, select_is_fair)
{
    enum { CHANNELS = 3, TRIALS = 9000 };
    skua_case cases[CHANNELS];
    int v, chosen[CHANNELS] = {0};
    for (int i = 0; i < CHANNELS; i++) {
        skua_chan *c = new_chan(sizeof(int), 2);
        send_int(c, i);
        cases[i] = recv_case(c, &v);
    }
    for (int n = 0; n < TRIALS; n++) {
        int i = skua_select(cases, CHANNELS, 0, SKUA_NEVER);
        SKT_TRUE(i >= 0 && i < CHANNELS);
        SKT_EQ(cases[i].res, 0);
        SKT_EQ(v, i);
        send_int(cases[i].obj, i);
        chosen[i]++;
    }
    for (int i = 0; i < CHANNELS; i++) /* 0.9 and 1.1 of a third: seven standard deviations */
        SKT_BETWEEN(chosen[i], TRIALS * 30 / 100, TRIALS * 37 / 100);
    for (int n = 0; n < 100; n++) {
        SKT_EQ(skua_select(cases, CHANNELS, SKUA_SELECT_ORDERED, SKUA_NEVER), 0);
        send_int(cases[0].obj, 0);
    }
    for (int i = 0; i < CHANNELS; i++)
        skua_chan_unref(cases[i].obj);
}

struct fill {
    skua_chan *c;
    _Atomic(bool) x_over;
};

static int keep_filled(void *arg)
{
    struct fill *fill = arg;
    while (!atomic_load(&fill->x_over))
        send_int(fill->c, 0);
    return 0;
}

/* Goal: a channel that always has something does not keep select from the others. */
RT_TEST(go, select_starves_nobody)
{
    enum { ELEMENTS = 500 };
    skua_scope s;
    struct fill busy = {.c = new_chan(sizeof(int), 4)};
    skua_chan *rare = new_chan(sizeof(int), ELEMENTS);
    int v, from_rare = 0, selects = 0;
    skua_case cases[] = {recv_case(busy.c, &v), recv_case(rare, &v)};
    open_scope(&s);
    spawn(&s, keep_filled, &busy);
    for (int i = 0; i < ELEMENTS; i++)
        send_int(rare, i);
    while (from_rare < ELEMENTS) {
        SKT_LT(selects++, 100 * ELEMENTS);
        if (skua_select(cases, 2, 0, SKUA_NEVER) == 1)
            SKT_EQ(v, from_rare++);
    }
    atomic_store(&busy.x_over, true);
    while (skua_chan_recv(busy.c, &v, SKUA_NOW) == 0)
        ;
    close_scope(&s);
    skua_chan_unref(busy.c);
    skua_chan_unref(rare);
}

/* ---- Double select. */

enum { OUTPUTS = 4 };

struct mux {
    skua_chan *in[OUTPUTS], *out;
    int count;
    _Atomic(int) x_next;
};

static int send_by_select(void *arg)
{
    struct mux *m = arg;
    for (int n = 0; n < m->count; n++) {
        skua_case cases[OUTPUTS];
        for (int i = 0; i < OUTPUTS; i++)
            cases[i] = send_case(m->in[i], &n);
        int i = skua_select(cases, OUTPUTS, 0, SKUA_NEVER);
        SKT_TRUE(i >= 0 && i < OUTPUTS);
        SKT_EQ(cases[i].res, 0);
    }
    for (int i = 0; i < OUTPUTS; i++)
        SKT_EQ(skua_chan_close(m->in[i]), 0);
    return 0;
}

static int forward(void *arg)
{
    struct mux *m = arg;
    skua_chan *in = m->in[atomic_fetch_add(&m->x_next, 1)];
    int v;
    while (skua_chan_recv(in, &v, SKUA_NEVER) == 0)
        send_int(m->out, v);
    if (atomic_fetch_add(&m->x_next, 1) == 2 * OUTPUTS - 1)
        SKT_EQ(skua_chan_close(m->out), 0);
    return 0;
}

/* Goal: a select that several receivers answer at once sends its element to one of them. */
RT_TEST(go, double_select)
{
    skua_scope s;
    struct mux m = {.out = new_chan(sizeof(int), 0), .count = (int)skt_scaled(20000)};
    bool *seen = calloc((size_t)m.count, sizeof(*seen));
    int v, received = 0;
    open_scope(&s);
    for (int i = 0; i < OUTPUTS; i++)
        m.in[i] = new_chan(sizeof(int), 0);
    spawn(&s, send_by_select, &m);
    for (int i = 0; i < OUTPUTS; i++)
        spawn(&s, forward, &m);
    while (skua_chan_recv(m.out, &v, SKUA_NEVER) == 0) {
        SKT_TRUE(v >= 0 && v < m.count);
        SKT_FALSE(seen[v]);
        seen[v] = true;
        received++;
    }
    SKT_EQ(received, m.count);
    close_scope(&s);
    for (int i = 0; i < OUTPUTS; i++)
        skua_chan_unref(m.in[i]);
    skua_chan_unref(m.out);
    free(seen);
}

struct facing {
    skua_chan *c[2];
    int count;
    _Atomic(int) x_side, x_done;
    int sent[2], received[2]; /* through each channel */
};

/* Sends on its own channel or receives from the other one, whichever goes. */
static int face(void *arg)
{
    struct facing *f = arg;
    int own = atomic_fetch_add(&f->x_side, 1), other = 1 - own;
    while (f->sent[own] < f->count || f->received[other] < f->count) {
        int out = f->sent[own], in = -1;
        skua_case cases[] = {send_case(f->c[own], &out), recv_case(f->c[other], &in)};
        if (out == f->count)
            cases[0].op = SKUA_SKIP;
        if (f->received[other] == f->count)
            cases[1].op = SKUA_SKIP;
        if (skua_select(cases, 2, 0, SKUA_NEVER) == 0)
            f->sent[own]++;
        else
            SKT_EQ(in, f->received[other]++);
    }
    return 0;
}

/* Goal: two selects that face each other, each with a send and a receive, exchange everything once. */
RT_TEST(go, selects_face_each_other)
{
    for (size_t capacity = 0; capacity < 3; capacity++) {
        skua_scope s;
        struct facing f = {.count = (int)skt_scaled(10000)};
        f.c[0] = new_chan(sizeof(int), capacity);
        f.c[1] = new_chan(sizeof(int), capacity);
        open_scope(&s);
        spawn(&s, face, &f);
        spawn(&s, face, &f);
        close_scope(&s);
        for (int i = 0; i < 2; i++) {
            SKT_EQ(f.sent[i], f.count);
            SKT_EQ(f.received[i], f.count);
            skua_chan_unref(f.c[i]);
        }
    }
}

/* ---- What blocks, and what does not. */

/* Goal: select waits where its only case does, and nowhere else. */
RT_TEST(go, select_blocks_as_its_cases)
{
    int v = 7;
    skua_chan *none = new_chan(sizeof(int), 0), *one = new_chan(sizeof(int), 1);
    skua_case skipped = {.op = SKUA_SKIP};
    SKT_EQ(skua_select(NULL, 0, 0, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_select(NULL, 0, 0, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_select(NULL, 0, 0, soon()), -ETIMEDOUT);
    SKT_EQ(select_one(skipped, SKUA_NOW), -EAGAIN);
    SKT_EQ(select_one(skipped, SKUA_NEVER), -EDEADLK);
    SKT_EQ(select_one(skipped, soon()), -ETIMEDOUT);
    SKT_EQ(select_one(send_case(none, &v), SKUA_NOW), -EAGAIN);
    SKT_EQ(select_one(send_case(none, &v), soon()), -ETIMEDOUT);
    SKT_EQ(select_one(recv_case(none, &v), SKUA_NOW), -EAGAIN);
    SKT_EQ(select_one(recv_case(none, &v), soon()), -ETIMEDOUT);
    SKT_EQ(select_one(recv_case(one, &v), soon()), -ETIMEDOUT);
    SKT_EQ(select_one(send_case(one, &v), SKUA_NEVER), 0);
    SKT_EQ(select_one(send_case(one, &v), SKUA_NOW), -EAGAIN);
    SKT_EQ(select_one(send_case(one, &v), soon()), -ETIMEDOUT);
    SKT_EQ(v, 7);
    SKT_EQ(select_one(recv_case(one, &v), SKUA_NEVER), 0);
    SKT_EQ(skua_chan_len(one), 0); /* what timed out was not sent */
    skua_chan_unref(none);
    skua_chan_unref(one);
}

/* Goal: a coroutine cannot meet itself: its select has both ends of one channel, and waits. */
RT_TEST(go, select_does_not_meet_itself)
{
    int out = 1, in = 2;
    skua_chan *c = new_chan(sizeof(int), 0);
    skua_case cases[] = {send_case(c, &out), recv_case(c, &in)};
    SKT_EQ(skua_select(cases, 2, 0, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_select(cases, 2, 0, soon()), -ETIMEDOUT);
    SKT_EQ(in, 2);
    skua_chan_unref(c);
}

/* ---- Every way to send meets every way to receive. */

static int plain(skua_case *c)
{
    return c->op == SKUA_SEND ? skua_chan_send(c->obj, c->val, SKUA_NEVER)
                              : skua_chan_recv(c->obj, c->val, SKUA_NEVER);
}

static int by_select(skua_case *c)
{
    int ignored;
    skua_chan *never = new_chan(sizeof(int), 0);
    skua_case cases[] = {recv_case(never, &ignored), *c, {.op = SKUA_SKIP}};
    SKT_EQ(skua_select(cases, 3, 0, SKUA_NEVER), 1);
    skua_chan_unref(never);
    return cases[1].res;
}

static int by_trying(skua_case *c)
{
    RT_UNTIL(tried(c->op == SKUA_SEND ? skua_chan_send(c->obj, c->val, SKUA_NOW)
                                      : skua_chan_recv(c->obj, c->val, SKUA_NOW)));
    return 0;
}

static int by_trying_select(skua_case *c)
{
    RT_UNTIL(tried(select_one(*c, SKUA_NOW)));
    return 0;
}

struct way {
    int (*fn)(skua_case *);
    skua_chan *c;
};

static int send_in_a_way(void *arg)
{
    const struct way *way = arg;
    for (int i = 0; i < 50; i++) {
        skua_case c = send_case(way->c, &i);
        SKT_EQ(way->fn(&c), 0);
    }
    return 0;
}

static int recv_in_a_way(void *arg)
{
    const struct way *way = arg;
    for (int i = 0; i < 50; i++) {
        int v = -1;
        skua_case c = recv_case(way->c, &v);
        SKT_EQ(way->fn(&c), 0);
        SKT_EQ(v, i);
    }
    return 0;
}

/* Two that only try never meet without a buffer: neither is ever waiting. */
static bool can_meet(size_t sender, size_t receiver, size_t capacity)
{
    return capacity > 0 || sender < 2 || receiver < 2;
}

/* Goal: plain, in a select with others, and by trying: each sender reaches each receiver. */
RT_TEST(go, every_way_meets_every_way)
{
    static int (*const ways[])(skua_case *) = {plain, by_select, by_trying, by_trying_select};
    for (size_t n = 0; n < 4 * 4 * 2; n++) {
        size_t sender = n % 4, receiver = n / 4 % 4, capacity = n / 16;
        if (!can_meet(sender, receiver, capacity))
            continue;
        skua_scope s;
        skua_chan *c = new_chan(sizeof(int), capacity);
        struct way out = {ways[sender], c}, in = {ways[receiver], c};
        open_scope(&s);
        spawn(&s, send_in_a_way, &out);
        spawn(&s, recv_in_a_way, &in);
        close_scope(&s);
        skua_chan_unref(c);
    }
}
