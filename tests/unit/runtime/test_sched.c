/* tests/unit/runtime/test_sched.c - who runs next: order, fairness, stealing, spilling. */
#include <skua/skua.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/current.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"
#include "runtime/worker.h"
#include "tests/unit/runtime/rt_test.h"

static uint64_t sum_of(size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < skua_workers(); i++) {
        skua_stats_view view = SKUA_STATS_VIEW_INIT;
        SKT_EQ(skua_stats(&view, i), 0);
        sum += *(const uint64_t *)(const void *)((const char *)&view + offset);
    }
    return sum;
}

static void open_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
}

enum { YIELDERS = 10, TURNS = 20 };

static int log_of_turns[YIELDERS * TURNS];
static _Atomic(int) x_log_len;

static int yield_in_turn(void *arg)
{
    for (int i = 0; i < TURNS; i++) {
        log_of_turns[atomic_fetch_add(&x_log_len, 1)] = (int)(intptr_t)arg;
        SKT_EQ(skua_yield(), 0);
    }
    return 0;
}

static void yield_all(void)
{
    skua_scope s;
    atomic_store(&x_log_len, 0);
    open_scope(&s);
    for (int i = 0; i < YIELDERS; i++)
        SKT_EQ(skua_spawn(&s, yield_in_turn, (void *)(intptr_t)i), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
    SKT_EQ(atomic_load(&x_log_len), YIELDERS * TURNS);
}

/* Goal: a yield goes to the back of the queue: on one worker all take turns. */
SKT_TEST(sched, yield_takes_turns)
{
    rt_run(1, yield_all);
    for (int round = 0; round < TURNS; round++) {
        int seen = 0;
        for (int i = 0; i < YIELDERS; i++)
            seen |= 1 << log_of_turns[round * YIELDERS + i];
        SKT_EQ(seen, (1 << YIELDERS) - 1);
    }
}

static int note_spawned(void *arg)
{
    log_of_turns[atomic_fetch_add(&x_log_len, 1)] = (int)(intptr_t)arg;
    return 0;
}

static void spawn_in_order(void)
{
    skua_scope s;
    atomic_store(&x_log_len, 0);
    open_scope(&s);
    for (int i = 0; i < 100; i++)
        SKT_EQ(skua_spawn(&s, note_spawned, (void *)(intptr_t)i), 0);
    SKT_EQ(skua_scope_close(&s, skua_in(RT_PATIENCE_NS)), 0);
}

/* Goal: what is spawned is dispatched first in, first out, where no closer takes it. */
SKT_TEST(sched, spawns_in_order)
{
    rt_run(1, spawn_in_order);
    for (int i = 0; i < 100; i++)
        SKT_EQ(log_of_turns[i], i);
}

/* ---- nobody starves the rest ---- */

struct pair {
    skua_event ping, pong;
    _Atomic(bool) x_stop;
};

static int ping(void *arg)
{
    struct pair *p = arg;
    while (!atomic_load(&p->x_stop)) {
        skua_event_set(&p->pong);
        SKT_EQ(skua_event_wait(&p->ping, SKUA_NEVER), 0);
        skua_event_clear(&p->ping);
    }
    skua_event_set(&p->pong);
    return 0;
}

static int pong(void *arg)
{
    struct pair *p = arg;
    int64_t end = skt_now_ns() + RT_PATIENCE_NS;
    while (!atomic_load(&p->x_stop)) {
        skua_event_set(&p->ping);
        SKT_EQ(skua_event_wait(&p->pong, SKUA_NEVER), 0);
        skua_event_clear(&p->pong);
        if (skt_now_ns() > end)
            SKT_FAIL("two that wake each other starve the third");
    }
    skua_event_set(&p->ping);
    return 0;
}

static int stop_pair(void *arg)
{
    struct pair *p = arg;
    for (int i = 0; i < 10; i++)
        skua_yield();
    SKT_EQ(skua_sleep(SKUA_US(100)), 0);
    atomic_store(&p->x_stop, true);
    return 0;
}

/* Goal: two that wake each other for ever do not keep a third from running, nor its timer (tokio
 * #2349, #5686, #5712: the slot's starvation). */
RT_TEST(sched, slot_starves_nobody)
{
    skua_scope s;
    struct pair p = {.ping = SKUA_EVENT_INIT};
    open_scope(&s);
    SKT_EQ(skua_spawn(&s, ping, &p), 0);
    SKT_EQ(skua_spawn(&s, pong, &p), 0);
    SKT_EQ(skua_spawn(&s, stop_pair, &p), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
}

/* A loop of calls that need not wait, by kind. */
struct busy {
    int kind;
    _Atomic(bool) x_stop;
    skua_event set, unset;
    skua_mutex mutex;
    skua_wg wg;
    skua_once_flag once;
    skua_task *ended;
};

enum { EVENT_SET, EVENT_NOW, MUTEX, WG, ONCE, JOIN, CLOSE_BUSY, YIELD, KINDS };

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_event(void *arg)
{
    return skua_event_wait(arg, SKUA_NEVER);
}

static void call_once(struct busy *b, skua_scope *own)
{
    switch (b->kind) {
    case EVENT_SET:
        SKT_EQ(skua_event_wait(&b->set, SKUA_NEVER), 0);
        break;
    case EVENT_NOW:
        SKT_EQ(skua_event_wait(&b->unset, SKUA_NOW), -EAGAIN);
        break;
    case MUTEX:
        SKT_EQ(skua_mutex_lock(&b->mutex, SKUA_NEVER), 0);
        SKT_EQ(skua_mutex_unlock(&b->mutex), 0);
        break;
    case WG:
        SKT_EQ(skua_wg_wait(&b->wg, SKUA_NEVER), 0);
        break;
    case ONCE:
        SKT_EQ(skua_once(&b->once, nothing, NULL, SKUA_NEVER), 0);
        break;
    case JOIN:
        SKT_EQ(skua_join(b->ended, NULL, SKUA_NEVER), 0);
        break;
    case CLOSE_BUSY:
        SKT_EQ(skua_scope_close(own, SKUA_NOW), -EBUSY);
        break;
    default:
        SKT_EQ(skua_yield(), 0);
    }
}

static int call_on_and_on(void *arg)
{
    struct busy *b = arg;
    skua_scope own;
    skua_event end_own = SKUA_EVENT_INIT;
    open_scope(&own);
    if (b->kind == CLOSE_BUSY)
        SKT_EQ(skua_spawn(&own, wait_event, &end_own), 0);
    int64_t end = skt_now_ns() + RT_PATIENCE_NS;
    while (!atomic_load(&b->x_stop)) {
        for (int i = 0; i < 100; i++)
            call_once(b, &own);
        if (skt_now_ns() > end)
            SKT_FAIL("a loop of calls of kind %d starves the rest", b->kind);
    }
    SKT_EQ(skua_event_set(&end_own), 0);
    SKT_EQ(skua_scope_close(&own, SKUA_NEVER), 0);
    return 0;
}

static int stop_busy(void *arg)
{
    SKT_EQ(skua_sleep(SKUA_US(100)), 0);
    atomic_store(&((struct busy *)arg)->x_stop, true);
    return 0;
}

/* Goal: calls with a deadline count against the slice though they need not wait: no loop of them
 * starves the rest. */
RT_TEST(sched, calls_count)
{
    for (int kind = 0; kind < KINDS; kind++) {
        skua_scope s;
        struct busy b = {.kind = kind};
        skua_event_set(&b.set);
        open_scope(&s);
        SKT_EQ(skua_spawn_opts(&s, nothing, NULL, NULL, &b.ended), 0);
        SKT_EQ(skua_join(b.ended, NULL, SKUA_NEVER), 0);
        for (unsigned i = 0; i < skua_workers(); i++)
            SKT_EQ(skua_spawn(&s, call_on_and_on, &b), 0);
        SKT_EQ(skua_spawn(&s, stop_busy, &b), 0);
        SKT_EQ(skua_scope_close(&s, skua_in(SKUA_S(60))), 0);
        skua_task_unref(b.ended);
    }
}

/* ---- chaos ---- */

/* Goal: SKUA_CHAOS=migrate moves a coroutine whenever it may, also where nobody else wants to run. */
RT_TEST(sched, migrates)
{
    const char *chaos = getenv("SKUA_CHAOS");
    if (chaos == NULL || strstr(chaos, "migrate") == NULL || skua_workers() == 1)
        return;
    /* A worker that the system does not let run for ten milliseconds is passed by. */
    for (int yields = 0, sleeps = 0; yields < 50 || sleeps < 50;) {
        unsigned before = skua_worker();
        SKT_EQ(skua_yield(), 0);
        unsigned after = skua_worker();
        yields += after != before;
        SKT_EQ(skua_sleep(SKUA_US(10)), 0);
        sleeps += skua_worker() != after;
    }
}

static int release(void *x_released)
{
    atomic_store((_Atomic(bool) *)x_released, true);
    return 0;
}

static int release_after(void *arg)
{
    SKT_EQ(skua_event_wait(((void **)arg)[0], SKUA_NEVER), 0);
    return release(((void **)arg)[1]);
}

/* Goal: a coroutine that is woken while the worker that it would move to sits in a call runs elsewhere.
 * Method: the waker spins until the woken one has run, on each worker in turn. */
RT_TEST(sched, woken_past_a_busy_worker)
{
    if (skua_workers() == 1)
        return;
    for (unsigned i = 0; i < 2 * skua_workers(); i++) {
        skua_scope s;
        skua_event go = SKUA_EVENT_INIT;
        _Atomic(bool) x_released = false;
        void *arg[2] = {&go, &x_released};
        skua_task *task;
        open_scope(&s);
        SKT_EQ(skua_spawn_opts(&s, release_after, arg, NULL, &task), 0);
        RT_UNTIL(rt_is_waiting(task));
        SKT_EQ(skua_yield(), 0); /* chaos: another worker each time */
        SKT_EQ(skua_event_set(&go), 0);
        RT_SPIN_UNTIL(atomic_load(&x_released));
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        skua_task_unref(task);
    }
}

/* ---- all workers work ---- */

static _Atomic(unsigned) x_arrived;

static int arrive(void *arg)
{
    unsigned all = *(unsigned *)arg;
    atomic_fetch_add(&x_arrived, 1);
    RT_SPIN_UNTIL(atomic_load(&x_arrived) == all);
    return 0;
}

/* Goal: as many coroutines as workers run at one time, wherever they were spawned: others steal. */
RT_TEST(sched, work_spreads)
{
    int64_t begin = skt_now_ns();
    for (uint64_t round = skt_scaled(20); round > 0 && skt_has_time(begin); round--) {
        skua_scope s;
        unsigned all = skua_workers();
        atomic_store(&x_arrived, 0);
        open_scope(&s);
        for (unsigned i = 0; i < all; i++)
            SKT_EQ(skua_spawn(&s, arrive, &all), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&x_arrived), all);
    }
    if (skua_workers() > 1)
        SKT_GT(sum_of(offsetof(skua_stats_view, steals)), 0);
    else
        SKT_EQ(sum_of(offsetof(skua_stats_view, steals)), 0);
}

/* Goal: more than a queue holds spills to the global one, and all run. */
RT_TEST(sched, spills)
{
    skua_scope s;
    open_scope(&s);
    for (int i = 0; i < 20000; i++)
        SKT_EQ(skua_spawn(&s, nothing, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    if (skua_workers() == 1)
        SKT_GT(sum_of(offsetof(skua_stats_view, spills)), 0);
}

enum { EVENTS = 64 };

static skua_event events[EVENTS];
static _Atomic(int) x_tokens;

static int pass_token(void *arg)
{
    intptr_t me = (intptr_t)arg;
    for (int i = 0; i < 20; i++) {
        SKT_EQ(skua_event_wait(&events[me], SKUA_NEVER), 0);
        SKT_EQ(skua_event_clear(&events[me]), 0);
        atomic_fetch_add(&x_tokens, 1);
        SKT_EQ(skua_event_set(&events[(me + 1) % EVENTS]), 0);
        if (i % 3 == me % 3)
            skua_yield();
    }
    return 0;
}

/* Goal: a token goes round a ring of coroutines on all workers, and is never lost. */
RT_TEST(sched, token_ring)
{
    skua_scope s;
    atomic_store(&x_tokens, 0);
    for (int i = 0; i < EVENTS; i++)
        events[i] = (skua_event)SKUA_EVENT_INIT;
    open_scope(&s);
    for (intptr_t i = 0; i < EVENTS; i++)
        SKT_EQ(skua_spawn(&s, pass_token, (void *)i), 0);
    SKT_EQ(skua_event_set(&events[0]), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&x_tokens), EVENTS * 20);
}

static int count_token(void *arg)
{
    (void)arg;
    atomic_fetch_add(&x_tokens, 1);
    return 0;
}

static void *spawn_from_thread(void *arg)
{
    for (uint64_t i = skt_scaled(3000); i > 0; i--) {
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, count_token, NULL), 0);
        if (i % 64 == 0)
            poll(NULL, 0, 1); /* let them fall asleep */
    }
    return arg;
}

/* Goal: what plain threads spawn is found, also by workers that are just falling asleep. */
RT_THREAD_TEST(sched, injected)
{
    atomic_store(&x_tokens, 0);
    rt_start(workers);
    pthread_t threads[2] = {rt_thread(spawn_from_thread, NULL), rt_thread(spawn_from_thread, NULL)};
    rt_thread_join(threads[0]);
    rt_thread_join(threads[1]);
    RT_UNTIL(atomic_load(&x_tokens) == (int)(2 * skt_scaled(3000)));
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* ---- the kernel takes the worker's time between a batch's begin and its first dispatch ---- */

static struct {
    skua_event go;
    skua_timer timers[2];
    uint64_t slice_ticks;
    _Atomic(bool) x_ran;
} taken;

static void give_time_back(void *arg)
{
    (void)arg;
    sk_runtime.slice_ticks = taken.slice_ticks;
}

/* The slice of the batch that begins now is over at once; not so that of the next one. */
static void take_time(void *arg)
{
    taken.slice_ticks = sk_runtime.slice_ticks;
    sk_runtime.slice_ticks = 0;
    SKT_EQ(skua_timer_start(&taken.timers[1], skua_now(), give_time_back, arg), 0);
}

static int wait_in_slot(void *arg)
{
    SKT_EQ(skua_event_wait(&taken.go, SKUA_NEVER), 0);
    atomic_store(&taken.x_ran, true);
    (void)arg;
    return 0;
}

static int wake_and_wait(void *arg)
{
    skua_scope s;
    skua_task *task;
    (void)arg;
    open_scope(&s);
    SKT_EQ(skua_spawn_opts(&s, wait_in_slot, NULL, NULL, &task), 0);
    RT_UNTIL(rt_is_waiting(task));
    struct sk_worker *w = sk_current_worker();
    SKT_EQ(skua_timer_start(&taken.timers[0], SKUA_NOW, take_time, NULL), 0);
    SKT_EQ(skua_event_set(&taken.go), 0);
    SKT_PTR_EQ(sk_slot_peek(&w->slot), task);
    w->budget = 0; /* the batch is spent, and the next dispatch looks at the clock */
    atomic_store(&w->counts.x_dispatches, (uint64_t)SK_SCHED_CLOCK_TURN - 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_task_unref(task);
    return 0;
}

/* Goal: what stands in the slot then is no reason to sleep on it: the worker is alone, and nobody else
 * would come. */
SKT_TEST(sched, slice_over_at_once)
{
    memset(&taken, 0, sizeof(taken));
    rt_start(1);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, wake_and_wait, NULL), 0);
    RT_UNTIL(atomic_load(&taken.x_ran));
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
