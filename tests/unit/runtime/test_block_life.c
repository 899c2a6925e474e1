/* tests/unit/runtime/test_block_life.c - skua_block: threads that cannot be started, stop, fork, and
 * functions that do not return. */
#include <skua/skua.h>

#include <limits.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/base/sys.h"
#include "tests/unit/runtime/rt_test.h"

static int give(void *arg)
{
    return (int)(intptr_t)arg;
}

static void *number(int n)
{
    return (void *)(intptr_t)n;
}

static void start(unsigned workers, unsigned threads)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    config.block_threads = threads;
    config.block_idle_ns = SKUA_S(999); /* none leaves while a test counts them */
    SKT_EQ(skua_start(&config), 0);
}

/* Blocks its thread until it is let go. */
struct gate {
    _Atomic(int) entered, open;
};

static int pass_gate(void *arg)
{
    struct gate *g = arg;
    atomic_fetch_add(&g->entered, 1);
    RT_UNTIL(atomic_load(&g->open) != 0);
    return 7;
}

static int block_in_gate(void *g)
{
    return skua_block(pass_gate, g, SKUA_NEVER);
}

/* ---- no thread is to be had ---- */

static _Atomic(bool) x_no_threads;
static int (*create_thread)(unsigned long *thread, void *(*fn)(void *), void *arg);

static int create_perhaps(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    return atomic_load(&x_no_threads) ? -EAGAIN : create_thread(thread, fn, arg);
}

/* From here on, and until the runtime has stopped, x_no_threads counts. */
static void start_without(unsigned workers, unsigned threads)
{
    create_thread = sk_sys.thread_create;
    sk_sys.thread_create = create_perhaps;
    start(workers, threads);
    atomic_store(&x_no_threads, true);
}

static void stop_without(void)
{
    atomic_store(&x_no_threads, false);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    sk_sys.thread_create = create_thread;
}

static int never_called(void *arg)
{
    (void)arg;
    SKT_FAIL("a call that was refused was made");
    return 0;
}

static int call_refused(void *arg)
{
    (void)arg;
    SKT_EQ(skua_block(never_called, NULL, SKUA_NEVER), -ENOMEM);
    return 0;
}

static void say_why(void *arg)
{
    (void)arg;
    start_without(2, 3);
    atomic_store(&x_no_threads, true);
    for (int i = 0; i < 3; i++)
        SKT_EQ(skua_call(call_refused, NULL, SKUA_NEVER), 0);
    stop_without();
}

/* Goal: one line names the limit, its value and the remedy. (Before the others: it is said once a
 * minute.) */
SKT_TEST(block, no_thread_is_said)
{
    char out[2048];
    SKT_EQ(skt_in_child(say_why, NULL, out, sizeof(out)), 0);
    SKT_STR_HAS(out, "skua: skua_block: cannot start thread 1 of SKUA_BLOCK_THREADS=3 (EAGAIN): "
                     "calls return -ENOMEM; ");
    SKT_STR_HAS(out, "raise RLIMIT_NPROC (");
    SKT_PTR_EQ(strchr(out, '\n'), out + strlen(out) - 1);
}

static int call_without_any(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(&s, call_refused, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_block(never_called, NULL, rt_past()), -ETIMEDOUT);
    atomic_store(&x_no_threads, false);
    return skua_block(give, arg, SKUA_NEVER);
}

/* Goal: without any thread every call is refused, whoever tried to start it; then all is well. */
RT_THREAD_TEST(block, no_thread)
{
    start_without(workers, 4);
    SKT_EQ(skua_call(call_without_any, number(5), SKUA_NEVER), 5);
    stop_without();
}

static int call_with_one(void *arg)
{
    struct gate g = {0};
    skua_scope s;
    skua_task *task;
    int before = skt_thread_count();
    atomic_store(&x_no_threads, false);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, block_in_gate, &g), 0);
    RT_UNTIL(atomic_load(&g.entered) == 1);
    atomic_store(&x_no_threads, true);
    SKT_EQ(skua_spawn_opts(&s, block_in_gate, &g, NULL, &task), 0);
    RT_UNTIL(rt_is_waiting(task));
    SKT_EQ(skua_block(never_called, NULL, skua_in(SKUA_MS(1))), -ETIMEDOUT);
    SKT_EQ(atomic_load(&g.entered), 1);
    atomic_store(&g.open, 1);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&g.entered), 2);
    SKT_EQ(skt_thread_count(), before + 1);
    skua_task_unref(task);
    return skua_block(give, arg, SKUA_NEVER);
}

/* Goal: with one thread, calls wait for it although no other can be started. */
RT_THREAD_TEST(block, no_other_thread)
{
    start_without(workers, 4);
    SKT_EQ(skua_call(call_with_one, number(6), SKUA_NEVER), 6);
    stop_without();
}

/* ---- stop ---- */

static int block_once(void *arg)
{
    return skua_block(give, arg, SKUA_NEVER);
}

/* Goal: no thread is left when the runtime has stopped; a thousand lives leak nothing (the harness
 * and the sanitizers look). */
RT_THREAD_TEST(block, a_thousand_lives)
{
    int before = skt_thread_count(), fds = skt_fd_count();
    int64_t begin = skt_now_ns();
    for (uint64_t i = 0; i < skt_scaled(1000) && skt_has_time(begin); i++) {
        start(workers, 2);
        SKT_EQ(skua_call(block_once, number(8), SKUA_NEVER), 8);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        SKT_THREADS(before);
    }
    SKT_EQ(skt_fd_count(), fds);
}

struct stopping {
    struct gate gate;
    _Atomic(int) rc[3];
};

static int run_through_stop(void *arg)
{
    struct stopping *x = arg;
    atomic_store(&x->rc[0], skua_block(pass_gate, &x->gate, SKUA_NEVER));
    return 0;
}

static int queue_at_stop(void *arg)
{
    struct stopping *x = arg;
    atomic_store(&x->rc[1], skua_block(never_called, NULL, SKUA_NEVER));
    return 0;
}

static int queue_shielded(void *arg)
{
    struct stopping *x = arg;
    SKT_EQ(skua_shield(1), 0);
    atomic_store(&x->rc[2], skua_block(give, number(9), SKUA_NEVER));
    return 0;
}

static void *open_later(void *arg)
{
    struct stopping *x = arg;
    RT_UNTIL(atomic_load(&x->rc[1]) != 0);
    poll(NULL, 0, 2);
    atomic_store(&x->gate.open, 1);
    return NULL;
}

/* Goal: stop withdraws what is queued, but for what a shield protects, and waits for what runs. */
RT_THREAD_TEST(block, stop_waits)
{
    struct stopping x = {.rc = {0}};
    int (*const fns[])(void *) = {run_through_stop, queue_at_stop, queue_shielded};
    start(workers, 1);
    for (int i = 0; i < 3; i++) {
        skua_task *task;
        SKT_EQ(skua_spawn_opts(SKUA_SCOPE_ROOT, fns[i], &x, NULL, &task), 0);
        RT_UNTIL(rt_is_waiting(task));
        RT_UNTIL(atomic_load(&x.gate.entered) == 1);
        skua_task_unref(task);
    }
    pthread_t thread = rt_thread(open_later, &x);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    rt_thread_join(thread);
    SKT_EQ(atomic_load(&x.rc[0]), 7);
    SKT_EQ(atomic_load(&x.rc[1]), -ECANCELED);
    SKT_EQ(atomic_load(&x.rc[2]), 9);
}

/* Goal: what runs past dl makes stop return -ETIMEDOUT; the runtime runs on, and stops later. */
RT_THREAD_TEST(block, stop_in_vain)
{
    struct stopping x = {.rc = {0}};
    start(workers, 1);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, run_through_stop, &x), 0);
    RT_UNTIL(atomic_load(&x.gate.entered) == 1);
    SKT_EQ(skua_stop(SKUA_NOW), -ETIMEDOUT);
    SKT_EQ(skua_workers(), workers);
    SKT_EQ(atomic_load(&x.rc[0]), 0);
    atomic_store(&x.gate.open, 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&x.rc[0]), 7);
    start(workers, 1);
    SKT_EQ(skua_call(block_once, number(3), SKUA_NEVER), 3);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static int wait_inside(void *arg)
{
    skua_event never = SKUA_EVENT_INIT;
    atomic_store((_Atomic(int) *)arg, 1);
    return skua_event_wait(&never, SKUA_NEVER);
}

static int block_to_wait(void *arg)
{
    SKT_EQ(skua_block(wait_inside, arg, SKUA_NEVER), -ESHUTDOWN);
    atomic_store((_Atomic(int) *)arg, 2);
    return 0;
}

/* Goal: a function that waits for what never comes, as a plain thread does, does not hold stop up. */
RT_THREAD_TEST(block, stop_ends_waits_inside)
{
    _Atomic(int) x = 0;
    start(workers, 1);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, block_to_wait, (void *)&x), 0);
    RT_UNTIL(atomic_load(&x) == 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&x), 2);
}

/* ---- fork, and functions that do not return ---- */

enum { HANG_S = 60 };

/* The child's exit code; it has HANG_S seconds. */
static int fork_and(int (*fn)(void *), void *arg)
{
    int status = -1;
    pid_t pid = fork();
    SKT_GE(pid, 0);
    if (pid == 0) {
        alarm(HANG_S);
        _exit(fn(arg));
    }
    SKT_EQ(waitpid(pid, &status, 0), pid);
    SKT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int block_in_child(void *arg)
{
    if (skua_block(give, number(44), SKUA_NEVER) != 44 || skua_start(NULL) != -EOWNERDEAD)
        return 1;
    return skua_block(give, arg, SKUA_NEVER);
}

static int fork_inside(void *arg)
{
    return fork_and(block_in_child, arg);
}

static int fork_twice(void *arg)
{
    SKT_EQ(skua_block(fork_inside, arg, SKUA_NEVER), 45);
    return fork_and(block_in_child, arg); /* a worker's thread: the child has none */
}

/* Goal: in a forked child there is no pool, and no need of one. */
RT_THREAD_TEST(block, fork)
{
    start(workers, 2);
    SKT_EQ(skua_call(fork_twice, number(45), SKUA_NEVER), 45);
    SKT_EQ(fork_and(block_in_child, number(46)), 46);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(fork_and(give, number(47)), 47);
}

static int return_in_child(void *arg)
{
    int status = -1;
    pid_t pid = fork();
    (void)arg;
    if (pid != 0) {
        SKT_EQ(waitpid(pid, &status, 0), pid);
        SKT_TRUE(WIFEXITED(status));
        return WEXITSTATUS(status);
    }
    alarm(HANG_S);
    return 0;
}

static int block_and_return(void *arg)
{
    return skua_block(return_in_child, arg, SKUA_NEVER);
}

static void return_in_forked_child(void *arg)
{
    (void)arg;
    start(2, 1);
    SKT_EQ(skua_call(block_and_return, NULL, SKUA_NEVER), 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

static int end_thread(void *arg)
{
    pthread_exit(arg);
}

static int block_to_exit(void *arg)
{
    return skua_block(end_thread, arg, SKUA_NEVER);
}

static void exit_thread(void *arg)
{
    (void)arg;
    start(2, 1);
    (void)skua_call(block_to_exit, NULL, SKUA_NEVER);
}

/* Goal: a function that never comes back is an error with a message, not a coroutine that waits for
 * ever. */
SKT_TEST(block, must_return)
{
    char out[2048];
    SKT_EQ(skt_in_child(return_in_forked_child, NULL, out, sizeof(out)), 0);
    SKT_STR_HAS(out, "returned in a forked child");
    SKT_NE(skt_in_child(exit_thread, NULL, out, sizeof(out)), 0);
    SKT_STR_HAS(out, "has ended its thread; it must return");
}
