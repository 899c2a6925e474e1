/* Every call that a plain thread may make, while the runtime starts and stops.
 * Method: plain threads call all of them in random order, over objects of their own and over shared
 * ones, with and without deadlines; the main thread starts and stops runtimes of 1, 2 and 8 workers.
 * Each result is one that the call's docstring names. A function that was to run once has run once,
 * and one that was taken back has not. */
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>

#include "tests/stress/stress.h"

enum { CALLERS = 6, HANDLES = 4, STEPS_MAX = 8 };

/* What all callers use. */
static struct {
    skua_chan *rendezvous, *buffered;
    skua_future *future;
    skua_mutex mutex;
    skua_rwlock rwlock;
    skua_cond cond;
    skua_sem sem;
    skua_event event;
    skua_wg wg;
    skua_local key;
    int pipe[2], listener;
    char address[32];
    int data; /* under the mutex */
    _Atomic(uint32_t) x_spawned, x_ran, x_registered, x_told;
    _Atomic(bool) x_is_over;
} s;

struct caller {
    uint64_t random;
    skua_task *tasks[HANDLES]; /* of this runtime and of earlier ones */
    skua_gen *gen;
    uint64_t calls;
    int locked; /* how often it had the mutex */
    pthread_t thread;
};

/* rc is one of the values. */
#define ONE_OF(rc, ...)                                                                           \
    check_one_of(rc, (const int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int), #rc, \
                 __LINE__)
#define WAIT_ENDED -EAGAIN, -ETIMEDOUT, -ESHUTDOWN

static void check_one_of(ssize_t rc, const int *values, size_t n, const char *call, int line)
{
    for (size_t i = 0; i < n; i++)
        if (rc == values[i])
            return;
    SKT_FAIL("line %d: %s is %zd (%s)", line, call, rc, skua_strerror((int)rc));
}

static uint32_t random_below(struct caller *c, uint32_t n)
{
    return st_random(&c->random) % n;
}

/* It does not wait, or not for long, or has passed. */
static skua_time soon(struct caller *c)
{
    switch (random_below(c, 3)) {
    case 0:
        return SKUA_NOW;
    case 1:
        return skua_now();
    default:
        return skua_in(random_below(c, 100000));
    }
}

/* ---- the runtime, and what a call says of it ---- */

static void ask(struct caller *c)
{
    skua_stats_view view = SKUA_STATS_VIEW_INIT;
    unsigned workers = skua_workers();
    SKT_TRUE(workers == 0 || workers == 1 || workers == 2 || workers == 8);
    for (unsigned w = 0; w < 8; w++)
        ONE_OF(skua_stats(&view, w), 0, -EINVAL, -ESHUTDOWN);
    SKT_EQ(skua_worker(), UINT_MAX);
    SKT_EQ(skua_id(), 0u);
    SKT_NULL(skua_self());
    SKT_NULL(skua_local_get(s.key));
    SKT_EQ(skua_local_set(s.key, c), -EPERM);
    SKT_EQ(skua_shield(1), -EPERM);
    SKT_EQ(skua_cancelled(), 0);
    SKT_EQ(skua_stack_left(), 0u);
    SKT_EQ(skua_stack_used(), 0u);
    SKT_EQ(skua_set_name("x"), -EPERM);
    SKT_NOT_NULL(skua_version());
    SKT_NOT_NULL(skua_strerror(-ESHUTDOWN));
    skua_pin();
    SKT_EQ(skua_yield(), 0);
    skua_unpin();
}

static int answer(void *arg)
{
    (void)arg;
    return 7;
}

static void enter(struct caller *c)
{
    ONE_OF(skua_call(answer, c, SKUA_NEVER), 7, -ESHUTDOWN, -ECANCELED);
    SKT_EQ(skua_block(answer, c, SKUA_NEVER), 7);
}

static int count_range(size_t begin, size_t end, void *arg)
{
    atomic_fetch_add((_Atomic(size_t) *)arg, end - begin);
    return 0;
}

static void divide(struct caller *c)
{
    _Atomic(size_t) count = 0;
    (void)c;
    int rc = skua_for(64, 8, count_range, &count, SKUA_NEVER);
    ONE_OF(rc, 0, -ESHUTDOWN, -ECANCELED);
    if (rc == 0)
        SKT_EQ(atomic_load(&count), 64u);
}

/* ---- tasks ---- */

static int child(void *arg)
{
    (void)arg;
    atomic_fetch_add(&s.x_ran, 1);
    skua_sleep(SKUA_US(20));
    return skua_yield();
}

static int child_with_copy(void *arg)
{
    SKT_EQ(*(uint64_t *)arg, 42u);
    return child(arg);
}

static void note_spawn(int rc)
{
    ONE_OF(rc, 0, -ESHUTDOWN, -ECANCELED);
    if (rc == 0)
        atomic_fetch_add(&s.x_spawned, 1);
}

static void told(skua_task *task, void *arg)
{
    (void)task, (void)arg;
    atomic_fetch_add(&s.x_told, 1);
}

static void spawn(struct caller *c)
{
    uint64_t copy = 42;
    skua_task **place = &c->tasks[random_below(c, HANDLES)], *task;
    skua_task_opts opts = SKUA_TASK_OPTS_INIT;
    if (random_below(c, 2) == 0)
        opts.worker = SKUA_ON_WORKER(0);
    note_spawn(skua_spawn(SKUA_SCOPE_ROOT, child, c));
    note_spawn(skua_spawn_copy(SKUA_SCOPE_ROOT, child_with_copy, &copy, sizeof(copy)));
    int rc = skua_spawn_opts(SKUA_SCOPE_ROOT, child, c, &opts, &task);
    note_spawn(rc);
    if (rc != 0)
        return;
    skua_task_unref(*place);
    *place = task;
}

static void use_task(struct caller *c)
{
    int result = 0;
    skua_task *task = c->tasks[random_below(c, HANDLES)];
    if (task == NULL)
        return;
    ONE_OF(skua_task_state(task), SKUA_PENDING, SKUA_RUNNING, SKUA_DONE, SKUA_CANCELLED);
    if (skua_on_done(task, told, c) == 0)
        atomic_fetch_add(&s.x_registered, 1);
    if (random_below(c, 2) == 0)
        ONE_OF(skua_cancel(task), 0, 1);
    ONE_OF(skua_join(task, &result, soon(c)), 0, WAIT_ENDED);
    skua_case cases[] = {{.op = SKUA_TASK, .obj = task, .val = &result}};
    ONE_OF(skua_select(cases, 1, 0, soon(c)), 0, WAIT_ENDED);
    skua_task_unref(skua_task_ref(task));
}

static void cancel_all(struct caller *c)
{
    if (random_below(c, 16) == 0)
        skua_scope_cancel(SKUA_SCOPE_ROOT);
}

/* ---- time ---- */

static void ring(void *arg)
{
    atomic_fetch_add((_Atomic(uint32_t) *)arg, 1);
}

static void use_timer(struct caller *c)
{
    skua_timer timer;
    _Atomic(uint32_t) x_rung = 0;
    int rc = skua_timer_start(&timer, skua_in(random_below(c, 200000)), ring, &x_rung);
    ONE_OF(rc, 0, -ESHUTDOWN);
    if (rc != 0)
        return;
    usleep(random_below(c, 200));
    if (skua_timer_stop(&timer) == 1)
        SKT_EQ(atomic_load(&x_rung), 0u);
    else
        st_hog_until(&x_rung, 1, "a timer that could not be stopped any more");
}

static void tick(struct caller *c)
{
    skua_chan *ticks;
    uint64_t when;
    int rc = skua_ticker(&ticks, 50000);
    ONE_OF(rc, 0, -ESHUTDOWN, -ECANCELED);
    if (rc != 0)
        return;
    ONE_OF(skua_chan_recv(ticks, &when, soon(c)), 0, -EPIPE, WAIT_ENDED);
    ONE_OF(skua_chan_close(ticks), 0, -EPIPE);
    skua_chan_unref(ticks);
}

static void wait_a_little(struct caller *c)
{
    ONE_OF(skua_sleep(random_below(c, 50000)), 0, -ESHUTDOWN);
    ONE_OF(skua_sleep_until(skua_now()), 0, -ESHUTDOWN);
}

/* ---- values ---- */

static void use_chan(struct caller *c)
{
    uint64_t value = 3, values[4] = {1, 2, 3, 4};
    skua_chan *chan = random_below(c, 2) == 0 ? s.rendezvous : s.buffered;
    ONE_OF(skua_chan_send(chan, &value, soon(c)), 0, WAIT_ENDED);
    ONE_OF(skua_chan_recv(chan, &value, soon(c)), 0, WAIT_ENDED);
    ONE_OF(skua_chan_send_n(chan, values, 4, soon(c)), 1, 2, 3, 4, WAIT_ENDED);
    ONE_OF(skua_chan_recv_n(chan, values, 4, soon(c)), 1, 2, 3, 4, WAIT_ENDED);
    SKT_LE(skua_chan_len(chan), skua_chan_cap(chan) + CALLERS * 4);
}

static void choose(struct caller *c)
{
    uint64_t value = 5;
    skua_case cases[] = {
        {.op = SKUA_SEND, .obj = s.rendezvous, .val = &value},
        {.op = SKUA_RECV, .obj = s.buffered, .val = &value},
        {.op = SKUA_FUTURE, .obj = s.future},
        {.op = SKUA_FD, .fd = s.pipe[0], .events = POLLIN},
    };
    ONE_OF(skua_select(cases, 3 + random_below(c, 2), 0, soon(c)), 0, 1, WAIT_ENDED);
}

static void see(skua_future *future, void *arg)
{
    (void)future, (void)arg;
    atomic_fetch_add(&s.x_told, 1);
}

static void use_future(struct caller *c)
{
    skua_future *own, *pair[2];
    uint64_t value = 9, got = 0;
    SKT_EQ(skua_future_new(&own, sizeof(value)), 0);
    pair[0] = own, pair[1] = s.future;
    ONE_OF(skua_future_get(own, &got, soon(c)), WAIT_ENDED);
    ONE_OF(skua_wait_any(pair, 2, soon(c)), WAIT_ENDED);
    atomic_fetch_add(&s.x_registered, 1);
    SKT_EQ(skua_future_on_done(own, see, c), 0);
    SKT_EQ(skua_future_set(own, &value), 0);
    SKT_EQ(skua_future_get(own, &got, soon(c)), 0);
    SKT_EQ(got, value);
    ONE_OF(skua_gather(pair, 2, soon(c)), WAIT_ENDED);
    skua_future_unref(own);
}

/* ---- locks ---- */

static void lock(struct caller *c)
{
    int rc = skua_mutex_lock(&s.mutex, soon(c));
    ONE_OF(rc, 0, WAIT_ENDED);
    if (rc != 0)
        return;
    s.data++;
    c->locked++;
    ONE_OF(skua_cond_wait(&s.cond, &s.mutex, soon(c)), 0, WAIT_ENDED);
    SKT_EQ(skua_mutex_unlock(&s.mutex), 0);
    SKT_EQ(skua_cond_signal(&s.cond), 0);
    SKT_EQ(skua_cond_broadcast(&s.cond), 0);
}

static void lock_shared(struct caller *c)
{
    int rc = random_below(c, 4) == 0 ? skua_rwlock_wrlock(&s.rwlock, soon(c))
                                     : skua_rwlock_rdlock(&s.rwlock, soon(c));
    ONE_OF(rc, 0, WAIT_ENDED);
    if (rc == 0)
        SKT_EQ(skua_rwlock_unlock(&s.rwlock), 0);
}

static void signal_others(struct caller *c)
{
    if (skua_sem_wait(&s.sem, 1, soon(c)) == 0)
        SKT_EQ(skua_sem_post(&s.sem, 1), 0);
    ONE_OF(skua_event_wait(&s.event, soon(c)), 0, WAIT_ENDED);
    SKT_EQ(random_below(c, 2) == 0 ? skua_event_set(&s.event) : skua_event_clear(&s.event), 0);
    SKT_EQ(skua_wg_add(&s.wg, 1), 0);
    SKT_EQ(skua_wg_done(&s.wg), 0);
    ONE_OF(skua_wg_wait(&s.wg, soon(c)), 0, WAIT_ENDED);
}

static int fail_or_not(void *arg)
{
    struct caller *c = arg;
    return random_below(c, 2) == 0 ? 0 : -EIO;
}

static void begin_once(struct caller *c)
{
    skua_once_flag flag = SKUA_ONCE_INIT;
    ONE_OF(skua_once(&flag, fail_or_not, c, soon(c)), 0, -EIO);
}

/* ---- descriptors ---- */

static void use_pipe(struct caller *c)
{
    char byte = 'x';
    int own[2];
    SKT_EQ(pipe2(own, O_CLOEXEC), 0);
    ONE_OF(skua_read(own[0], &byte, 1, soon(c)), WAIT_ENDED);
    ONE_OF(skua_poll(own[0], POLLIN, soon(c)), WAIT_ENDED);
    ONE_OF(skua_write(own[1], &byte, 1, soon(c)), 1, -ESHUTDOWN);
    ONE_OF(skua_poll(s.pipe[0], POLLIN, soon(c)), WAIT_ENDED);
    ONE_OF(skua_read(s.pipe[0], &byte, 1, soon(c)), WAIT_ENDED);
    st_close(own);
}

static void use_net(struct caller *c)
{
    int fd = skua_dial(s.address, NULL, soon(c));
    if (fd >= 0)
        SKT_EQ(skua_close(fd), 0);
    fd = skua_accept(s.listener, NULL, NULL, soon(c));
    if (fd >= 0)
        SKT_EQ(skua_close(fd), 0);
    else
        ONE_OF(fd, WAIT_ENDED);
}

/* ---- stacks ---- */

static int count_up(skua_gen *gen, void *arg)
{
    (void)arg;
    for (uint64_t i = 0;; i++)
        if (skua_gen_yield(gen, &i, NULL) != 0)
            return 0;
}

/* A generator lives longer than the runtime that it was made beside. */
static void generate(struct caller *c)
{
    uint64_t value;
    if (c->gen == NULL)
        SKT_EQ(skua_gen_new(&c->gen, count_up, c, sizeof(uint64_t), 0), 0);
    SKT_EQ(skua_gen_next(c->gen, NULL, &value), 1);
    if (value < STEPS_MAX)
        return;
    skua_gen_free(c->gen);
    c->gen = NULL;
}

static void *give_back(void *value)
{
    return skua_fiber_switch(skua_fiber_parent(), value);
}

static void use_fiber(struct caller *c)
{
    skua_fiber *fiber;
    SKT_EQ(skua_fiber_new(&fiber, give_back, NULL, 0), 0);
    SKT_PTR_EQ(skua_fiber_switch(fiber, c), c);
    skua_fiber_free(fiber);
}

/* ---- all of it ---- */

static void (*const acts[])(struct caller *) = {
    ask,        enter,         divide,  spawn,      use_task, cancel_all,  use_timer,
    tick,       wait_a_little, choose,  use_future, lock,     lock_shared, signal_others,
    begin_once, use_pipe,      use_net, use_chan,   generate, use_fiber,
};

static void *call_all(void *arg)
{
    struct caller *c = arg;
    while (!atomic_load(&s.x_is_over)) {
        acts[random_below(c, sizeof(acts) / sizeof(acts[0]))](c);
        c->calls++;
    }
    for (int i = 0; i < HANDLES; i++)
        skua_task_unref(c->tasks[i]);
    skua_gen_free(c->gen);
    return NULL;
}

static void begin(struct caller *callers)
{
    struct sockaddr_storage sa;
    socklen_t len;
    SKT_EQ(skua_chan_new(&s.rendezvous, sizeof(uint64_t), 0, 0), 0);
    SKT_EQ(skua_chan_new(&s.buffered, sizeof(uint64_t), 4, 0), 0);
    SKT_EQ(skua_future_new(&s.future, 0), 0);
    SKT_EQ(skua_local_key(&s.key, NULL), 0);
    SKT_EQ(skua_sem_post(&s.sem, 2), 0);
    SKT_EQ(pipe2(s.pipe, O_CLOEXEC), 0);
    s.listener = skua_listen("tcp:127.0.0.1:0", NULL);
    SKT_GE(s.listener, 0);
    st_address(s.listener, &sa, &len);
    snprintf(s.address, sizeof(s.address), "tcp:127.0.0.1:%u",
             ntohs(((struct sockaddr_in *)(void *)&sa)->sin_port));
    for (uint64_t i = 0; i < CALLERS; i++) {
        callers[i].random = st_seed(100 + i);
        SKT_EQ(pthread_create(&callers[i].thread, NULL, call_all, &callers[i]), 0);
    }
}

static void end(struct caller *callers)
{
    int locked = 0;
    atomic_store(&s.x_is_over, true);
    for (int i = 0; i < CALLERS; i++) {
        SKT_EQ(pthread_join(callers[i].thread, NULL), 0);
        SKT_GT(callers[i].calls, 0u);
        locked += callers[i].locked;
    }
    SKT_EQ(locked, s.data);
    SKT_EQ(close(s.listener), 0);
    st_close(s.pipe);
    skua_future_unref(s.future);
    skua_chan_unref(s.buffered);
    skua_chan_unref(s.rendezvous);
}

/* Each child that was spawned has run, cancelled or not, and each function that was to be told has
 * been. */
static void check_counts(void)
{
    SKT_EQ(atomic_load(&s.x_ran), atomic_load(&s.x_spawned));
    SKT_EQ(atomic_load(&s.x_told), atomic_load(&s.x_registered));
}

static void live(uint64_t *random, unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    if (st_random(random) % 4 == 0) {
        ONE_OF(skua_run(answer, NULL, &config), 7, -ECANCELED);
        return;
    }
    SKT_EQ(skua_start(&config), 0);
    usleep(st_random(random) % 2000);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

SKT_TEST(stress, from_anywhere_beside_stop)
{
    static const unsigned workers[] = {1, 2, 8};
    static struct caller callers[CALLERS];
    uint64_t random = st_seed(12);
    int64_t begin_ns = skt_now_ns();
    begin(callers);
    for (uint64_t i = 0; i < skt_scaled(300) && skt_has_time(begin_ns); i++)
        live(&random, workers[i % 3]);
    end(callers);
    check_counts();
}
