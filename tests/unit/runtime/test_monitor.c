/* tests/unit/runtime/test_monitor.c - work left behind by a busy worker need not wait for it. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include <skua/skua.h>

#include "tests/unit/runtime/rt_test.h"

static _Atomic(int) x_ran;

static int run(void *arg)
{
    (void)arg;
    atomic_fetch_add(&x_ran, 1);
    return 0;
}

static int run_after(void *event)
{
    SKT_EQ(skua_event_wait(event, SKUA_NEVER), 0);
    return run(NULL);
}

static void let_the_others_sleep(void)
{
    if (skua_workers() > 1)
        SKT_EQ(skua_sleep(SKUA_MS(20)), 0);
}

static void spawn_and_compute(void)
{
    int64_t begin = skt_now_ns();
    for (uint64_t round = skt_scaled(10); round > 0 && skt_has_time(begin); round--) {
        skua_scope s;
        atomic_store(&x_ran, 0);
        let_the_others_sleep();
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, run, NULL), 0); /* one entry: the push itself wakes nobody */
        RT_SPIN_UNTIL(atomic_load(&x_ran) == 1);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

/* Goal: what stands alone in the queue of one that computes is taken by one that slept. */
SKT_TEST(monitor, queue_w2)
{
    rt_run(2, spawn_and_compute);
}

SKT_TEST(monitor, queue_w8)
{
    rt_run(8, spawn_and_compute);
}

static void ready_and_compute(void)
{
    int64_t begin = skt_now_ns();
    for (uint64_t round = skt_scaled(10); round > 0 && skt_has_time(begin); round--) {
        skua_scope s;
        skua_event e = SKUA_EVENT_INIT;
        atomic_store(&x_ran, 0);
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, run_after, &e), 0);
        let_the_others_sleep();
        SKT_EQ(skua_event_set(&e), 0); /* to the slot, which nobody steals until it is old */
        RT_SPIN_UNTIL(atomic_load(&x_ran) == 1);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

/* Goal: so is what stands in its slot (go #55160). */
SKT_TEST(monitor, slot_w2)
{
    rt_run(2, ready_and_compute);
}

SKT_TEST(monitor, slot_w8)
{
    rt_run(8, ready_and_compute);
}

static _Atomic(bool) x_may_end;

/* Busy until its sibling has made its event ready, and asleep after: nobody slept when it was. */
static int busy_then_idle(void *arg)
{
    (void)arg;
    RT_SPIN_UNTIL(atomic_load(&x_may_end));
    return 0;
}

static void ready_before_they_sleep(void)
{
    int64_t begin = skt_now_ns();
    for (uint64_t round = skt_scaled(20); round > 0 && skt_has_time(begin); round--) {
        skua_scope s;
        skua_task_opts o = SKUA_TASK_OPTS_INIT;
        skua_event e = SKUA_EVENT_INIT;
        atomic_store(&x_ran, 0);
        atomic_store(&x_may_end, false);
        skua_pin();
        o.worker = (skua_worker() + 1) % skua_workers() + 1;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, run_after, &e), 0);
        SKT_EQ(skua_sleep(SKUA_MS(2)), 0);
        SKT_EQ(skua_spawn_opts(&s, busy_then_idle, NULL, &o, NULL), 0);
        SKT_EQ(skua_sleep(SKUA_MS(2)), 0);
        SKT_EQ(skua_event_set(&e), 0);
        atomic_store(&x_may_end, true);
        RT_SPIN_UNTIL(atomic_load(&x_ran) == 1);
        skua_unpin();
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
}

/* Goal: and what was there before the other fell asleep. */
SKT_TEST(monitor, left_before_sleep_w2)
{
    rt_run(2, ready_before_they_sleep);
}

/* Whether a thread of this process has that name. */
static bool has_thread(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    SKT_TRUE(tasks != NULL);
    bool found = false;
    for (struct dirent *d; (d = readdir(tasks)) != NULL && !found;) {
        char path[300], comm[32] = "";
        snprintf(path, sizeof(path), "/proc/self/task/%s/comm", d->d_name);
        FILE *f = fopen(path, "re");
        found = f != NULL && fgets(comm, sizeof(comm), f) != NULL &&
                strncmp(comm, name, strlen(name)) == 0 && comm[strlen(name)] == '\n';
        if (f != NULL)
            fclose(f);
    }
    closedir(tasks);
    return found;
}

static void see_name(void)
{
    RT_UNTIL(has_thread("skua-monitor")); /* it names itself when it begins */
}

/* Goal: tools can tell the monitor's thread from the program's. */
SKT_TEST(monitor, name_w2)
{
    rt_run(2, see_name);
}

/* Goal: with one worker there is no monitor thread. */
static void count_threads(void)
{
    SKT_EQ(skt_thread_count(), 2); /* main and the worker */
}

SKT_TEST(monitor, none_w1)
{
    rt_run(1, count_threads);
}

static uint64_t cpu_of_idle(void)
{
    int64_t before = skt_cpu_ns();
    poll(NULL, 0, 200);
    return (uint64_t)(skt_cpu_ns() - before);
}

/* Goal: an idle runtime sleeps, the monitor too: it comes to rest after work. */
SKT_TEST(monitor, rests)
{
    rt_start(8);
    SKT_EQ(skua_call(rt_call_body, &(struct rt_body){ready_and_compute}, SKUA_NEVER), 0);
    RT_UNTIL(cpu_of_idle() < 3000000); /* a tick each millisecond costs more */
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
