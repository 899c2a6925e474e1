/* tests/unit/sync/test_select.c - select over channels of every kind. */
#include <skua/chan.h>

#include "tests/unit/sync/chan_test.h"

/* Goal: what cannot be is refused before anything is done. */
SKT_TEST(select, misuse)
{
    uint64_t word = 1;
    skua_chan *c = ct_new(CT_THREE, 8), *empty = ct_new(CT_ONE, 0);
    skua_case v[2] = {ct_to_send(c, &word)};
    const skua_case bad[] = {
        {.op = SKUA_SEND},    {.op = SKUA_RECV},           {.op = SKUA_FUTURE},
        {.op = SKUA_TASK},    {.op = SKUA_FD, .fd = -1},   {.op = 6, .obj = c},
        {.op = -1, .obj = c}, {.op = SKUA_SEND, .obj = c},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        v[1] = bad[i];
        SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), -EINVAL);
    }
    SKT_EQ(skua_select(NULL, 1, 0, SKUA_NOW), -EINVAL);
    SKT_EQ(skua_select(v, 1, 2, SKUA_NOW), -EINVAL);
    SKT_EQ(skua_select(v, 1, 0, -1), -EINVAL);
    SKT_EQ(skua_chan_len(c), 0u);
    v[1] = (skua_case){.op = SKUA_SEND, .obj = empty};
    SKT_EQ(skua_select(v + 1, 1, 0, SKUA_NOW), 0); /* no bytes, no value */
    skua_chan_unref(c);
    skua_chan_unref(empty);
}

static void check_nothing(void)
{
    skua_case skip[20];
    for (int i = 0; i < 20; i++)
        skip[i] = (skua_case){.op = SKUA_SKIP, .res = 7};
    for (unsigned n = 0; n <= 20; n += 10) {
        SKT_EQ(skua_select(n > 0 ? skip : NULL, n, 0, SKUA_NEVER), -EDEADLK);
        SKT_EQ(skua_select(skip, n, 0, SKUA_NOW), -EAGAIN);
        skua_time dl = skua_in(SKUA_MS(1));
        SKT_EQ(skua_select(skip, n, SKUA_SELECT_ORDERED, dl), -ETIMEDOUT);
        SKT_GE(skua_now(), dl);
        SKT_EQ(skip[0].res, 7);
    }
}

static void check_deadlines(void)
{
    check_nothing();
    CT_EACH(kind)
    {
        uint64_t word = 5, got = 0;
        skua_chan *c = ct_new(kind, 8);
        skua_case v[2] = {{.op = SKUA_SKIP}, ct_to_recv(c, &got)};
        SKT_EQ(skua_select(v, 2, 0, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_select(v, 2, 0, rt_past()), -ETIMEDOUT);
        skua_time dl = skua_in(SKUA_MS(1));
        SKT_EQ(skua_select(v, 2, 0, dl), -ETIMEDOUT);
        SKT_GE(skua_now(), dl);
        SKT_EQ(v[1].res, 1);
        if (kind != CT_RENDEZVOUS) {
            SKT_EQ(skua_chan_send(c, &word, SKUA_NOW), 0);
            SKT_EQ(skua_select(v, 2, 0, rt_past()), 1);
            SKT_TRUE(got == 5 && v[1].res == 0);
            v[1] = ct_to_send(c, &word);
            for (uint64_t i = 0; i < ct_room(kind); i++)
                SKT_EQ(skua_select(v, 2, 0, SKUA_NOW), 1);
            SKT_EQ(skua_chan_len(c), ct_room(kind));
        }
        v[1] = ct_to_send(c, &word);
        if (kind != CT_UNBOUNDED) {
            SKT_EQ(skua_select(v, 2, 0, SKUA_NOW), -EAGAIN);
            SKT_EQ(skua_select(v, 2, 0, skua_in(SKUA_MS(1))), -ETIMEDOUT);
        }
        SKT_EQ(skua_chan_close(c), 0);
        SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), 1);
        SKT_EQ(v[1].res, -EPIPE);
        v[1] = ct_to_recv(c, &got);
        for (uint64_t i = 0; i <= ct_room(kind); i++) {
            SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), 1);
            SKT_EQ(v[1].res, i < ct_room(kind) ? 0 : -EPIPE);
        }
        skua_chan_unref(c);
    }
}

/* Goal: every deadline; a closed channel's case is ready. */
RT_TEST(select, deadlines)
{
    check_deadlines();
}

RT_THREAD_TEST(select, thread_deadlines)
{
    check_deadlines();
    rt_start(workers);
    check_deadlines();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- which one ---- */

enum { TRIALS = 20000 };

/* Goal: cases that are ready have equal chances, wherever they stand. Bound: eight standard
 * deviations, sqrt(n p (1 - p)) each: chance alone fails it once in 10^15 times. */
RT_TEST(select, fair)
{
    skua_chan *c[5];
    uint64_t word = 0, hits[5] = {0};
    skua_case v[5];
    for (int i = 0; i < 5; i++) {
        c[i] = ct_new(i % 2 ? CT_MANY : CT_UNBOUNDED, 8);
        v[i] = ct_to_recv(c[i], &word);
        if (i != 0 && i != 3)
            for (int k = 0; k < 2; k++)
                SKT_EQ(skua_chan_send(c[i], &word, SKUA_NOW), 0);
    }
    for (int i = 0; i < TRIALS; i++) {
        int k = skua_select(v, 5, 0, SKUA_NEVER);
        hits[k]++;
        SKT_EQ(skua_chan_send(c[k], &word, SKUA_NOW), 0);
    }
    SKT_EQ(hits[0] + hits[3], 0u);
    for (int i = 1; i < 5; i++)
        if (i != 3)
            SKT_BETWEEN(hits[i], TRIALS / 3 - 8 * 67, TRIALS / 3 + 8 * 67);
    for (int i = 0; i < 5; i++)
        skua_chan_unref(c[i]);
}

/* Goal: ordered takes the first that is ready, always. */
RT_TEST(select, ordered)
{
    skua_chan *c[4];
    uint64_t word = 0;
    skua_case v[4];
    for (int i = 0; i < 4; i++) {
        c[i] = ct_new(i % 2 ? CT_MANY : CT_UNBOUNDED, 8);
        v[i] = ct_to_recv(c[i], &word);
    }
    for (int round = 0; round < 50; round++) {
        for (int i = 3; i >= 0; i--)
            SKT_EQ(skua_chan_send(c[i], &word, SKUA_NOW), 0);
        for (int i = 0; i < 4; i++)
            SKT_EQ(skua_select(v, 4, SKUA_SELECT_ORDERED, SKUA_NEVER), i);
    }
    for (int i = 0; i < 4; i++)
        skua_chan_unref(c[i]);
}

/* Goal: the case of an element that comes while the select waits, and no other, is done. */
struct late {
    skua_chan *chan[3];
    int which;
    bool by_send;
};

static int come_late(void *arg)
{
    struct late *l = arg;
    uint64_t word = 40 + (uint64_t)l->which;
    for (int i = 0; i < 5; i++)
        skua_yield();
    if (l->by_send)
        SKT_EQ(skua_chan_send(l->chan[l->which], &word, SKUA_NEVER), 0);
    else
        SKT_EQ(skua_chan_recv(l->chan[l->which], &word, SKUA_NEVER), 0);
    return 0;
}

RT_TEST(select, woken_by_element)
{
    CT_EACH(kind)
    {
        for (int round = 0; round < 12; round++) {
            struct late l = {.which = round % 3, .by_send = true};
            uint64_t got[3] = {0};
            skua_case v[3];
            skua_scope s;
            for (int i = 0; i < 3; i++) {
                l.chan[i] = ct_new((kind + (round > 5 ? (unsigned)i : 0)) % CT_KINDS, 8);
                v[i] = ct_to_recv(l.chan[i], &got[i]);
            }
            ct_open(&s);
            SKT_EQ(skua_spawn(&s, come_late, &l), 0);
            SKT_EQ(skua_select(v, 3, 0, SKUA_NEVER), l.which);
            for (int i = 0; i < 3; i++) {
                SKT_EQ(got[i], i == l.which ? 40 + (uint64_t)i : 0);
                SKT_EQ(v[i].res, i == l.which ? 0 : 1);
            }
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
            for (int i = 0; i < 3; i++) {
                SKT_EQ(skua_chan_recv(l.chan[i], NULL, SKUA_NOW), -EAGAIN);
                SKT_EQ(skua_chan_send(l.chan[i], got, SKUA_NOW),
                       skua_chan_cap(l.chan[i]) > 0 ? 0 : -EAGAIN); /* it has left */
                skua_chan_unref(l.chan[i]);
            }
        }
    }
}

RT_TEST(select, woken_by_room)
{
    for (enum ct_kind kind = CT_RENDEZVOUS; kind < CT_UNBOUNDED; kind++) {
        for (int round = 0; round < 6; round++) {
            struct late l = {.which = round % 3};
            uint64_t word = 9;
            skua_case v[3];
            skua_scope s;
            for (int i = 0; i < 3; i++) {
                l.chan[i] = ct_new(kind, 8);
                ct_fill(l.chan[i], kind);
                v[i] = ct_to_send(l.chan[i], &word);
            }
            ct_open(&s);
            SKT_EQ(skua_spawn(&s, come_late, &l), 0);
            SKT_EQ(skua_select(v, 3, 0, SKUA_NEVER), l.which);
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
            for (int i = 0; i < 3; i++) {
                SKT_EQ(skua_chan_len(l.chan[i]), ct_room(kind));
                skua_chan_unref(l.chan[i]);
            }
        }
    }
}

static int close_late(void *arg)
{
    struct late *l = arg;
    for (int i = 0; i < 5; i++)
        skua_yield();
    SKT_EQ(skua_chan_close(l->chan[l->which]), 0);
    return 0;
}

/* Goal: a close wakes a select, sender or receiver. */
RT_TEST(select, woken_by_close)
{
    for (enum ct_kind kind = CT_RENDEZVOUS; kind < CT_UNBOUNDED; kind++) {
        for (int round = 0; round < 6; round++) {
            struct late l = {.which = round % 2};
            uint64_t word = 9;
            skua_scope s;
            l.chan[0] = ct_new(kind, 8);
            l.chan[1] = ct_new(kind, 8);
            ct_fill(l.chan[1], kind);
            skua_case v[2] = {ct_to_recv(l.chan[0], &word), ct_to_send(l.chan[1], &word)};
            ct_open(&s);
            SKT_EQ(skua_spawn(&s, close_late, &l), 0);
            SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), l.which);
            SKT_EQ(v[l.which].res, -EPIPE);
            SKT_EQ(v[1 - l.which].res, 1);
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
            SKT_EQ(skua_chan_len(l.chan[1]), ct_room(kind));
            skua_chan_unref(l.chan[0]);
            skua_chan_unref(l.chan[1]);
        }
    }
}

static int select_cancelled(void *arg)
{
    skua_chan **c = arg;
    uint64_t word;
    skua_case v[3] = {ct_to_recv(c[0], &word), ct_to_recv(c[1], &word), ct_to_recv(c[2], &word)};
    SKT_EQ(skua_select(v, 3, 0, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_select(v, 3, 0, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_select(v, 3, 0, rt_past()), -ECANCELED);
    return -ECANCELED;
}

/* Goal: a cancelled select leaves every queue: what comes next is for those who stay. */
RT_TEST(select, cancelled)
{
    skua_scope s;
    skua_chan *c[3] = {ct_new(CT_RENDEZVOUS, 8), ct_new(CT_THREE, 8), ct_new(CT_UNBOUNDED, 8)};
    uint64_t word = 3;
    ct_open(&s);
    for (int i = 0; i < 20; i++)
        SKT_EQ(skua_spawn(&s, select_cancelled, c), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(2))), -EBUSY);
    skua_scope_cancel(&s);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_chan_send(c[0], &word, SKUA_NOW), -EAGAIN);
    for (int i = 1; i < 3; i++) {
        SKT_EQ(skua_chan_send(c[i], &word, SKUA_NOW), 0);
        SKT_EQ(skua_chan_len(c[i]), 1u);
    }
    for (int i = 0; i < 3; i++)
        skua_chan_unref(c[i]);
}

/* ---- several at once ---- */

/* Goal: a select does not meet itself: sending and receiving on one channel needs another. */
RT_TEST(select, not_itself)
{
    uint64_t out = 1, in = 0;
    skua_chan *c = ct_new(CT_RENDEZVOUS, 8);
    skua_case v[4] = {ct_to_send(c, &out), ct_to_recv(c, &in), ct_to_send(c, &out),
                      ct_to_recv(c, &in)};
    SKT_EQ(skua_select(v, 4, 0, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_select(v, 4, 0, skua_in(SKUA_MS(2))), -ETIMEDOUT);
    SKT_EQ(in, 0u);
    skua_chan_unref(c);
}

enum { MEETINGS = 2000 };

struct facing {
    skua_chan *a, *b;
    uint64_t sum[2];
};

/* Both offer to send on one channel and to receive on the other: exactly one of the two directions
 * comes about each time. */
static int face(void *arg)
{
    struct facing *f = ((struct facing **)arg)[0];
    bool first = ((uintptr_t *)arg)[1] == 0;
    uint64_t in, one = 1;
    for (int i = 0; i < MEETINGS; i++) {
        in = 0;
        skua_case v[2] = {ct_to_send(first ? f->a : f->b, &one),
                          ct_to_recv(first ? f->b : f->a, &in)};
        int k = skua_select(v, 2, 0, SKUA_NEVER);
        SKT_TRUE(k == 0 || k == 1);
        SKT_EQ(v[k].res, 0);
        SKT_EQ(in, (uint64_t)k);
        f->sum[first] += in;
    }
    return 0;
}

/* Goal: two selects that face each other always meet, and what one sends the other receives. */
RT_TEST(select, facing)
{
    struct facing f = {ct_new(CT_RENDEZVOUS, 8), ct_new(CT_RENDEZVOUS, 8), {0, 0}};
    void *args[2][2] = {{&f, (void *)0}, {&f, (void *)1}};
    skua_scope s;
    ct_open(&s);
    for (int i = 0; i < 2; i++)
        SKT_EQ(skua_spawn(&s, face, args[i]), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(f.sum[0] + f.sum[1], MEETINGS);
    skua_chan_unref(f.a);
    skua_chan_unref(f.b);
}

/* Goal: a hint that an ordered select got for one channel is passed on when it does another case.
 * Method: the select and, behind it, a receiver wait on `a`; both channels get an element before
 * anybody runs. The select was claimed for a, and takes b. */
struct passing {
    skua_chan *a, *b;
    _Atomic(int) got_a, got_b;
};

static int select_b_first(void *arg)
{
    struct passing *p = arg;
    uint64_t word;
    skua_case v[2] = {ct_to_recv(p->b, &word), ct_to_recv(p->a, &word)};
    int k = skua_select(v, 2, SKUA_SELECT_ORDERED, SKUA_NEVER);
    atomic_fetch_add(k == 0 ? &p->got_b : &p->got_a, 1);
    return 0;
}

static int receive_a(void *arg)
{
    struct passing *p = arg;
    uint64_t word;
    SKT_EQ(skua_chan_recv(p->a, &word, SKUA_NEVER), 0);
    atomic_fetch_add(&p->got_a, 1);
    return 0;
}

static void pass_on(void)
{
    struct passing p = {.a = ct_new(CT_THREE, 8), .b = ct_new(CT_THREE, 8)};
    skua_task *task[2];
    skua_scope s;
    uint64_t word = 1;
    ct_open(&s);
    SKT_EQ(skua_spawn_opts(&s, select_b_first, &p, NULL, &task[0]), 0);
    RT_UNTIL(rt_is_waiting(task[0]));
    SKT_EQ(skua_spawn_opts(&s, receive_a, &p, NULL, &task[1]), 0);
    RT_UNTIL(rt_is_waiting(task[1]));
    SKT_EQ(skua_chan_send(p.a, &word, SKUA_NOW), 0);
    SKT_EQ(skua_chan_send(p.b, &word, SKUA_NOW), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
    SKT_EQ(atomic_load(&p.got_a), 1);
    SKT_EQ(atomic_load(&p.got_b), 1);
    for (int i = 0; i < 2; i++)
        skua_task_unref(task[i]);
    skua_chan_unref(p.a);
    skua_chan_unref(p.b);
}

SKT_TEST(select, passes_on)
{
    rt_run(1, pass_on);
}

/* ---- callbacks ---- */

static void select_in_timer(void *arg)
{
    struct passing *p = arg;
    uint64_t word = 0;
    skua_case v[2] = {ct_to_recv(p->a, &word), ct_to_send(p->b, &word)};
    SKT_EQ(skua_select(v, 1, 0, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_select(v, 1, 0, SKUA_NEVER), -EPERM);
    SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), 1);
    atomic_store(&p->got_b, 1);
}

RT_TEST(select, callbacks)
{
    struct passing p = {.a = ct_new(CT_ONE, 8), .b = ct_new(CT_ONE, 8)};
    skua_timer timer;
    SKT_EQ(skua_timer_start(&timer, skua_now(), select_in_timer, &p), 0);
    RT_UNTIL(atomic_load(&p.got_b) == 1);
    skua_chan_unref(p.a);
    skua_chan_unref(p.b);
}
