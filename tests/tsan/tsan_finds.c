/* tests/tsan/tsan_finds.c - proof that the tsan preset sees what happens between coroutines: data
 * races that are planted here, each of which must be reported, and the same without the race, which
 * must pass in silence.
 * tsan_finds CASE right|wrong. The reports are checked by ctest (CMakeLists.txt). */
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skua/skua.h>

#define NOINLINE __attribute__((noinline)) /* reports name it */

enum { ROUNDS = 2000, SLOTS = 64, CROWD = 64, CROWD_ROUNDS = 200 };

static bool is_wrong;

static void check(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "tsan_finds: %s\n", what);
    _exit(2);
}

/* Runs one(arg) on the first worker and other(arg) on the second, at the same time. */
static void run_two(int (*one)(void *), int (*other)(void *), void *arg)
{
    int (*const fns[2])(void *) = {one, other};
    skua_scope scope;
    check(skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER) == 0, "open");
    for (unsigned i = 0; i < 2; i++) {
        skua_task_opts opts = SKUA_TASK_OPTS_INIT;
        opts.worker = i + 1;
        check(skua_spawn_opts(&scope, fns[i], arg, &opts, NULL) == 0, "spawn");
    }
    check(skua_scope_close(&scope, SKUA_NEVER) == 0, "close");
}

/* The two meet, and nothing that either did is made visible to the other by it: what they do next,
 * they do at the same time. */
static void meet(_Atomic(uint64_t) *x_here, uint64_t round)
{
    atomic_fetch_add_explicit(x_here, 1, memory_order_relaxed);
    while (atomic_load_explicit(x_here, memory_order_relaxed) < 2 * (round + 1))
        sched_yield();
}

/* ---- A counter without a lock. */

struct counter {
    skua_mutex mutex;
    uint64_t count;
    _Atomic(uint64_t) x_here;
};

static NOINLINE void planted_count(struct counter *c)
{
    c->count++;
}

static void count_once(struct counter *c)
{
    if (!is_wrong)
        check(skua_mutex_lock(&c->mutex, SKUA_NEVER) == 0, "lock");
    planted_count(c);
    if (!is_wrong)
        check(skua_mutex_unlock(&c->mutex) == 0, "unlock");
}

static int count_at_a_stretch(void *arg)
{
    struct counter *c = arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        meet(&c->x_here, i);
        count_once(c);
    }
    return 0;
}

static int find_counter(void *arg)
{
    struct counter c = {SKUA_MUTEX_INIT, 0, 0};
    (void)arg;
    run_two(count_at_a_stretch, count_at_a_stretch, &c);
    check(is_wrong || c.count == 2 * ROUNDS, "count");
    return 0;
}

/* ---- The same where each of them is left and resumed between any two steps. */

static int count_between_switches(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        count_once(arg);
        if (i % 8 == 0)
            skua_sleep(SKUA_US(50));
        else
            skua_yield();
    }
    return 0;
}

static int find_counter_between_switches(void *arg)
{
    struct counter c = {SKUA_MUTEX_INIT, 0, 0};
    (void)arg;
    run_two(count_between_switches, count_between_switches, &c);
    check(is_wrong || c.count == 2 * ROUNDS, "count");
    return 0;
}

/* ---- The same by many that run wherever there is room. */

static int count_in_a_crowd(void *arg)
{
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        count_once(arg);
        skua_yield();
    }
    return 0;
}

static int find_counter_in_a_crowd(void *arg)
{
    struct counter c = {SKUA_MUTEX_INIT, 0, 0};
    skua_scope scope;
    (void)arg;
    check(skua_scope_open(&scope, SKUA_FAIL_FAST, SKUA_NEVER) == 0, "open");
    for (int i = 0; i < CROWD; i++)
        check(skua_spawn(&scope, count_in_a_crowd, &c) == 0, "spawn");
    check(skua_scope_close(&scope, SKUA_NEVER) == 0, "close");
    check(is_wrong || c.count == CROWD * CROWD_ROUNDS, "count");
    return 0;
}

/* ---- A queue from one to one whose sender publishes by a relaxed store. */

struct queue {
    _Atomic(uint64_t) x_head, x_tail;
    uint64_t slots[SLOTS];
};

static NOINLINE void planted_send(struct queue *q, uint64_t value)
{
    uint64_t tail = atomic_load_explicit(&q->x_tail, memory_order_relaxed);
    while (tail - atomic_load_explicit(&q->x_head, memory_order_acquire) == SLOTS)
        sched_yield();
    q->slots[tail % SLOTS] = value;
    if (is_wrong)
        atomic_store_explicit(&q->x_tail, tail + 1, memory_order_relaxed);
    else
        atomic_store_explicit(&q->x_tail, tail + 1, memory_order_release);
}

static NOINLINE uint64_t planted_receive(struct queue *q)
{
    uint64_t head = atomic_load_explicit(&q->x_head, memory_order_relaxed);
    while (atomic_load_explicit(&q->x_tail, memory_order_acquire) == head)
        sched_yield();
    uint64_t value = q->slots[head % SLOTS];
    atomic_store_explicit(&q->x_head, head + 1, memory_order_release);
    return value;
}

static int send_all(void *arg)
{
    for (uint64_t i = 0; i < ROUNDS; i++)
        planted_send(arg, i);
    return 0;
}

static int receive_all(void *arg)
{
    for (uint64_t i = 0; i < ROUNDS; i++)
        check(planted_receive(arg) == i, "order");
    return 0;
}

static int find_missing_release(void *arg)
{
    struct queue *q = calloc(1, sizeof(*q));
    (void)arg;
    check(q != NULL, "memory");
    run_two(send_all, receive_all, q);
    free(q);
    return 0;
}

/* ---- A waker that writes to the waiter's stack after it has woken it. */

struct meeting {
    _Atomic(struct place *) x_place;
};

struct place {
    skua_event event;
    uint64_t value;
};

static NOINLINE uint64_t planted_wait(struct meeting *m)
{
    struct place place = {SKUA_EVENT_INIT, 0};
    atomic_store(&m->x_place, &place);
    check(skua_event_wait(&place.event, SKUA_NEVER) == 0, "wait");
    while (atomic_load(&m->x_place) != NULL) /* not a frame that is gone: the race is the point */
        skua_yield();
    return place.value;
}

static NOINLINE void planted_wake(struct place *place, struct meeting *m, uint64_t value)
{
    if (!is_wrong)
        place->value = value;
    check(skua_event_set(&place->event) == 0, "set");
    atomic_store_explicit(&m->x_place, NULL, memory_order_relaxed);
    if (is_wrong)
        place->value = value;
}

static int wait_often(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        (void)planted_wait(arg);
    return 0;
}

static int wake_often(void *arg)
{
    struct meeting *m = arg;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        struct place *place;
        while ((place = atomic_load(&m->x_place)) == NULL)
            skua_yield();
        planted_wake(place, m, i);
    }
    return 0;
}

static int find_use_after_wake(void *arg)
{
    struct meeting m = {NULL};
    (void)arg;
    run_two(wait_often, wake_often, &m);
    return 0;
}

/* ---- Which. */

static const struct {
    const char *name;
    int (*fn)(void *);
} cases[] = {
    {"counter", find_counter},
    {"counter_between_switches", find_counter_between_switches},
    {"counter_in_a_crowd", find_counter_in_a_crowd},
    {"missing_release", find_missing_release},
    {"use_after_wake", find_use_after_wake},
};

int main(int argc, char **argv)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    is_wrong = argc == 3 && strcmp(argv[2], "wrong") == 0;
    for (size_t i = 0; argc == 3 && i < sizeof(cases) / sizeof(cases[0]); i++)
        if (strcmp(argv[1], cases[i].name) == 0)
            return skua_run(cases[i].fn, NULL, &config) == 0 ? 0 : 1;
    fprintf(stderr, "usage: tsan_finds CASE right|wrong\n");
    return 2;
}
