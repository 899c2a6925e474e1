/* tests/system/sanitized_order.c - built with -fsanitize=thread against the library as it is installed:
 * programs that order what they share by every means that skua has, of which ThreadSanitizer must report
 * nothing, and races, which it must report.
 *   sanitized_order ok    all that is correct
 *   sanitized_order race [through]   two coroutines add to a variable; `through`: while they also lock
 *                                    mutexes of their own */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skua/fiber.h>
#include <skua/gen.h>
#include <skua/skua.h>

enum { ROUNDS = 200 };

/* Larger than what is copied without a call of memcpy. */
struct large {
    long v[5];
};

static void check(int condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "sanitized_order: %s\n", what);
        _exit(2);
    }
}

/* Runs n children with arg, or with arg + i * stride. */
static void run_all(const char *what, int (*fn)(void *), int n, void *arg, size_t stride)
{
    skua_scope s;
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, what);
    for (int i = 0; i < n; i++)
        check(skua_spawn(&s, fn, arg == NULL ? NULL : (char *)arg + (size_t)i * stride) == 0, what);
    check(skua_scope_close(&s, SKUA_NEVER) == 0, what);
}

static void run_two(const char *what, int (*a)(void *), int (*b)(void *), int n, void *arg)
{
    skua_scope s;
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, what);
    for (int i = 0; i < n; i++)
        check(skua_spawn(&s, a, arg) == 0 && skua_spawn(&s, b, arg) == 0, what);
    check(skua_scope_close(&s, SKUA_NEVER) == 0, what);
}

/* ---- locks ---- */

static skua_mutex mutex = SKUA_MUTEX_INIT;
static skua_rwlock rwlock = SKUA_RWLOCK_INIT;
static skua_sem sem = SKUA_SEM_INIT(1);
static skua_cond cond = SKUA_COND_INIT;
static skua_once_flag once = SKUA_ONCE_INIT;
static long counter, guarded;
static int is_ready, made;

static int add_under_mutex(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        skua_mutex_lock(&mutex, SKUA_NEVER);
        counter++;
        skua_mutex_unlock(&mutex);
        if (i % 16 == 0)
            skua_yield();
    }
    return 0;
}

static int add_under_trylock(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        while (skua_mutex_trylock(&mutex) < 0)
            skua_yield();
        counter++;
        skua_mutex_unlock(&mutex);
    }
    return 0;
}

static int write_guarded(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        skua_rwlock_wrlock(&rwlock, SKUA_NEVER);
        guarded++;
        skua_rwlock_unlock(&rwlock);
    }
    return 0;
}

static int read_guarded(void *arg)
{
    volatile long seen;
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        skua_rwlock_rdlock(&rwlock, SKUA_NEVER);
        seen = guarded;
        skua_rwlock_unlock(&rwlock);
        if (i % 8 == 0)
            skua_yield();
    }
    (void)seen;
    return 0;
}

static int add_under_sem(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        skua_sem_wait(&sem, 1, SKUA_NEVER);
        counter++;
        skua_sem_post(&sem, 1);
    }
    return 0;
}

static int await_ready(void *arg)
{
    (void)arg;
    skua_mutex_lock(&mutex, SKUA_NEVER);
    while (!is_ready)
        skua_cond_wait(&cond, &mutex, SKUA_NEVER);
    is_ready++;
    skua_mutex_unlock(&mutex);
    return 0;
}

static int make_ready(void *arg)
{
    (void)arg;
    skua_mutex_lock(&mutex, SKUA_NEVER);
    is_ready++;
    skua_mutex_unlock(&mutex);
    skua_cond_broadcast(&cond);
    return 0;
}

static int make(void *arg)
{
    (void)arg;
    made = 1;
    skua_yield();
    made = 2;
    return 0;
}

static int use_made(void *arg)
{
    (void)arg;
    skua_once(&once, make, NULL, SKUA_NEVER);
    return made == 2 ? 0 : -1;
}

static void locks(void)
{
    counter = 0;
    run_all("mutex", add_under_mutex, 8, NULL, 0);
    run_all("trylock", add_under_trylock, 4, NULL, 0);
    check(counter == 12 * ROUNDS, "the mutex excludes");
    run_two("rwlock", write_guarded, read_guarded, 3, NULL);
    run_all("sem", add_under_sem, 4, NULL, 0);
    run_two("cond", await_ready, make_ready, 4, NULL);
    run_all("once", use_made, 4, NULL, 0);
}

/* ---- events ---- */

static skua_wg wg = SKUA_WG_INIT;
static skua_event event = SKUA_EVENT_INIT;
static skua_barrier barrier = SKUA_BARRIER_INIT(4);
static int parts[8], told, rounds[4];

static int do_part(void *arg)
{
    *(int *)arg = 1;
    skua_wg_done(&wg);
    return 0;
}

static int do_parts(void *arg)
{
    skua_scope s;
    (void)arg;
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, "wg");
    skua_wg_add(&wg, 8);
    for (int i = 0; i < 8; i++)
        check(skua_spawn(&s, do_part, &parts[i]) == 0, "wg");
    skua_wg_wait(&wg, SKUA_NEVER);
    for (int i = 0; i < 8; i++)
        parts[i]++;
    return skua_scope_close(&s, SKUA_NEVER);
}

static int tell(void *arg)
{
    (void)arg;
    told = 7;
    skua_event_set(&event);
    return 0;
}

static int be_told(void *arg)
{
    (void)arg;
    skua_event_wait(&event, SKUA_NEVER);
    return told == 7 ? 0 : -1;
}

static int meet(void *arg)
{
    int *mine = arg;
    for (int round = 0; round < 20; round++) {
        *mine = round;
        skua_barrier_wait(&barrier, SKUA_NEVER);
        for (int i = 0; i < 4; i++)
            if (rounds[i] != round)
                return -1;
        skua_barrier_wait(&barrier, SKUA_NEVER);
    }
    return 0;
}

static void events(void)
{
    skua_scope s;
    run_all("wg", do_parts, 1, NULL, 0);
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, "event");
    for (int i = 0; i < 4; i++)
        check(skua_spawn(&s, be_told, NULL) == 0, "event");
    check(skua_spawn(&s, tell, NULL) == 0, "event");
    check(skua_scope_close(&s, SKUA_NEVER) == 0, "event");
    run_all("barrier", meet, 4, rounds, sizeof(rounds[0]));
}

/* ---- channels ---- */

static int send_pointers(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        long *p = malloc(sizeof(*p));
        *p = i;
        if (skua_chan_send(arg, &p, SKUA_NEVER) < 0)
            return -1;
    }
    return 0;
}

static int recv_pointers(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        long *p;
        if (skua_chan_recv(arg, &p, SKUA_NEVER) < 0)
            return -1;
        *p += 1;
        free(p);
    }
    return 0;
}

static int send_large(void *arg)
{
    struct large x;
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 5; k++)
            x.v[k] = i;
        if (skua_chan_send(arg, &x, SKUA_NEVER) < 0)
            return -1;
    }
    return 0;
}

static int recv_large(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct large x;
        memset(&x, 0xff, sizeof(x));
        if (skua_chan_recv(arg, &x, SKUA_NEVER) < 0 || x.v[4] != i)
            return -1;
    }
    return 0;
}

static int send_batches(void *arg)
{
    long *v[8];
    for (int i = 0; i < ROUNDS / 8; i++) {
        for (int k = 0; k < 8; k++)
            *(v[k] = malloc(sizeof(long))) = k;
        if (skua_chan_send_n(arg, v, 8, SKUA_NEVER) != 8)
            return -1;
    }
    return skua_chan_close(arg);
}

static int recv_batches(void *arg)
{
    long *v[5];
    ssize_t n;
    while ((n = skua_chan_recv_n(arg, v, 5, SKUA_NEVER)) > 0)
        while (n-- > 0)
            free(v[n]);
    return 0;
}

static int select_pointers(void *arg)
{
    skua_chan **c = arg;
    for (int i = 0; i < 2 * ROUNDS; i++) {
        long *p[2];
        skua_case k[2] = {{.op = SKUA_RECV, .obj = c[0], .val = &p[0]},
                          {.op = SKUA_RECV, .obj = c[1], .val = &p[1]}};
        int which = skua_select(k, 2, 0, SKUA_NEVER);
        if (which < 0)
            return -1;
        *p[which] += 1;
        free(p[which]);
    }
    return 0;
}

static void one_channel(size_t capacity, unsigned flags)
{
    skua_chan *c;
    check(skua_chan_new(&c, sizeof(long *), capacity, flags) == 0, "channel");
    run_two("pointers", send_pointers, recv_pointers, 2, c);
    run_two("batches", send_batches, recv_batches, 1, c);
    skua_chan_unref(c);
    check(skua_chan_new(&c, sizeof(struct large), capacity, flags) == 0, "channel");
    run_two("large elements", send_large, recv_large, 1, c);
    skua_chan_unref(c);
}

static void channels(void)
{
    skua_scope s;
    skua_chan *c[2];
    one_channel(0, 0);
    one_channel(4, 0);
    one_channel(0, SKUA_CHAN_UNBOUNDED);
    check(skua_chan_new(&c[0], sizeof(long *), 0, 0) == 0, "select");
    check(skua_chan_new(&c[1], sizeof(long *), 4, 0) == 0, "select");
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, "select");
    check(skua_spawn(&s, send_pointers, c[0]) == 0, "select");
    check(skua_spawn(&s, send_pointers, c[1]) == 0, "select");
    check(skua_spawn(&s, select_pointers, c) == 0, "select");
    check(skua_scope_close(&s, SKUA_NEVER) == 0, "select");
    skua_chan_unref(c[0]);
    skua_chan_unref(c[1]);
}

/* ---- tasks, futures, callbacks ---- */

static skua_future *future;
static int behind_future, result_of_task, hidden;

static int set_future(void *arg)
{
    struct large x = {{1, 2, 3, 4, 5}};
    (void)arg;
    behind_future = 3;
    return skua_future_set(future, &x);
}

static int get_future(void *arg)
{
    struct large x;
    (void)arg;
    if (skua_future_get(future, &x, SKUA_NEVER) < 0)
        return -1;
    return behind_future == 3 && x.v[4] == 5 ? 0 : -1;
}

static int gather_future(void *arg)
{
    (void)arg;
    return skua_gather(&future, 1, SKUA_NEVER) < 0 || behind_future != 3 ? -1 : 0;
}

static void futures(void)
{
    skua_scope s;
    check(skua_future_new(&future, sizeof(struct large)) == 0, "future");
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, "future");
    for (int i = 0; i < 3; i++) {
        check(skua_spawn(&s, get_future, NULL) == 0, "future");
        check(skua_spawn(&s, gather_future, NULL) == 0, "future");
    }
    check(skua_spawn(&s, set_future, NULL) == 0, "future");
    check(skua_scope_close(&s, SKUA_NEVER) == 0, "future");
    skua_future_unref(future);
}

static int leave_result(void *arg)
{
    (void)arg;
    result_of_task = 9;
    return 4;
}

static void count_done(skua_task *task, void *arg)
{
    (void)task;
    ++*(int *)arg;
}

static int wait_for_cancel(void *arg)
{
    (void)arg;
    return skua_sleep(SKUA_S(1000)) == -ECANCELED && hidden == 1 ? 0 : -1;
}

static void tasks(void)
{
    skua_scope s;
    skua_task *task;
    int result = 0, done = 0;
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, "join");
    check(skua_spawn_opts(&s, leave_result, NULL, NULL, &task) == 0, "join");
    check(skua_on_done(task, count_done, &done) == 0, "join");
    check(skua_join(task, &result, SKUA_NEVER) == 0, "join");
    check(result == 4 && result_of_task == 9 && done == 1, "join");
    skua_task_unref(task);
    check(skua_spawn_opts(&s, wait_for_cancel, NULL, NULL, &task) == 0, "cancel");
    skua_yield();
    hidden = 1;
    skua_cancel(task);
    check(skua_join(task, &result, SKUA_NEVER) == 0 && result == 0, "cancel");
    skua_task_unref(task);
    check(skua_scope_close(&s, SKUA_NEVER) == 0, "join");
}

static int increment(void *arg)
{
    ++*(int *)arg;
    return 0;
}

static int is_nine(void *arg)
{
    return ((struct large *)arg)->v[4] == 9 ? 0 : -1;
}

static int divide(void *arg)
{
    int n = *(int *)arg, parts_of[3] = {n - 1, n - 1, n - 1};
    if (n > 0)
        run_all("nested", divide, 3, parts_of, sizeof(parts_of[0]));
    return 0;
}

static void spawns(void)
{
    skua_scope s;
    struct large x = {{0}};
    int v[50] = {0}, sum = 0, depth = 5;
    run_all("spawn", increment, 50, v, sizeof(v[0]));
    for (int i = 0; i < 50; i++)
        sum += v[i];
    check(sum == 50, "spawn");
    run_all("nested", divide, 1, &depth, 0);
    check(skua_scope_open(&s, 0, SKUA_NEVER) == 0, "copy");
    for (int i = 0; i < 20; i++) {
        x.v[4] = 9;
        check(skua_spawn_copy(&s, is_nine, &x, sizeof(x)) == 0, "copy");
        x.v[4] = 0;
    }
    check(skua_scope_close(&s, SKUA_NEVER) == 0, "copy");
}

static int add_blocking(void *arg)
{
    *(int *)arg += 1;
    usleep(200);
    return 0;
}

static int block(void *arg)
{
    int n = 0;
    (void)arg;
    for (int i = 0; i < 5; i++) {
        n++;
        if (skua_block(add_blocking, &n, SKUA_NEVER) < 0)
            return -1;
    }
    return n == 10 ? 0 : -1;
}

static skua_event fired = SKUA_EVENT_INIT;

static void fire(void *arg)
{
    ++*(int *)arg;
    skua_event_set(&fired);
}

static void timers(void)
{
    skua_timer timer;
    int n = 1;
    check(skua_timer_start(&timer, skua_in(SKUA_MS(1)), fire, &n) == 0, "timer");
    skua_event_wait(&fired, SKUA_NEVER);
    check(n == 2, "timer");
}

/* ---- generators, fibers, descriptors ---- */

static int yield_ten(skua_gen *g, void *arg)
{
    for (int i = 0; i < 10; i++) {
        struct large x = {{i}};
        ++*(int *)arg;
        skua_gen_yield(g, &x, NULL);
    }
    return 0;
}

static void *switch_back(void *arg)
{
    while (arg != NULL) {
        ++*(int *)arg;
        arg = skua_fiber_switch(skua_fiber_parent(), arg);
    }
    return arg;
}

static int use_bodies(void *arg)
{
    int n = 0;
    struct large x;
    skua_gen *g;
    skua_fiber *f;
    (void)arg;
    check(skua_gen_new(&g, yield_ten, &n, sizeof(x), 0) == 0, "gen");
    while (skua_gen_next(g, NULL, &x) > 0) {
        n++;
        skua_yield();
    }
    skua_gen_free(g);
    check(skua_fiber_new(&f, switch_back, &n, 0) == 0, "fiber");
    for (int i = 0; i < 10; i++) {
        n++;
        skua_fiber_switch(f, &n);
        skua_yield();
    }
    skua_fiber_free(f);
    return n == 40 ? 0 : -1;
}

static int ends[2], behind_pipe;

static int write_pipe(void *arg)
{
    (void)arg;
    skua_yield();
    behind_pipe = 1;
    return skua_write(ends[1], "x", 1, SKUA_NEVER) == 1 ? 0 : -1;
}

static int read_pipe(void *arg)
{
    char c;
    (void)arg;
    return skua_read(ends[0], &c, 1, SKUA_NEVER) == 1 && behind_pipe == 1 ? 0 : -1;
}

static int all(void *arg)
{
    (void)arg;
    locks();
    events();
    channels();
    futures();
    tasks();
    spawns();
    timers();
    run_all("block", block, 4, NULL, 0);
    run_all("bodies", use_bodies, 4, NULL, 0);
    check(pipe(ends) == 0, "pipe");
    run_two("descriptors", read_pipe, write_pipe, 1, NULL);
    check(skua_close(ends[0]) == 0 && skua_close(ends[1]) == 0, "descriptors");
    return 0;
}

/* ---- plain threads ---- */

static int called;

static int look_called(void *arg)
{
    *(int *)arg = called;
    return 0;
}

static void *plain_thread(void *arg)
{
    int seen = 0;
    add_under_mutex(NULL);
    called = 1;
    check(skua_call(look_called, &seen, SKUA_NEVER) == 0 && seen == 1, "call");
    called = 2;
    return arg;
}

static void threads(void)
{
    skua_config config = SKUA_CONFIG_INIT;
    pthread_t thread;
    check(skua_start(&config) == 0, "start");
    check(pthread_create(&thread, NULL, plain_thread, NULL) == 0, "thread");
    add_under_mutex(NULL);
    pthread_join(thread, NULL);
    check(skua_stop(SKUA_NEVER) == 0, "stop");
}

/* ---- races ---- */

static long raced;
static int through;
static atomic_int x_begun;

static int race(void *arg)
{
    skua_mutex own = SKUA_MUTEX_INIT;
    (void)arg;
    /* Both have begun, on stacks of their own, and nothing has ordered them. */
    atomic_fetch_add_explicit(&x_begun, 1, memory_order_relaxed);
    while (atomic_load_explicit(&x_begun, memory_order_relaxed) < 2)
        skua_yield();
    for (int i = 0; i < ROUNDS; i++) {
        if (through)
            skua_mutex_lock(&own, SKUA_NEVER);
        raced++;
        if (through)
            skua_mutex_unlock(&own);
        skua_yield();
    }
    return 0;
}

static int race_two(void *arg)
{
    (void)arg;
    run_all("race", race, 2, NULL, 0);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "race") == 0) {
        through = argc > 2;
        return skua_run(race_two, NULL, NULL);
    }
    check(skua_run(all, NULL, NULL) == 0, "run");
    threads();
    fprintf(stderr, "all done\n");
    return 0;
}
