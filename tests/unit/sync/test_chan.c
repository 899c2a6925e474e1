/* tests/unit/sync/test_chan.c - channels of every kind by their public functions. */
#include <skua/chan.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "sync/chan.h"
#include "tests/unit/sync/chan_test.h"

/* Goal: what cannot be is refused, and nothing is made of it. */
SKT_TEST(chan, misuse)
{
    skua_chan *c = NULL;
    uint64_t word = 1;
    SKT_EQ(skua_chan_new(NULL, 8, 1, 0), -EINVAL);
    SKT_EQ(skua_chan_new(&c, 65537, 1, 0), -EINVAL);
    SKT_EQ(skua_chan_new(&c, 65537, 0, 0), -EINVAL);
    SKT_EQ(skua_chan_new(&c, 8, 1, 4), -EINVAL);
    SKT_EQ(skua_chan_new(&c, 65536, SIZE_MAX, 0), -ENOMEM);
    SKT_EQ(skua_chan_new(&c, 8, SIZE_MAX / 16, 0), -ENOMEM);
    SKT_NULL(c);
    for (int fail = 1; fail <= 2; fail++) {
        sk_mem_fail_after(fail);
        SKT_EQ(skua_chan_new(&c, 8, 4, 0), -ENOMEM);
        sk_mem_fail_after(0);
    }
    CT_EACH(kind)
    {
        c = ct_new(kind, sizeof(word));
        SKT_EQ(skua_chan_send(c, NULL, SKUA_NOW), -EINVAL);
        SKT_EQ(skua_chan_send_n(c, NULL, 2, SKUA_NOW), -EINVAL);
        SKT_EQ(skua_chan_send_n(c, NULL, 0, SKUA_NOW), 0);
        SKT_EQ(skua_chan_send(c, &word, -1), -EINVAL);
        SKT_EQ(skua_chan_send_n(c, &word, 1, SKUA_MS(1)), -EINVAL);
        SKT_EQ(skua_chan_recv(c, &word, -1), -EINVAL);
        SKT_EQ(skua_chan_recv_n(c, &word, 1, -1), -EINVAL);
        SKT_EQ(skua_chan_recv_n(c, &word, 0, SKUA_NOW), 0);
        SKT_EQ(skua_chan_len(c), 0u);
        skua_chan_unref(c);
    }
    skua_chan_unref(NULL);
}

static void check_deadlines(void)
{
    CT_EACH(kind)
    {
        skua_chan *c = ct_new(kind, sizeof(uint64_t));
        uint64_t word = 77;
        SKT_EQ(skua_chan_cap(c), ct_cap(kind));
        SKT_EQ(skua_chan_recv(c, &word, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_chan_recv(c, &word, rt_past()), -ETIMEDOUT);
        skua_time dl = skua_in(SKUA_MS(1));
        SKT_EQ(skua_chan_recv_n(c, &word, 1, dl), -ETIMEDOUT);
        SKT_GE(skua_now(), dl);
        SKT_EQ(word, 77u);
        for (uint64_t i = 0; i < ct_room(kind); i++)
            SKT_EQ(skua_chan_send(c, &i, i % 2 ? SKUA_NEVER : SKUA_NOW), 0);
        SKT_EQ(skua_chan_len(c), ct_room(kind));
        if (kind != CT_UNBOUNDED) {
            SKT_EQ(skua_chan_send(c, &word, SKUA_NOW), -EAGAIN);
            SKT_EQ(skua_chan_send_n(c, &word, 1, rt_past()), -ETIMEDOUT);
            dl = skua_in(SKUA_MS(1));
            SKT_EQ(skua_chan_send(c, &word, dl), -ETIMEDOUT);
            SKT_GE(skua_now(), dl);
        }
        for (uint64_t i = 0; i < ct_room(kind); i++) {
            SKT_EQ(skua_chan_recv(c, &word, i % 2 ? SKUA_NEVER : SKUA_NOW), 0);
            SKT_EQ(word, i);
        }
        SKT_EQ(skua_chan_recv(c, &word, rt_past()), -ETIMEDOUT);
        skua_chan_unref(c);
    }
}

/* Goal: every deadline on a full and on an empty channel; a wait that failed leaves nothing. */
RT_TEST(chan, deadlines)
{
    check_deadlines();
}

RT_THREAD_TEST(chan, thread_deadlines)
{
    check_deadlines();
    rt_start(workers);
    check_deadlines();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    check_deadlines();
}

/* ---- one to one ---- */

struct flow {
    skua_chan *chan;
    uint64_t count;
    size_t elem;
};

static void put_bytes(unsigned char *v, size_t n, uint64_t i)
{
    for (size_t b = 0; b < n; b++)
        v[b] = (unsigned char)(i * 31 + b);
}

static int send_flow(void *arg)
{
    struct flow *f = arg;
    unsigned char *v = malloc(f->elem + 1);
    for (uint64_t i = 0; i < f->count; i++) {
        put_bytes(v, f->elem, i);
        SKT_EQ(skua_chan_send(f->chan, v, SKUA_NEVER), 0);
        memset(v, 0xEE, f->elem + 1); /* it was copied */
    }
    free(v);
    return 0;
}

static void recv_flow(struct flow *f)
{
    unsigned char *v = malloc(f->elem + 1), *want = malloc(f->elem + 1);
    for (uint64_t i = 0; i < f->count; i++) {
        put_bytes(want, f->elem, i);
        v[f->elem] = 0x5A;
        SKT_EQ(skua_chan_recv(f->chan, v, SKUA_NEVER), 0);
        SKT_MEM_EQ(v, want, f->elem);
        SKT_EQ(v[f->elem], 0x5A);
    }
    free(v);
    free(want);
}

/* Goal: elements of every size arrive whole and in order, by every engine. */
RT_TEST(chan, sizes)
{
    const size_t sizes[] = {0, 1, 2, 3, 4, 8, 16, 24, 4096, 65536};
    CT_EACH(kind)
    {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            skua_scope s;
            struct flow f = {ct_new(kind, sizes[i]), sizes[i] > 100 ? 20 : 300, sizes[i]};
            ct_open(&s);
            SKT_EQ(skua_spawn(&s, send_flow, &f), 0);
            recv_flow(&f);
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
            SKT_EQ(skua_chan_len(f.chan), 0u);
            skua_chan_unref(f.chan);
        }
    }
}

static void *send_in_thread(void *arg)
{
    send_flow(arg);
    return NULL;
}

/* Goal: a plain thread on one side or on both, with a runtime or without. */
RT_THREAD_TEST(chan, threads)
{
    CT_EACH(kind)
    {
        struct flow f = {ct_new(kind, 8), 500, 8};
        pthread_t thread = rt_thread(send_in_thread, &f);
        recv_flow(&f);
        rt_thread_join(thread);
        rt_start(workers);
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, send_flow, &f), 0);
        recv_flow(&f);
        thread = rt_thread(send_in_thread, &f);
        recv_flow(&f);
        rt_thread_join(thread);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        skua_chan_unref(f.chan);
    }
}

/* Goal: NULL drops the element, and only that one. */
RT_TEST(chan, dropped)
{
    CT_EACH(kind)
    {
        skua_scope s;
        struct flow f = {ct_new(kind, 8), 3, 8};
        unsigned char v[8], want[8];
        ct_open(&s);
        SKT_EQ(skua_spawn(&s, send_flow, &f), 0);
        SKT_EQ(skua_chan_recv(f.chan, NULL, SKUA_NEVER), 0);
        SKT_EQ(skua_chan_recv(f.chan, v, SKUA_NEVER), 0);
        put_bytes(want, 8, 1);
        SKT_MEM_EQ(v, want, 8);
        SKT_EQ(skua_chan_recv_n(f.chan, NULL, 5, SKUA_NEVER), 1);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        skua_chan_unref(f.chan);
    }
}

/* ---- the order of errors ---- */

static int while_cancelled(void *arg)
{
    skua_chan *c = arg;
    uint64_t word = 5;
    while (!skua_cancelled())
        skua_yield();
    SKT_EQ(skua_chan_recv(c, &word, SKUA_NEVER), -ECANCELED);
    SKT_EQ(skua_chan_recv(c, &word, rt_past()), -ECANCELED);
    SKT_EQ(skua_chan_recv(c, &word, SKUA_NOW), -EAGAIN);
    if (skua_chan_cap(c) > 0) { /* what can be done at once is done */
        SKT_EQ(skua_chan_send(c, &word, SKUA_NEVER), 0);
        SKT_EQ(skua_chan_recv(c, &word, SKUA_NEVER), 0);
        SKT_EQ(skua_chan_send(c, &word, rt_past()), 0);
        SKT_EQ(skua_chan_recv_n(c, &word, 1, rt_past()), 1);
    } else {
        SKT_EQ(skua_chan_send(c, &word, SKUA_NEVER), -ECANCELED);
        SKT_EQ(skua_chan_send(c, &word, SKUA_NOW), -EAGAIN);
    }
    SKT_EQ(skua_chan_close(c), 0);
    SKT_EQ(skua_chan_recv(c, &word, SKUA_NEVER), -EPIPE);
    SKT_EQ(skua_chan_send(c, &word, rt_past()), -EPIPE);
    SKT_EQ(skua_chan_send(c, &word, -1), -EINVAL);
    return -ECANCELED;
}

RT_TEST(chan, order_of_errors)
{
    CT_EACH(kind)
    {
        skua_scope s;
        skua_chan *c = ct_new(kind, 8);
        ct_open(&s);
        SKT_EQ(skua_spawn(&s, while_cancelled, c), 0);
        skua_scope_cancel(&s);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
        skua_chan_unref(c);
    }
}

static int recv_one_soon(void *arg)
{
    struct ct_waiters *w = arg;
    uint64_t word;
    ct_count(w, skua_chan_recv(w->chan, &word, skua_in(SKUA_MS(1))));
    return 0;
}

static void *recv_one_in_thread(void *arg)
{
    ct_recv_one(arg);
    return NULL;
}

/* Goal: cancelled and late receivers leave the queue; those who stay get what comes, each one. */
RT_TEST(chan, leaving)
{
    CT_EACH(kind)
    {
        struct ct_waiters stay = {.chan = ct_new(kind, 8)}, go = {.chan = stay.chan};
        skua_scope outer, inner;
        uint64_t word = 1;
        ct_open(&outer);
        ct_open(&inner);
        for (int i = 0; i < 20; i++) {
            SKT_EQ(skua_spawn(&outer, ct_recv_one, &stay), 0);
            SKT_EQ(skua_spawn(&inner, i % 2 ? ct_recv_one : recv_one_soon, &go), 0);
        }
        SKT_EQ(skua_scope_close(&inner, skua_in(SKUA_MS(2))), -EBUSY);
        RT_UNTIL(atomic_load(&go.ended[ETIMEDOUT]) == 10);
        skua_scope_cancel(&inner);
        SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), -ECANCELED);
        SKT_EQ(atomic_load(&go.ended[ECANCELED]), 10);
        for (int i = 0; i < 20; i++)
            SKT_EQ(skua_chan_send(stay.chan, &word, SKUA_NEVER), 0);
        SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&stay.ended[0]), 20);
        SKT_EQ(skua_chan_len(stay.chan), 0u);
        skua_chan_unref(stay.chan);
    }
}

/* Goal: the same for senders: one that gave up has sent nothing. */
RT_TEST(chan, leaving_senders)
{
    for (enum ct_kind kind = CT_RENDEZVOUS; kind < CT_UNBOUNDED; kind++) {
        struct ct_waiters stay = {.chan = ct_new(kind, 8)}, go = {.chan = stay.chan};
        skua_scope outer, inner;
        uint64_t word;
        ct_fill(stay.chan, kind);
        ct_open(&outer);
        ct_open(&inner);
        for (int i = 0; i < 20; i++) {
            SKT_EQ(skua_spawn(&outer, ct_send_one, &stay), 0);
            SKT_EQ(skua_spawn(&inner, ct_send_one, &go), 0);
        }
        SKT_EQ(skua_scope_close(&inner, skua_in(SKUA_MS(2))), -EBUSY);
        skua_scope_cancel(&inner);
        SKT_EQ(skua_scope_close(&inner, SKUA_NEVER), -ECANCELED);
        SKT_EQ(atomic_load(&go.ended[ECANCELED]), 20);
        for (uint64_t i = 0; i < 20 + ct_room(kind); i++)
            SKT_EQ(skua_chan_recv(stay.chan, &word, SKUA_NEVER), 0);
        SKT_EQ(skua_chan_recv(stay.chan, &word, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&stay.ended[0]), 20);
        skua_chan_unref(stay.chan);
    }
}

/* Goal: a scope's deadline ends a wait on a channel. */
RT_TEST(chan, scope_deadline)
{
    CT_EACH(kind)
    {
        skua_scope s;
        skua_chan *c = ct_new(kind, 8);
        uint64_t word;
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, skua_in(SKUA_MS(1))), 0);
        SKT_EQ(skua_chan_recv(c, &word, SKUA_NEVER), -ETIMEDOUT);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        skua_chan_unref(c);
    }
}

/* ---- close ---- */

/* Goal: close wakes every receiver, coroutine or thread; a second close says so. */
RT_TEST(chan, close_wakes_receivers)
{
    CT_EACH(kind)
    {
        struct ct_waiters w = {.chan = ct_new(kind, 8)};
        skua_scope s;
        uint64_t word = 1;
        pthread_t thread = rt_thread(recv_one_in_thread, &w);
        ct_open(&s);
        for (int i = 0; i < 50; i++)
            SKT_EQ(skua_spawn(&s, ct_recv_one, &w), 0);
        SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(2))), -EBUSY);
        SKT_EQ(skua_chan_close(w.chan), 0);
        SKT_EQ(skua_chan_close(w.chan), -EPIPE);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        RT_UNTIL(atomic_load(&w.ended[EPIPE]) == 51);
        rt_thread_join(thread);
        SKT_EQ(skua_chan_send(w.chan, &word, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_chan_send_n(w.chan, &word, 1, SKUA_NOW), -EPIPE);
        skua_chan_unref(w.chan);
    }
}

/* Goal: close refuses the senders that wait, and what was in the channel is received, then -EPIPE. */
RT_TEST(chan, close_refuses_senders)
{
    CT_EACH(kind)
    {
        struct ct_waiters w = {.chan = ct_new(kind, 8)};
        skua_scope s;
        uint64_t word;
        ct_fill(w.chan, kind);
        ct_open(&s);
        for (int i = 0; i < 50 && kind != CT_UNBOUNDED; i++)
            SKT_EQ(skua_spawn(&s, ct_send_one, &w), 0);
        SKT_EQ(skua_scope_close(&s, skua_in(SKUA_MS(2))), kind != CT_UNBOUNDED ? -EBUSY : 0);
        SKT_EQ(skua_chan_close(w.chan), 0);
        if (kind != CT_UNBOUNDED)
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&w.ended[EPIPE]), kind != CT_UNBOUNDED ? 50 : 0);
        SKT_EQ(skua_chan_len(w.chan), ct_room(kind));
        for (uint64_t i = 0; i < ct_room(kind); i++) {
            SKT_EQ(skua_chan_recv(w.chan, &word, SKUA_NOW), 0);
            SKT_EQ(word, CT_FILLER + i);
        }
        SKT_EQ(skua_chan_recv(w.chan, &word, SKUA_NOW), -EPIPE);
        SKT_EQ(skua_chan_recv_n(w.chan, &word, 1, SKUA_NEVER), -EPIPE);
        skua_chan_unref(w.chan);
    }
}

/* ---- references ---- */

/* Goal: what is left in a channel goes with it (a sanitizer sees it); a reference holds it. */
SKT_TEST(chan, references)
{
    CT_EACH(kind)
    {
        uint64_t word;
        skua_chan *c = ct_new(kind, 8);
        SKT_PTR_EQ(skua_chan_ref(c), c);
        ct_fill(c, kind);
        skua_chan_unref(c);
        SKT_EQ(skua_chan_recv(c, &word, SKUA_NOW), ct_room(kind) > 0 ? 0 : -EAGAIN);
        skua_chan_unref(c);
    }
}

/* Goal: no memory for what an unbounded channel grows by: it was not sent, and all else is there. */
SKT_TEST(chan, no_memory)
{
    skua_chan *c = ct_new(CT_UNBOUNDED, 8);
    uint64_t word = 1;
    sk_mem_fail_after(1);
    SKT_EQ(skua_chan_send(c, &word, SKUA_NEVER), -ENOMEM);
    sk_mem_fail_after(0);
    SKT_EQ(skua_chan_len(c), 0u);
    SKT_EQ(skua_chan_send(c, &word, SKUA_NEVER), 0);
    SKT_EQ(skua_chan_len(c), 1u);
    skua_chan_unref(c);
}

/* ---- callbacks ---- */

struct callback {
    skua_chan *chan;
    _Atomic(int) done;
};

static void use_in_timer(void *arg)
{
    struct callback *cb = arg;
    uint64_t word = 3;
    SKT_EQ(skua_chan_recv(cb->chan, &word, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_chan_recv(cb->chan, &word, SKUA_NEVER), -EPERM);
    if (skua_chan_cap(cb->chan) > 0)
        SKT_EQ(skua_chan_send(cb->chan, &word, SKUA_NEVER), 0); /* it need not wait */
    else
        SKT_EQ(skua_chan_send(cb->chan, &word, SKUA_NEVER), -EPERM);
    atomic_store(&cb->done, 1);
}

/* Goal: in a timer's function what need not wait works, and what would is refused. */
RT_TEST(chan, callbacks)
{
    CT_EACH(kind)
    {
        struct callback cb = {.chan = ct_new(kind, 8)};
        skua_timer timer;
        SKT_EQ(skua_timer_start(&timer, skua_now(), use_in_timer, &cb), 0);
        RT_UNTIL(atomic_load(&cb.done) == 1);
        skua_chan_unref(cb.chan);
    }
}

/* ---- a lonely worker beside who came before it ---- */

static skua_chan *held;
static bool was_left_alone;

static int receive_seven(void *arg)
{
    int value = 0;
    (void)arg;
    SKT_EQ(skua_chan_recv(held, &value, SKUA_NEVER), 0);
    SKT_EQ(value, 7);
    return 0;
}

/* As a plain thread does that has the lock since before the runtime was started: it ends nobody's
 * solitude. */
static void *let_go_late(void *arg)
{
    usleep(20000);
    was_left_alone = atomic_load(&held->x_lock) == (SK_CHAN_RECEIVERS | SK_QUEUE_LOCKED);
    atomic_fetch_and(&held->x_lock, ~(uint64_t)SK_QUEUE_LOCKED);
    return arg;
}

static void send_beside_a_holder(void)
{
    skua_scope s;
    int value = 7;
    pthread_t holder;
    held = ct_new(CT_RENDEZVOUS, sizeof(int));
    ct_open(&s);
    SKT_EQ(skua_spawn(&s, receive_seven, NULL), 0);
    while (atomic_load(&held->x_lock) != SK_CHAN_RECEIVERS)
        SKT_EQ(skua_yield(), 0);
    atomic_fetch_or(&held->x_lock, (uint64_t)SK_QUEUE_LOCKED);
    SKT_EQ(pthread_create(&holder, NULL, let_go_late, NULL), 0);
    SKT_EQ(skua_chan_send(held, &value, SKUA_NEVER), 0);
    SKT_EQ(pthread_join(holder, NULL), 0);
    SKT_TRUE(was_left_alone);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_chan_unref(held);
}

/* Goal: sections respect a lock that was taken before there were any. */
SKT_TEST(chan, held_since_before_the_start)
{
    rt_run(1, send_beside_a_holder);
}
