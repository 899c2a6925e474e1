/* tests/unit/runtime/test_solo.c - the plain sections of a lonely worker, and how a plain thread ends
 * them. */
#include "runtime/solo.h"

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skua/skua.h>

#include "tests/unit/runtime/rt_test.h"

static uint64_t counted(_Atomic(uint64_t) *word)
{
    return atomic_load(word) >> 2;
}

/* By compare and swap, and a bit beside the count that goes on and off. */
static void count_up(_Atomic(uint64_t) *word)
{
    uint64_t is = atomic_load(word);
    while (!sk_solo_cas(word, &is, is + 4)) {
    }
    (void)sk_solo_or(word, 1);
    (void)sk_solo_and(word, ~UINT64_C(1));
}

static void check_results(void)
{
    _Atomic(uint64_t) word = 8;
    uint64_t expected = 4;
    SKT_FALSE(sk_solo_cas(&word, &expected, 12));
    SKT_EQ(expected, 8u);
    SKT_TRUE(sk_solo_cas(&word, &expected, 12));
    SKT_EQ(sk_solo_or(&word, 3), 12u);
    SKT_EQ(sk_solo_and(&word, 7), 15u);
    SKT_EQ(atomic_load(&word), 7u);
    struct sk_lock lock = {.x_held = 0};
    sk_solo_lock(&lock);
    SKT_EQ(atomic_load(&lock.x_held), 1u);
    sk_unlock(&lock);
}

/* Goal: they give what atomic operations give, on one worker, on several, and in a thread. */
RT_TEST(solo, results)
{
    SKT_EQ(atomic_load(&sk_solo.x_state),
           skua_workers() == 1 ? (unsigned)SK_SOLO_ALONE : (unsigned)SK_SOLO_SHARED);
    check_results();
    SKT_FALSE(atomic_load(&sk_solo.x_busy));
}

SKT_TEST(solo, results_thread)
{
    SKT_EQ(atomic_load(&sk_solo.x_state), (unsigned)SK_SOLO_SHARED);
    check_results();
}

/* ---- strangers come while the worker counts ---- */

enum { STRANGERS = 2 };

static struct {
    _Atomic(uint64_t) x_word;
    struct sk_lock lock;
    uint64_t plain; /* under lock */
    _Atomic(bool) x_over;
} shared;

static void count_both(void)
{
    count_up(&shared.x_word);
    sk_solo_lock(&shared.lock);
    shared.plain++;
    sk_unlock(&shared.lock);
}

static void *come_and_count(void *counts)
{
    uint64_t n = 0;
    for (; !atomic_load(&shared.x_over); n++) {
        count_both();
        for (uint64_t pause = n * 7 % 500; pause > 0; pause--)
            sk_arch_pause();
    }
    *(uint64_t *)counts = n;
    return NULL;
}

static uint64_t endings;

/* As if the runtime were started anew each time: in no section, and before the next one. */
static void be_alone_again(void)
{
    endings += atomic_load(&sk_solo.x_state) == SK_SOLO_SHARED;
    sk_solo_start(1);
}

static void count_between_strangers(void)
{
    pthread_t threads[STRANGERS];
    uint64_t counts[STRANGERS], own = 0, rounds = skt_scaled(2000000);
    int64_t end = skt_now_ns() + RT_PATIENCE_NS;
    for (int i = 0; i < STRANGERS; i++)
        threads[i] = rt_thread(come_and_count, &counts[i]);
    for (; own < rounds || endings == 0; own++) { /* until they have come */
        if (own % 1024 == 1023 && !skt_has_time(end - RT_PATIENCE_NS))
            rounds = own;
        if (own % 16 == 0)
            be_alone_again();
        count_both();
        if (own > rounds && skt_now_ns() > end)
            SKT_FAIL("no stranger has ended the solitude");
    }
    atomic_store(&shared.x_over, true);
    for (int i = 0; i < STRANGERS; i++) {
        rt_thread_join(threads[i]);
        own += counts[i];
    }
    SKT_EQ(counted(&shared.x_word), own);
    SKT_EQ(shared.plain, own);
}

/* Goal: not one count is lost in the moments in which the worker ceases to be alone. */
SKT_TEST(solo, strangers)
{
    rt_run(1, count_between_strangers);
}

/* ---- a fork meanwhile ---- */

enum { HANG_S = 60 };

/* By alarm(2) it ends if it waits for a worker that is not here. */
static void use_in_child(void)
{
    skua_mutex mutex = SKUA_MUTEX_INIT;
    alarm(HANG_S);
    bool done = skua_mutex_lock(&mutex, SKUA_NOW) == 0 && skua_mutex_unlock(&mutex) == 0;
    _exit(done && !atomic_load(&sk_solo.x_busy) ? 0 : 1);
}

/* As if another thread forked while the worker is in a section, and a third one inside an
 * operation. */
static void fork_in_section(void)
{
    int status = -1;
    atomic_fetch_add(&sk_solo.x_inside, 1u);
    SKT_TRUE(sk_solo_enter());
    pid_t pid = fork();
    if (pid == 0)
        use_in_child();
    sk_solo_leave();
    atomic_fetch_sub(&sk_solo.x_inside, 1u);
    SKT_GE(pid, 0);
    SKT_EQ(waitpid(pid, &status, 0), pid);
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 0);
}

/* Goal: a forked child does not wait for the sections of the parent's worker. */
SKT_TEST(solo, fork)
{
    rt_run(1, fork_in_section);
}
