/* Start, stop, and what outlives them.
 * Real cases: tokio#7910 (a counter of the shutdown incremented twice), #6134 and #8056 (a shutdown that
 * hangs on I/O or on blocking work); crossbeam-channel RUSTSEC-2025-0024 (freed twice at the end). */
#include <pthread.h>

#include "tests/stress/stress.h"

static skua_config config_of(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    return config;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- tokio#7910, #6134, #8056: a stop in the midst of everything. */

static int wait_for_ever(void *arg)
{
    skua_event never = SKUA_EVENT_INIT;
    char c;
    switch ((uintptr_t)arg % 4) {
    case 0:
        SKT_EQ(skua_read(((int *)((uintptr_t)arg & ~(uintptr_t)3))[0], &c, 1, SKUA_NEVER),
               -ECANCELED);
        return -ECANCELED;
    case 1:
        SKT_EQ(skua_sleep(SKUA_S(1000)), -ECANCELED);
        return 0;
    case 2:
        SKT_EQ(skua_event_wait(&never, SKUA_NEVER), -ECANCELED);
        return 0;
    default:
        while (skua_yield() == 0)
            continue;
        return 0;
    }
}

static void *wait_in_thread(void *arg)
{
    skua_event *never = arg;
    int rc = skua_event_wait(never, SKUA_NEVER);
    SKT_TRUE(rc == -ESHUTDOWN || rc == 0);
    return NULL;
}

static void *call_in_thread(void *arg)
{
    (void)arg;
    for (int rc = 0; rc != -ESHUTDOWN;) {
        rc = skua_call(nothing, NULL, SKUA_NEVER);
        SKT_TRUE(rc == 0 || rc == -ESHUTDOWN || rc == -ECANCELED);
    }
    return NULL;
}

static void *read_in_thread(void *arg)
{
    char c;
    ssize_t rc = skua_read(*(int *)arg, &c, 1, SKUA_NEVER);
    SKT_EQ(rc, -ESHUTDOWN);
    return NULL;
}

static void ignore(void *arg)
{
    (void)arg;
}

static void stop_in_the_midst(unsigned workers)
{
    static _Alignas(16) int fds[2];
    static skua_timer timers[4];
    st_pair(fds);
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(120); i > 0 && skt_has_time(begin); i--) {
        skua_event never = SKUA_EVENT_INIT;
        pthread_t threads[3];
        skua_config config = config_of(workers);
        SKT_EQ(skua_start(&config), 0);
        for (uintptr_t k = 0; k < 32; k++)
            SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, wait_for_ever, (void *)((uintptr_t)fds + k % 4)), 0);
        for (int k = 0; k < 4; k++)
            SKT_EQ(skua_timer_start(&timers[k], skua_in(SKUA_S(k * 1000)), ignore, NULL), 0);
        SKT_EQ(pthread_create(&threads[0], NULL, wait_in_thread, &never), 0);
        SKT_EQ(pthread_create(&threads[1], NULL, call_in_thread, NULL), 0);
        SKT_EQ(pthread_create(&threads[2], NULL, read_in_thread, &fds[1]), 0);
        usleep((useconds_t)(i % 8 * 100));
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        skua_event_set(&never); /* the thread may not have begun to wait before the stop was over */
        for (int k = 0; k < 3; k++)
            pthread_join(threads[k], NULL);
        SKT_EQ(st_ops_in_flight(), 0);
    }
    st_close(fds);
}

SKT_TEST(bugs, tokio_6134_stop_in_the_midst_of_everything)
{
    stop_in_the_midst(1);
    stop_in_the_midst(2);
    stop_in_the_midst(8);
}

/* ---- Two that start at once: one runtime, and one that is told. */

struct start_race {
    _Atomic(uint32_t) x_started, x_refused, x_ready;
};

static void *start_one(void *arg)
{
    struct start_race *race = arg;
    skua_config config = config_of(2);
    atomic_fetch_add(&race->x_ready, 1);
    st_hog_until(&race->x_ready, 2, "the other thread");
    int rc = skua_start(&config);
    SKT_TRUE(rc == 0 || rc == -EALREADY);
    atomic_fetch_add(rc == 0 ? &race->x_started : &race->x_refused, 1);
    return NULL;
}

SKT_TEST(bugs, tokio_7910_started_and_stopped_twice)
{
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(500); i > 0 && skt_has_time(begin); i--) {
        struct start_race race = {.x_started = 0};
        skua_config config = config_of(1);
        pthread_t threads[2];
        for (int k = 0; k < 2; k++)
            SKT_EQ(pthread_create(&threads[k], NULL, start_one, &race), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        SKT_EQ(atomic_load(&race.x_started), 1u);
        SKT_EQ(atomic_load(&race.x_refused), 1u);
        SKT_EQ(skua_start(&config), -EALREADY);
        SKT_EQ(skua_run(nothing, NULL, &config), -EALREADY);
        SKT_EQ(skua_workers(), 2u);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        SKT_EQ(skua_stop(SKUA_NEVER), -ESHUTDOWN);
    }
}

/* ---- RUSTSEC-2025-0024: what is referred to past the stop is freed once, and not before. */

enum { HANDLES = 64 };

static int end_with(void *arg)
{
    if ((uintptr_t)arg % 3 == 0)
        skua_yield();
    if ((uintptr_t)arg % 3 == 1)
        SKT_EQ(skua_sleep(SKUA_S(1000)), -ECANCELED);
    return (int)(uintptr_t)arg;
}

SKT_TEST(bugs, rustsec_2025_0024_freed_twice_at_the_end)
{
    skua_task *old[HANDLES] = {NULL};
    int old_results[HANDLES] = {0};
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(300); i > 0 && skt_has_time(begin); i--) {
        skua_config config = config_of(2);
        skua_task *tasks[HANDLES];
        SKT_EQ(skua_start(&config), 0);
        for (int k = 0; k < HANDLES; k++)
            SKT_EQ(
                skua_spawn_opts(SKUA_SCOPE_ROOT, end_with, (void *)(uintptr_t)k, NULL, &tasks[k]),
                0);
        for (int k = 0; k < HANDLES; k += 2)
            skua_task_unref(skua_task_ref(tasks[k]));
        for (int k = 0; k < HANDLES / 2;
             k++) /* handles of the runtime before are given back in this one */
            skua_task_unref(old[k]);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        for (int k = HANDLES / 2; k < HANDLES; k++) /* or when there is none */
            if (old[k] != NULL) {
                int result = -1;
                SKT_GE(skua_task_state(old[k]), SKUA_DONE);
                SKT_EQ(skua_join(old[k], &result, SKUA_NOW), 0);
                SKT_EQ(result, old_results[k]);
                skua_task_unref(old[k]);
            }
        for (int k = 0; k < HANDLES; k++) {
            SKT_GE(skua_task_state(tasks[k]), SKUA_DONE);
            SKT_EQ(skua_join(tasks[k], &old_results[k], SKUA_NOW), 0);
            SKT_EQ(old_results[k], k);
            old[k] = tasks[k];
        }
    }
    for (int k = 0; k < HANDLES; k++)
        skua_task_unref(old[k]);
}
