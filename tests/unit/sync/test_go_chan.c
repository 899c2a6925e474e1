/* tests/unit/sync/test_go_chan.c - channels behave as Go's do: the behaviours that Go's own tests hold
 * fast, by the public interface. Select's are in test_go_select.c. */
#include <skua/skua.h>

#include "tests/unit/sync/go_test.h"

/* ---- Sieve: a chain of rendezvous channels. */

struct filter {
    skua_chan *in, *out;
    int prime;
};

static int count_up(void *out)
{
    int rc = 0;
    for (int n = 2; rc == 0; n++)
        rc = skua_chan_send(out, &n, SKUA_NEVER);
    return rc == -EPIPE ? 0 : rc;
}

/* Ends when nobody wants more, and says so to who is before it. */
static int drop_multiples(void *arg)
{
    const struct filter *f = arg;
    int n, rc = 0;
    while (rc == 0 && (rc = skua_chan_recv(f->in, &n, SKUA_NEVER)) == 0) {
        if (n % f->prime != 0)
            rc = skua_chan_send(f->out, &n, SKUA_NEVER);
    }
    SKT_EQ(rc, -EPIPE);
    SKT_EQ(skua_chan_close(f->in), 0);
    return 0;
}

static bool is_prime(int n)
{
    for (int d = 2; d * d <= n; d++) {
        if (n % d == 0)
            return false;
    }
    return true;
}

/* Goal: numbers pass a long chain from hand to hand, in order, none lost and none twice; a close goes
 * back through the chain. */
RT_TEST(go, sieve)
{
    enum { PRIMES = 150 };
    skua_scope s;
    skua_chan *chans[PRIMES + 1] = {new_chan(sizeof(int), 0)};
    int wanted = 1;
    open_scope(&s);
    spawn(&s, count_up, chans[0]);
    for (int i = 0; i < PRIMES; i++) {
        struct filter f = {chans[i], new_chan(sizeof(int), 0), recv_int(chans[i])};
        do
            wanted++;
        while (!is_prime(wanted));
        SKT_EQ(f.prime, wanted);
        SKT_EQ(skua_spawn_copy(&s, drop_multiples, &f, sizeof(f)), 0);
        chans[i + 1] = f.out;
    }
    SKT_EQ(skua_chan_close(chans[PRIMES]), 0);
    close_scope(&s);
    for (int i = 0; i <= PRIMES; i++)
        skua_chan_unref(chans[i]);
}

/* ---- Fifo. */

/* Goal: what is in a buffer comes out in its order, through its wrap too. */
RT_TEST(go, fifo_buffered)
{
    skua_chan *c = new_chan(sizeof(int), 10);
    for (int round = 0; round < 7; round++) {
        for (int i = 0; i < 10 - round; i++)
            send_int(c, i);
        for (int i = 0; i < 10 - round; i++)
            SKT_EQ(recv_int(c), i);
    }
    skua_chan_unref(c);
}

static int send_two(void *c)
{
    send_int(c, 1);
    send_int(c, 2);
    return 0;
}

/* Goal: who waits because the buffer is full goes on as soon as one element is taken, and its own is
 * then in the buffer. */
RT_TEST(go, room_lets_a_sender_go)
{
    skua_scope s;
    skua_task *sender;
    skua_chan *c = new_chan(sizeof(int), 1);
    open_scope(&s);
    SKT_EQ(skua_spawn_opts(&s, send_two, c, NULL, &sender), 0);
    RT_UNTIL(rt_is_waiting(sender));
    SKT_EQ(recv_int(c), 1);
    SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
    SKT_EQ(skua_chan_len(c), 1);
    SKT_EQ(recv_int(c), 2);
    skua_task_unref(sender);
    skua_chan_unref(c);
}

struct link {
    skua_chan *numbers, *turn, *next_turn;
    int number;
};

static int take_turn(void *arg)
{
    const struct link *link = arg;
    SKT_EQ(recv_int(link->turn), link->number);
    SKT_EQ(recv_int(link->numbers), link->number);
    send_int(link->next_turn, link->number + 1);
    return 0;
}

/* Goal: the same without a buffer: of coroutines that take their turns each gets its own number. */
RT_TEST(go, fifo_rendezvous)
{
    enum { LINKS = 50 };
    skua_scope s;
    skua_chan *numbers = new_chan(sizeof(int), 0), *turns[LINKS + 1];
    open_scope(&s);
    for (int i = 0; i <= LINKS; i++)
        turns[i] = new_chan(sizeof(int), 0);
    for (int i = 0; i < LINKS; i++) {
        struct link link = {numbers, turns[i], turns[i + 1], i};
        SKT_EQ(skua_spawn_copy(&s, take_turn, &link, sizeof(link)), 0);
    }
    send_int(turns[0], 0);
    for (int i = 0; i < LINKS; i++)
        send_int(numbers, i);
    SKT_EQ(recv_int(turns[LINKS]), LINKS);
    close_scope(&s);
    for (int i = 0; i <= LINKS; i++)
        skua_chan_unref(turns[i]);
    skua_chan_unref(numbers);
}

/* ---- Not blocking. */

enum { SIZE_MAX_TRIED = 100 };

struct exchange {
    skua_chan *c;
    size_t size;
    unsigned char bytes[SIZE_MAX_TRIED];
};

static int send_bytes(void *arg)
{
    struct exchange *x = arg;
    return skua_chan_send(x->c, x->bytes, SKUA_NEVER);
}

static int recv_bytes(void *arg)
{
    struct exchange *x = arg;
    unsigned char got[SIZE_MAX_TRIED];
    SKT_EQ(skua_chan_recv(x->c, got, SKUA_NEVER), 0);
    SKT_MEM_EQ(got, x->bytes, x->size);
    return 0;
}

static void exchange_without_buffer(struct exchange *x)
{
    skua_scope s;
    unsigned char got[SIZE_MAX_TRIED];
    SKT_EQ(skua_chan_recv(x->c, got, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_chan_send(x->c, x->bytes, SKUA_NOW), -EAGAIN);
    open_scope(&s);
    spawn(&s, recv_bytes, x);
    RT_UNTIL(tried(skua_chan_send(x->c, x->bytes, SKUA_NOW)));
    close_scope(&s);
    open_scope(&s);
    spawn(&s, send_bytes, x);
    RT_UNTIL(tried(skua_chan_recv(x->c, got, SKUA_NOW)));
    SKT_MEM_EQ(got, x->bytes, x->size);
    close_scope(&s);
    SKT_EQ(skua_chan_recv(x->c, got, SKUA_NOW), -EAGAIN);
}

static void exchange_with_buffer(struct exchange *x)
{
    unsigned char got[SIZE_MAX_TRIED] = {0};
    for (int round = 0; round < 3; round++) {
        SKT_EQ(skua_chan_recv(x->c, got, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_chan_send(x->c, x->bytes, SKUA_NOW), 0);
        SKT_EQ(skua_chan_send(x->c, x->bytes, SKUA_NOW), -EAGAIN);
        SKT_EQ(skua_chan_recv(x->c, got, SKUA_NOW), 0);
        SKT_MEM_EQ(got, x->bytes, x->size);
    }
}

/* Goal: a send or receive that may not wait does what can be done at once and else nothing, for
 * elements of all sizes. */
RT_TEST(go, nonblock)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 12, 16, 24, SIZE_MAX_TRIED};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct exchange x = {.size = sizes[i]};
        for (size_t k = 0; k < x.size; k++)
            x.bytes[k] = (unsigned char)(3 * k + 1);
        x.c = new_chan(x.size, 0);
        exchange_without_buffer(&x);
        skua_chan_unref(x.c);
        x.c = new_chan(x.size, 1);
        exchange_with_buffer(&x);
        skua_chan_unref(x.c);
    }
}

/* ---- Close. */

/* Every way in which a closed channel is asked; `left` elements are in it. */
static void check_closed(skua_chan *c, int left)
{
    int v = 5;
    SKT_EQ(skua_chan_close(c), -EPIPE);
    SKT_EQ(skua_chan_len(c), left);
    SKT_EQ(skua_chan_send(c, &v, SKUA_NOW), -EPIPE);
    SKT_EQ(skua_chan_send(c, &v, SKUA_NEVER), -EPIPE);
    SKT_EQ(skua_chan_send_n(c, &v, 1, SKUA_NEVER), -EPIPE);
    SKT_EQ(select_one(send_case(c, &v), SKUA_NOW), -EPIPE);
    SKT_EQ(select_one(send_case(c, &v), SKUA_NEVER), -EPIPE);
    for (int i = 0; i < left; i++) {
        v = -1;
        if (i % 2 == 0)
            SKT_EQ(skua_chan_recv(c, &v, SKUA_NOW), 0);
        else
            SKT_EQ(select_one(recv_case(c, &v), SKUA_NEVER), 0);
        SKT_EQ(v, i);
    }
    for (int i = 0; i < 2; i++) { /* and so it stays */
        v = 5;
        SKT_EQ(skua_chan_recv(c, &v, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_chan_recv(c, &v, SKUA_NOW), -EPIPE);
        SKT_EQ(skua_chan_recv_n(c, &v, 1, SKUA_NEVER), -EPIPE);
        SKT_EQ(select_one(recv_case(c, &v), SKUA_NEVER), -EPIPE);
        SKT_EQ(select_one(recv_case(c, &v), SKUA_NOW), -EPIPE);
        SKT_EQ(v, 5); /* nothing is written without an element */
    }
    SKT_EQ(skua_chan_len(c), 0);
}

/* Goal: after a close sends fail, what is in the channel is received, and then receives fail; with a
 * buffer and without, empty, with something in it and full. */
RT_TEST(go, closed)
{
    for (int capacity = 0; capacity < 5; capacity++) {
        for (int left = 0; left <= capacity; left++) {
            skua_chan *c = new_chan(sizeof(int), (size_t)capacity);
            for (int i = 0; i < left; i++)
                send_int(c, i);
            SKT_EQ(skua_chan_close(c), 0);
            check_closed(c, left);
            skua_chan_unref(c);
        }
    }
}

static int recv_closed(void *c)
{
    int v;
    SKT_EQ(skua_chan_recv(c, &v, SKUA_NEVER), -EPIPE);
    return 0;
}

static int select_closed(void *c)
{
    int v, w = 1;
    skua_chan *never = new_chan(sizeof(int), 0);
    skua_case cases[] = {send_case(never, &w), recv_case(c, &v), recv_case(never, &v)};
    SKT_EQ(skua_select(cases, 3, 0, SKUA_NEVER), 1);
    SKT_EQ(cases[1].res, -EPIPE);
    skua_chan_unref(never);
    return 0;
}

static int send_closed(void *c)
{
    int v = 9;
    SKT_EQ(skua_chan_send(c, &v, SKUA_NEVER), -EPIPE);
    return 0;
}

static int select_send_closed(void *c)
{
    int v = 9;
    SKT_EQ(select_one(send_case(c, &v), SKUA_NEVER), -EPIPE);
    return 0;
}

/* Many wait at one end of a channel, and it is closed. */
static void close_under(skua_chan *c, int (*plain)(void *), int (*by_select)(void *))
{
    enum { WAITERS = 40 };
    skua_scope s;
    skua_task *tasks[WAITERS];
    open_scope(&s);
    for (int i = 0; i < WAITERS; i++)
        SKT_EQ(skua_spawn_opts(&s, i % 2 ? plain : by_select, c, NULL, &tasks[i]), 0);
    for (int i = 0; i < WAITERS; i++) {
        RT_UNTIL(rt_is_waiting(tasks[i]));
        skua_task_unref(tasks[i]);
    }
    SKT_EQ(skua_chan_close(c), 0);
    close_scope(&s);
}

/* Goal: a close wakes all who wait to receive, in a select too. */
RT_TEST(go, close_wakes_receivers)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        skua_chan *c = new_chan(sizeof(int), capacity);
        close_under(c, recv_closed, select_closed);
        skua_chan_unref(c);
    }
}

/* Goal: a close wakes all who wait to send, and none of their elements was sent. */
RT_TEST(go, close_wakes_senders)
{
    int v;
    skua_chan *none = new_chan(sizeof(int), 0), *one = new_chan(sizeof(int), 1);
    send_int(one, 3);
    close_under(none, send_closed, select_send_closed);
    close_under(one, send_closed, select_send_closed);
    SKT_EQ(skua_chan_recv(none, &v, SKUA_NEVER), -EPIPE);
    SKT_EQ(recv_int(one), 3);
    SKT_EQ(skua_chan_recv(one, &v, SKUA_NEVER), -EPIPE);
    skua_chan_unref(none);
    skua_chan_unref(one);
}

struct lock {
    skua_chan *c; /* full while it is held */
    _Atomic(int) x_taken;
};

static int take_and_give_back(void *arg)
{
    struct lock *lock = arg;
    send_int(lock->c, 0);
    atomic_store(&lock->x_taken, 1);
    return recv_int(lock->c);
}

/* Goal: a channel as a lock: who waits for it gets it though another, which never has to wait, takes
 * it again and again. Method: with one call more before the loop the calls that are interrupted are
 * the other half. */
RT_TEST(go, lock_that_another_loops_on)
{
    for (int before = 0; before < 2; before++) {
        skua_scope s;
        struct lock lock = {.c = new_chan(sizeof(int), 1)};
        int64_t end = skt_now_ns() + RT_PATIENCE_NS;
        open_scope(&s);
        send_int(lock.c, 0);
        spawn(&s, take_and_give_back, &lock);
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
        for (int i = 0; i < before; i++)
            SKT_EQ(skua_chan_send(lock.c, &i, SKUA_NOW), -EAGAIN);
        while (atomic_load(&lock.x_taken) == 0) {
            (void)recv_int(lock.c);
            send_int(lock.c, 0);
            if (skt_now_ns() > end)
                SKT_FAIL("the one that waits never gets it");
        }
        (void)recv_int(lock.c);
        close_scope(&s);
        skua_chan_unref(lock.c);
    }
}
