/* A SCHED_FIFO thread and an ordinary one share a core and make the same calls on the same objects.
 * The real-time thread wakes at random times, so it preempts the other anywhere, also where it holds a
 * lock of the runtime's.
 * Measured is the real-time thread's own processor time, so the load of the machine does not count:
 * one spin for a lock whose holder cannot run burns 950 ms before the kernel lets the holder run. */
#include <pthread.h>

#include "tests/stress/stress.h"
#include "tests/support/realtime.h"

static struct {
    skua_mutex mutex;
    skua_rwlock rwlock;
    skua_cond cond;
    skua_sem sem;
    skua_event event;
    skua_wg wg;
    skua_future *future;
    skua_chan *ring, *rendezvous, *unbounded;
    int pipe[2];
    void (*call)(void);
    _Atomic(bool) x_over;
    int64_t burnt_ms;
} shared = {.mutex = SKUA_MUTEX_INIT,
            .rwlock = SKUA_RWLOCK_INIT,
            .cond = SKUA_COND_INIT,
            .sem = SKUA_SEM_INIT(1),
            .event = SKUA_EVENT_INIT,
            .wg = SKUA_WG_INIT};

/* ---- the calls ---- */

static void do_nothing(void *arg)
{
    (void)arg;
}

static void call_timer(void)
{
    skua_timer timer;
    SKT_EQ(skua_timer_start(&timer, skua_in(SKUA_S(3600)), do_nothing, NULL), 0);
    SKT_EQ(skua_timer_stop(&timer), 1);
}

static void pass(skua_chan *chan)
{
    uint64_t v = 1;
    int rc = skua_chan_send(chan, &v, SKUA_NOW);
    SKT_TRUE(rc == 0 || rc == -EAGAIN);
    rc = skua_chan_recv(chan, &v, SKUA_NOW);
    SKT_TRUE(rc == 0 || rc == -EAGAIN);
}

static void call_ring(void)
{
    pass(shared.ring);
}

static void call_unbounded(void)
{
    pass(shared.unbounded);
}

/* With a deadline, so that both enter its queues and leave them. */
static void call_rendezvous(void)
{
    uint64_t v = 1;
    int rc = skua_chan_send(shared.rendezvous, &v, skua_in(SKUA_US(1)));
    SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
    rc = skua_chan_recv(shared.rendezvous, &v, skua_in(SKUA_US(1)));
    SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
}

static void call_select(void)
{
    uint64_t v = 1, got;
    skua_case cases[] = {{.op = SKUA_RECV, .obj = shared.rendezvous, .val = &got},
                         {.op = SKUA_SEND, .obj = shared.ring, .val = &v},
                         {.op = SKUA_RECV, .obj = shared.unbounded, .val = &got}};
    int rc = skua_select(cases, 3, 0, SKUA_NOW);
    SKT_TRUE(rc >= 0 || rc == -EAGAIN);
    (void)skua_chan_recv(shared.ring, &got, SKUA_NOW);
}

static void call_mutex(void)
{
    SKT_EQ(skua_mutex_lock(&shared.mutex, SKUA_NEVER), 0);
    SKT_EQ(skua_mutex_unlock(&shared.mutex), 0);
}

static void call_rwlock(void)
{
    SKT_EQ(skua_rwlock_rdlock(&shared.rwlock, SKUA_NEVER), 0);
    SKT_EQ(skua_rwlock_unlock(&shared.rwlock), 0);
    SKT_EQ(skua_rwlock_wrlock(&shared.rwlock, SKUA_NEVER), 0);
    SKT_EQ(skua_rwlock_unlock(&shared.rwlock), 0);
}

static void call_sem(void)
{
    SKT_EQ(skua_sem_wait(&shared.sem, 1, SKUA_NEVER), 0);
    SKT_EQ(skua_sem_post(&shared.sem, 1), 0);
}

static void call_cond(void)
{
    SKT_EQ(skua_mutex_lock(&shared.mutex, SKUA_NEVER), 0);
    int rc = skua_cond_wait(&shared.cond, &shared.mutex, skua_in(SKUA_US(1)));
    SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
    SKT_EQ(skua_mutex_unlock(&shared.mutex), 0);
    SKT_EQ(skua_cond_signal(&shared.cond), 0);
}

static void call_event(void)
{
    int rc = skua_event_wait(&shared.event, skua_in(SKUA_US(1)));
    SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
    SKT_GE(skua_event_set(&shared.event), 0);
    SKT_GE(skua_event_clear(&shared.event), 0);
}

static void call_wg(void)
{
    SKT_EQ(skua_wg_add(&shared.wg, 1), 0);
    int rc = skua_wg_wait(&shared.wg, skua_in(SKUA_US(1)));
    SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
    SKT_EQ(skua_wg_done(&shared.wg), 0);
}

static void call_future(void)
{
    int rc = skua_future_get(shared.future, NULL, skua_in(SKUA_US(1)));
    SKT_EQ(rc, -ETIMEDOUT);
}

static int return_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void call_spawn(void)
{
    SKT_EQ(skua_call(return_nothing, NULL, SKUA_NEVER), 0);
}

static void call_descriptor(void)
{
    char byte;
    int fd = dup(shared.pipe[0]);
    SKT_GE(fd, 0);
    SKT_EQ(skua_read(fd, &byte, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_read(shared.pipe[0], &byte, 1, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_close(fd), 0);
}

/* ---- the two threads ---- */

static void *call_as_realtime(void *arg)
{
    uint64_t random = st_seed(19), rounds = skt_scaled(1000);
    (void)arg;
    SKT_EQ(rtc_settle(true), 0);
    int64_t before = rtc_thread_cpu_ms();
    for (uint64_t i = 0; i < rounds; i++) {
        const struct timespec pause = {0, 10000 + (long)(st_random(&random) % 100000)};
        nanosleep(&pause, NULL);
        shared.call();
    }
    shared.burnt_ms = rtc_thread_cpu_ms() - before;
    return NULL;
}

static void *call_as_ordinary(void *arg)
{
    (void)arg;
    SKT_EQ(rtc_settle(false), 0);
    while (!atomic_load(&shared.x_over))
        shared.call();
    return NULL;
}

static void meet_by(void (*call)(void), const char *name)
{
    pthread_t realtime, ordinary;
    shared.call = call;
    atomic_store(&shared.x_over, false);
    SKT_EQ(pthread_create(&ordinary, NULL, call_as_ordinary, NULL), 0);
    SKT_EQ(pthread_create(&realtime, NULL, call_as_realtime, NULL), 0);
    SKT_EQ(pthread_join(realtime, NULL), 0);
    atomic_store(&shared.x_over, true);
    SKT_EQ(pthread_join(ordinary, NULL), 0);
    if (shared.burnt_ms >= RTC_CPU_MAX_MS)
        SKT_FAIL("%s: the real-time thread burnt %lld ms of processor time", name,
                 (long long)shared.burnt_ms);
}

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
    {"timer", call_timer},
    {"ring", call_ring},
    {"unbounded", call_unbounded},
    {"rendezvous", call_rendezvous},
    {"select", call_select},
    {"mutex", call_mutex},
    {"rwlock", call_rwlock},
    {"sem", call_sem},
    {"cond", call_cond},
    {"event", call_event},
    {"wg", call_wg},
    {"future", call_future},
    {"spawn", call_spawn},
    {"descriptor", call_descriptor},
};

static void make_objects(void)
{
    SKT_EQ(skua_chan_new(&shared.ring, sizeof(uint64_t), 4, 0), 0);
    SKT_EQ(skua_chan_new(&shared.rendezvous, sizeof(uint64_t), 0, 0), 0);
    SKT_EQ(skua_chan_new(&shared.unbounded, sizeof(uint64_t), 0, SKUA_CHAN_UNBOUNDED), 0);
    SKT_EQ(skua_future_new(&shared.future, 0), 0);
    SKT_EQ(pipe(shared.pipe), 0);
}

static void free_objects(void)
{
    st_close(shared.pipe);
    skua_future_unref(shared.future);
    skua_chan_unref(shared.ring);
    skua_chan_unref(shared.rendezvous);
    skua_chan_unref(shared.unbounded);
}

static void meet_by_all(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    rtc_require();
    SKT_EQ(skua_start(&config), 0);
    make_objects();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        meet_by(calls[i].call, calls[i].name);
    free_objects();
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

SKT_TEST(stress, realtime_w1)
{
    meet_by_all(1);
}

SKT_TEST(stress, realtime_w2)
{
    meet_by_all(2);
}

SKT_TEST(stress, realtime_w8)
{
    meet_by_all(8);
}

/* ---- a worker that the program has made a real-time thread ---- */

static void meet_on_worker(void (*call)(void), const char *name)
{
    pthread_t ordinary;
    uint64_t random = st_seed(23), rounds = skt_scaled(1000);
    shared.call = call;
    atomic_store(&shared.x_over, false);
    SKT_EQ(pthread_create(&ordinary, NULL, call_as_ordinary, NULL), 0);
    int64_t before = rtc_thread_cpu_ms();
    for (uint64_t i = 0; i < rounds; i++) {
        SKT_EQ(skua_sleep(10000 + st_random(&random) % 100000), 0);
        call();
    }
    shared.burnt_ms = rtc_thread_cpu_ms() - before;
    atomic_store(&shared.x_over, true);
    while (pthread_tryjoin_np(ordinary, NULL) != 0)
        SKT_EQ(skua_sleep(SKUA_US(50)), 0);
    if (shared.burnt_ms >= RTC_CPU_MAX_MS)
        SKT_FAIL("%s: the worker burnt %lld ms of processor time", name,
                 (long long)shared.burnt_ms);
}

static int meet_on_one_worker(void *arg)
{
    (void)arg;
    SKT_EQ(rtc_settle(true), 0);
    make_objects();
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        if (calls[i].call != call_spawn) /* for plain threads alone */
            meet_on_worker(calls[i].call, calls[i].name);
    free_objects();
    SKT_EQ(pthread_setschedparam(pthread_self(), SCHED_OTHER, &(struct sched_param){0}), 0);
    return 0;
}

SKT_TEST(stress, realtime_worker)
{
    rtc_require();
    st_run(meet_on_one_worker, NULL, 1);
}
