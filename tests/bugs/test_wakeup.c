/* Lost wakeups: work is published, a worker goes to sleep, and nobody tells it. No timer is armed in
 * these tests: nothing that ticks would mask it.
 * Real cases: tokio#525 and #459, tokio#4383 (the window of the last searcher), go#45867 and #55160
 * (an idle P with runnable work), zio#610 (store-load races), brpc#3551 and #1917, photon#261 (a
 * stall of 10 s), eio and occlum ngo#115; zio#402 and #503 (the kernel loses or delays the wake of a
 * ring). */
#include <pthread.h>

#include "runtime/monitor.h"
#include "tests/stress/stress.h"

/* The monitor finds within milliseconds whatever was forgotten, and would hide that it was. It is for
 * what a busy worker leaves behind; that nobody sleeps on beside new work must hold without it. */
static void put_monitor_to_rest(void)
{
    enum { QUIT = 2 }; /* as in runtime/monitor.c: it can neither tick nor be armed */
    sk_store_release(&sk_monitor_armed, (uint32_t)QUIT);
}

/* ---- tokio#525: a plain thread spawns, the workers are just going to sleep. */

static int count_up(void *arg)
{
    atomic_fetch_add((_Atomic(uint32_t) *)arg, 1);
    return 0;
}

/* Goal: every spawn from outside is run, though the pauses let the workers fall asleep now and then.
 * Fails when a worker that has announced its sleep does not look once more (sees_work in
 * runtime/worker.c; tried). */
static void spawn_from_outside(unsigned workers)
{
    _Atomic(uint32_t) done = 0;
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
    put_monitor_to_rest();
    uint64_t random = st_seed(workers);
    uint32_t n = (uint32_t)skt_scaled(20000);
    int64_t begin = skt_now_ns();
    for (uint32_t i = 1; i <= n && skt_has_time(begin); i++) {
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, count_up, &done), 0);
        st_hog_until(&done, i, "a spawn from outside");
        for (uint32_t pause = st_random(&random) % 2048; pause > 0; pause--)
            __builtin_ia32_pause();
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

SKT_TEST(bugs, tokio_525_lost_wakeup_of_a_spawn)
{
    spawn_from_outside(1);
    spawn_from_outside(2);
    spawn_from_outside(8);
}

/* ---- tokio#459, zio#610, photon#261: an event is set from outside, and answered. */

struct ball {
    skua_event there, back;
    _Atomic(uint32_t) x_rounds;
};

/* Before round i, by who sets `there`: if it takes too long, that is the last one. */
static void tire(struct ball *ball, uint32_t i, int64_t begin)
{
    if (!skt_has_time(begin))
        atomic_store(&ball->x_rounds, i + 1);
}

static int answer(void *arg)
{
    struct ball *ball = arg;
    for (uint32_t i = 0; i < atomic_load(&ball->x_rounds); i++) {
        SKT_EQ(skua_event_wait(&ball->there, SKUA_NEVER), 0);
        skua_event_clear(&ball->there);
        skua_event_set(&ball->back);
    }
    return 0;
}

static void *play(void *arg)
{
    struct ball *ball = arg;
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < atomic_load(&ball->x_rounds); i++) {
        tire(ball, i, begin);
        skua_event_set(&ball->there);
        SKT_EQ(skua_event_wait(&ball->back, st_patience()), 0);
        skua_event_clear(&ball->back);
    }
    return NULL;
}

/* Goal: no wake is lost between a thread and a coroutine, in either direction. Fails as the above
 * (tried). */
static void play_from_outside(unsigned workers)
{
    enum { PLAYERS = 2 };
    struct ball balls[PLAYERS];
    pthread_t threads[PLAYERS];
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
    put_monitor_to_rest();
    for (unsigned i = 0; i < PLAYERS; i++) {
        balls[i] = (struct ball){SKUA_EVENT_INIT, SKUA_EVENT_INIT, (uint32_t)skt_scaled(20000)};
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, answer, &balls[i]), 0);
        SKT_EQ(pthread_create(&threads[i], NULL, play, &balls[i]), 0);
    }
    for (unsigned i = 0; i < PLAYERS; i++)
        pthread_join(threads[i], NULL);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

SKT_TEST(bugs, zio_610_lost_wakeup_of_an_event)
{
    play_from_outside(1);
    play_from_outside(2);
    play_from_outside(8);
}

/* ---- brpc#3551, brpc#1917: two workers wake each other, each asleep most of the time. */

static int serve_ball(void *arg)
{
    struct ball *ball = arg;
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < atomic_load(&ball->x_rounds); i++) {
        tire(ball, i, begin);
        skua_event_set(&ball->there);
        SKT_EQ(skua_event_wait(&ball->back, SKUA_NEVER), 0);
        skua_event_clear(&ball->back);
    }
    return 0;
}

static int between_workers(void *arg)
{
    skua_scope s;
    struct ball ball = {SKUA_EVENT_INIT, SKUA_EVENT_INIT, (uint32_t)skt_scaled(60000)};
    skua_task_opts first = SKUA_TASK_OPTS_INIT, last = SKUA_TASK_OPTS_INIT;
    (void)arg;
    put_monitor_to_rest();
    first.worker = 1;
    last.worker = skua_workers();
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&s, answer, &ball, &first, NULL), 0);
    SKT_EQ(skua_spawn_opts(&s, serve_ball, &ball, &last, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: a task that can run on one worker only is never left in that worker's inbox while it sleeps. */
SKT_TEST(bugs, brpc_3551_lost_wakeup_between_workers)
{
    st_run(between_workers, NULL, 2);
    st_run(between_workers, NULL, 8);
}

/* ---- tokio#4383, go#45867, go#55160: as many hogs as workers must run at once. */

struct party {
    _Atomic(uint32_t) x_arrived;
    _Atomic(uint32_t) x_left;
    uint32_t guests;
};

/* Holds its worker until all guests do so: one worker that sleeps on is one guest too few. */
static int attend(void *arg)
{
    struct party *party = arg;
    atomic_fetch_add(&party->x_arrived, 1);
    st_hog_until(&party->x_arrived, party->guests, "coroutines that run, one on each worker");
    atomic_fetch_add(&party->x_left, 1);
    return 0;
}

static void invite_from_outside(unsigned workers, uint32_t rounds)
{
    struct party party = {.guests = workers};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    SKT_EQ(skua_start(&config), 0);
    uint64_t random = st_seed(workers);
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < rounds && skt_has_time(begin); i++) {
        atomic_store(&party.x_arrived, 0);
        atomic_store(&party.x_left, 0);
        for (unsigned guest = 0; guest < workers; guest++) {
            SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, attend, &party), 0);
            for (uint32_t pause = st_random(&random) % 4096; pause > 0; pause--)
                __builtin_ia32_pause();
        }
        st_hog_until(&party.x_left, workers, "guests that have left");
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: a searcher that finds work and was the last one sends another, whatever queue the rest stands
 * in: what came while it searched had woken nobody. Fails when it looks at its own queues alone, and
 * the monitor not at the global one (found so). */
SKT_TEST(bugs, tokio_4383_last_searcher_leaves_the_global_queue)
{
    invite_from_outside(2, (uint32_t)skt_scaled(8000));
    invite_from_outside(4, (uint32_t)skt_scaled(4000));
}

static int invite_from_inside(void *arg)
{
    uint32_t rounds = *(uint32_t *)arg;
    struct party party = {.guests = skua_workers()};
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < rounds && skt_has_time(begin); i++) {
        skua_scope s;
        atomic_store(&party.x_arrived, 0);
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (unsigned guest = 1; guest < party.guests; guest++)
            SKT_EQ(skua_spawn(&s, attend, &party), 0);
        attend(&party);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
    return 0;
}

/* Goal: what a coroutine spawns before it computes for long is not left in its queue: the monitor
 * finds it, at the latest. */
SKT_TEST(bugs, go_45867_idle_worker_with_runnable_work)
{
    uint32_t rounds = (uint32_t)skt_scaled(500);
    st_run(invite_from_inside, &rounds, 2);
    st_run(invite_from_inside, &rounds, 4);
}

/* ---- go#55160: work behind a hog, of which nobody was asleep to be told. */

/* Long enough that nothing which ticks for what was spawned still does. */
enum { QUIET_US = 50000 };

struct hog {
    skua_event wake;
    _Atomic(uint32_t) x_ran;
    _Atomic(uint32_t) x_busy;
    _Atomic(uint32_t) x_go;
    uint32_t rounds;
};

static int wait_behind(void *arg)
{
    struct hog *hog = arg;
    SKT_EQ(skua_event_wait(&hog->wake, SKUA_NEVER), 0);
    atomic_store(&hog->x_ran, 1);
    return 0;
}

/* Keeps the other worker awake until the hog has left its work behind. */
static int be_busy(void *arg)
{
    struct hog *hog = arg;
    atomic_store(&hog->x_busy, 1);
    st_hog_until(&hog->x_go, 1, "the hog");
    return 0;
}

static int hog_then_wait(void *arg)
{
    struct hog *hog = arg;
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < hog->rounds && skt_has_time(begin); i++) {
        skua_scope s;
        skua_event_clear(&hog->wake);
        atomic_store(&hog->x_ran, 0);
        atomic_store(&hog->x_busy, 0);
        atomic_store(&hog->x_go, 0);
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, wait_behind, hog), 0);
        skua_yield();
        skua_yield();
        SKT_EQ(skua_spawn(&s, be_busy, hog), 0);
        st_hog_until(&hog->x_busy, 1, "the other worker takes what was spawned");
        usleep(QUIET_US);
        skua_event_set(&hog->wake);  /* into the slot of this worker; nobody sleeps */
        atomic_store(&hog->x_go, 1); /* the other worker ends what it does, and goes to sleep */
        st_hog_until(&hog->x_ran, 1, "what was woken before its waker computed for long");
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
    return 0;
}

/* Goal: no READY task waits for long while a worker sleeps, also where that one fell asleep later.
 * Fails when a worker goes to sleep and does not look at the others' slots (found so). */
SKT_TEST(bugs, go_55160_worker_sleeps_beside_a_full_slot)
{
    struct hog hog = {.wake = SKUA_EVENT_INIT, .rounds = (uint32_t)skt_scaled(50)};
    st_run(hog_then_wait, &hog, 2);
}

/* ---- zio#402, zio#503: what the kernel does with a wake. */

static int sleep_and_count(void *arg)
{
    struct ball *ball = arg;
    return answer(ball);
}

/* Goal: a ring that waits in the kernel is woken at once by a write to its eventfd. Method: one
 * worker, which sleeps before every wake; the thread does not wake it before it does. Every wake
 * within the patience is counted, and the slowest is far below it. */
SKT_TEST(bugs, zio_402_wake_of_a_ring_that_sleeps)
{
    struct ball ball = {SKUA_EVENT_INIT, SKUA_EVENT_INIT, (uint32_t)skt_scaled(2000)};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 1;
    SKT_EQ(skua_start(&config), 0);
    put_monitor_to_rest();
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, sleep_and_count, &ball), 0);
    uint64_t sleeps = ST_STATS(wakeups);
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < atomic_load(&ball.x_rounds); i++) {
        tire(&ball, i, begin);
        skua_time end = st_patience();
        while (ST_STATS(wakeups) <= sleeps && skua_now() < end)
            usleep(10);
        usleep(100);
        sleeps = ST_STATS(wakeups);
        skua_event_set(&ball.there);
        SKT_EQ(skua_event_wait(&ball.back, st_patience()), 0);
        skua_event_clear(&ball.back);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
