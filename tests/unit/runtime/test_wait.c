/* tests/unit/runtime/test_wait.c - waiting has one word, and exactly one wins it. */
#include "runtime/wait.h"

#include <sched.h>

#include <skua/skua.h>

#include "runtime/base/clock.h"
#include "tests/unit/runtime/rt_test.h"

/* A wait that nobody wakes. One whose deadline has passed only since its worker last looked at the
 * clock begins, and ends at once. */
static int wait_in_vain(skua_time dl, unsigned flags)
{
    struct sk_wait w;
    int rc = sk_wait_begin(&w, dl, flags);
    return rc < 0 ? rc : sk_wait_park(&w);
}

static void check_deadlines(void)
{
    struct sk_wait w;
    SKT_EQ(sk_wait_begin(&w, SKUA_NOW, 0), -EAGAIN);
    SKT_EQ(wait_in_vain(rt_past(), 0), -ETIMEDOUT);
    SKT_EQ(sk_wait_begin(&w, -1, 0), -EINVAL);
    SKT_EQ(sk_wait_begin(&w, SKUA_MS(1), 0), -EINVAL);
}

/* Goal: the arrows that need no second one: woken while registering, abandoned, late. */
static void check_arrows(void)
{
    struct sk_wait w;
    for (int i = 0; i < 3; i++) {
        SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
        struct skua_task *task = w.task;
        uint64_t ticket = w.ticket;
        SKT_TRUE(sk_wait_wake(task, ticket, SK_WAIT_WOKEN));
        SKT_FALSE(sk_wait_wake(task, ticket, SK_WAIT_WOKEN));
        SKT_FALSE(sk_wait_abandon(&w));
        SKT_EQ(sk_wait_park(&w), 0);
        SKT_FALSE(sk_wait_wake(task, ticket, SK_WAIT_WOKEN));

        SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
        SKT_NE(w.ticket, ticket);
        SKT_FALSE(sk_wait_wake(task, ticket, SK_WAIT_WOKEN)); /* of the wait before */
        SKT_TRUE(sk_wait_abandon(&w));
        SKT_FALSE(sk_wait_wake(task, w.ticket, SK_WAIT_WOKEN));

        SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
        SKT_TRUE(sk_wait_wake(task, w.ticket, SK_WAIT_CANCELLED));
        SKT_EQ(sk_wait_park(&w), -ECANCELED);
        SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
        SKT_TRUE(sk_wait_wake(task, w.ticket, SK_WAIT_TIMEDOUT));
        SKT_EQ(sk_wait_park(&w), -ETIMEDOUT);
        int rc = -ETIMEDOUT;
        for (int64_t ns = SKUA_MS(1); rc == -ETIMEDOUT && ns < RT_PATIENCE_NS; ns *= 2)
            rc = sk_wait_begin(&w, skua_in(ns), 0); /* it has passed already: a slow machine */
        SKT_EQ(rc, 0);
        skua_time dl = w.deadline;
        SKT_EQ(sk_wait_park(&w), -ETIMEDOUT);
        SKT_GE(skua_now(), dl);
    }
}

RT_TEST(wait, coroutine)
{
    check_deadlines();
    check_arrows();
}

SKT_TEST(wait, thread)
{
    check_deadlines();
    check_arrows();
    rt_start(2);
    check_deadlines();
    check_arrows();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: a lonely worker claims no plain thread in a section: that one ends its wait without a look at
 * sections, and may have begun it before the runtime was started. */
SKT_TEST(wait, thread_is_no_sleeper)
{
    struct sk_wait w;
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
    atomic_store(&w.task->x_wait, sk_wait_waiting(w.ticket));
    SKT_FALSE(sk_wait_claim_sleeper_in(&w));
    atomic_store(&w.task->x_wait, w.ticket);
    SKT_TRUE(sk_wait_abandon(&w));
}

/* Goal: a wait that sees no cancellation, and one that does. */
RT_TEST(wait, nocancel)
{
    struct sk_wait w;
    SKT_EQ(skua_cancel(skua_self()), 1);
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), -ECANCELED);
    SKT_EQ(sk_wait_begin(&w, rt_past(), 0), -ECANCELED);
    SKT_EQ(sk_wait_begin(&w, SKUA_NOW, 0), -EAGAIN);
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, SK_WAIT_NOCANCEL), 0);
    SKT_EQ(skua_cancel(skua_self()), 1);
    sk_wait_kick(w.task, 0, false);
    SKT_TRUE(sk_wait_wake(w.task, w.ticket, SK_WAIT_WOKEN));
    SKT_EQ(sk_wait_park(&w), 0);
    SKT_EQ(wait_in_vain(rt_past(), SK_WAIT_NOCANCEL), -ETIMEDOUT);
}

/* What a canceller does whose look at x_wait came before the wait could be seen: it sets the bit and
 * kicks nobody. */
static void set_cancel_bit(unsigned bit)
{
    atomic_fetch_or(&skua_self()->x_cancel, (uint8_t)bit);
}

/* Goal: a cancellation that nobody kicked the wait for ends it all the same: the commit looks. */
RT_TEST(wait, commit_looks)
{
    struct sk_wait w;
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
    set_cancel_bit(SK_CANCEL_SELF);
    SKT_EQ(sk_wait_park(&w), -ECANCELED);
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), -ECANCELED);
}

static void *wake_as_stranger(void *arg)
{
    struct sk_wait *w = arg;
    SKT_TRUE(sk_wait_wake(w->task, w->ticket, SK_WAIT_WOKEN));
    return NULL;
}

/* With one worker a wait commits before it leaves its stack; a stranger wakes it in between. The next
 * look goes to the inbox, where it stands if it is pinned. */
static void be_woken_before_the_switch(void)
{
    struct sk_wait w;
    pthread_t stranger;
    struct sk_worker *worker = sk_current_worker();
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), 0);
    SKT_TRUE(sk_wait_try_commit(&w));
    SKT_EQ(pthread_create(&stranger, NULL, wake_as_stranger, &w), 0);
    SKT_EQ(pthread_join(stranger, NULL), 0);
    atomic_store(&worker->counts.x_dispatches, (uint64_t)2 * SK_SCHED_QUEUE_TURN - 1);
    worker->slice_end = UINT64_MAX;
    worker->budget = 1;
    sk_park_committed();
    SKT_EQ(sk_wait_result(&w), 0);
}

static void be_woken_so_pinned(void)
{
    skua_pin();
    be_woken_before_the_switch();
    skua_unpin();
}

/* Goal: who was readied before it left goes on, wherever the next look finds it. */
SKT_TEST(wait, woken_before_the_switch)
{
    rt_run(1, be_woken_before_the_switch);
    rt_run(1, be_woken_so_pinned);
}

static void wake_soon(void *arg)
{
    struct sk_wait *w = arg;
    SKT_TRUE(sk_wait_wake(w->task, w->ticket, SK_WAIT_WOKEN));
}

/* Goal: it looks, and sees nothing: the wait goes on until it is woken, through each shield. */
RT_TEST(wait, commit_looks_in_vain)
{
    skua_timer timer;
    struct sk_wait w;
    SKT_EQ(skua_shield(1), 0);
    for (int i = 0; i < 2; i++) {
        SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, i == 0 ? 0 : SK_WAIT_NOCANCEL), 0);
        set_cancel_bit(SK_CANCEL_SELF);
        SKT_EQ(skua_timer_start(&timer, skua_in(SKUA_MS(2)), wake_soon, &w), 0);
        SKT_EQ(sk_wait_park(&w), 0);
    }
    SKT_EQ(skua_shield(0), 1);
    SKT_EQ(sk_wait_begin(&w, SKUA_NEVER, 0), -ECANCELED);
}

/* ---- many wakers, the deadline and a canceller for one wait: one wins ---- */

enum { WAKERS = 2 };

struct race {
    _Atomic(struct skua_task *) x_task; /* of the wait that may be woken; NULL: none yet */
    _Atomic(uint64_t) x_ticket;
    _Atomic(int) x_won;
    _Atomic(int) x_turn; /* wakers that are through with this round */
    _Atomic(uint64_t) x_round;
    _Atomic(bool) x_over;
};

static struct race race;

static void *wake_all(void *arg)
{
    uint64_t done = 0;
    while (!atomic_load(&race.x_over)) {
        uint64_t round = atomic_load(&race.x_round);
        if (round == done) {
            sched_yield();
            continue;
        }
        done = round;
        for (unsigned n = (unsigned)(round * 7 + (uintptr_t)arg) % 50; n > 0; n--)
            atomic_thread_fence(memory_order_seq_cst);
        if (sk_wait_wake(atomic_load(&race.x_task), atomic_load(&race.x_ticket), SK_WAIT_WOKEN))
            atomic_fetch_add(&race.x_won, 1);
        atomic_fetch_add(&race.x_turn, 1);
    }
    return NULL;
}

static void wait_rounds(void)
{
    int64_t begin = skt_now_ns();
    for (uint64_t round = 1; round <= skt_scaled(5000) && skt_has_time(begin); round++) {
        struct sk_wait w;
        skua_time dl = round % 3 == 0 ? skua_in((int64_t)(round % 40) * 500) : SKUA_NEVER;
        int rc = sk_wait_begin(&w, dl, 0);
        if (rc < 0) {
            SKT_EQ(rc, -ETIMEDOUT); /* so short a time is over soon */
            continue;
        }
        atomic_store(&race.x_won, 0);
        atomic_store(&race.x_turn, 0);
        atomic_store(&race.x_task, w.task);
        atomic_store(&race.x_ticket, w.ticket);
        atomic_store(&race.x_round, round);
        bool abandoned = round % 5 == 0 && sk_wait_abandon(&w);
        rc = abandoned ? -ECANCELED : sk_wait_park(&w);
        RT_SPIN_UNTIL(atomic_load(&race.x_turn) == WAKERS || (sched_yield(), false));
        SKT_EQ(atomic_load(&race.x_won), rc == 0);
        if (!abandoned)
            SKT_TRUE(rc == 0 || (rc == -ETIMEDOUT && dl != SKUA_NEVER));
    }
}

static void race_wakers(void)
{
    pthread_t threads[WAKERS];
    atomic_store(&race.x_over, false);
    atomic_store(&race.x_round, 0);
    for (uintptr_t i = 0; i < WAKERS; i++)
        threads[i] = rt_thread(wake_all, (void *)(i * 13));
    wait_rounds();
    atomic_store(&race.x_over, true);
    for (int i = 0; i < WAKERS; i++)
        rt_thread_join(threads[i]);
}

RT_TEST(wait, one_wins)
{
    race_wakers();
}

SKT_TEST(wait, one_wins_thread)
{
    race_wakers();
}
