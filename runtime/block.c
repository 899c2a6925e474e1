/* runtime/block.c - bounded pools of threads for calls that block: those of skua_block, and the
 * runtime's own on files and closings, each with a pool of its own. (A function of skua_block may wait
 * for a coroutine that writes a file, and a close that lingers must not keep files waiting.)
 * A job lies on the stack of the coroutine that calls (a detached one, for which nobody waits, on the
 * heap), and stands in its pool's queue, first in, first
 * out, until a thread takes it. A thread is woken, or started, up to SKUA_BLOCK_THREADS (closings: more), where a job waits;
 * one at a time is on its way to the queue, and sends for the next one if there is more: so the
 * caller's worker pays for one of them, and a burst of short calls wakes few. Idle ones are called
 * newest first, so that the others get old and leave.
 *
 * Jobs with the same sk_block_turns run one after the other, in the order in which they came: one of
 * them at most is in the pool's queue or runs (`busy`), the others stand in `waiting`. The thread that
 * ends one, or the caller that withdraws it, puts the next one behind all that is in the queue. So a
 * file that hangs holds one thread of its pool, however many wait for it.
 *
 * The states of a job, all changed under the pool's lock, and who may touch it then:
 *   QUEUED   in the queue, or in its turns' `waiting`: who holds the lock
 *   RUNNING  out of it: its thread reads fn and arg; task and ticket: who holds the lock
 *   DONE     the caller alone
 *   take_locked      QUEUED -> RUNNING   a thread of the pool, which does not call fn if the wait is over
 *   withdraw         QUEUED -> gone      the caller, whose wait ended early: fn is never called
 *   finish_locked    RUNNING -> DONE     the thread, when fn has returned
 *   refuse_all       QUEUED -> DONE      who could not start the only thread
 * A wait that ends early while the job is RUNNING is followed by one that nothing ends but the
 * thread: outlast leaves its ticket in the job.
 *
 * I1: while a job is QUEUED, a thread is on its way to the queue (`arriving`), or all that are to be
 *     had are busy; and each looks at the queue before it rests or leaves. So no job is forgotten.
 * I2: in each pool x_threads <= most_threads; it counts those that are being started too.
 * I3: a thread that was called is out of `idle`: no job is given to one that leaves.
 * I4: `waiting` of a sk_block_turns is empty unless it is `busy`.
 * Order: BK1 release of the lock after DONE -> BK2 acquire of the lock by withdraw and outlast, or
 *        WT1 -> WT2 (runtime/wait.h): the result is visible. The thread's last access to the job is
 *        before BK1: it wakes by the record and the ticket, which it has read there. A ticket that is
 *        over by then is lost, and records are type-stable until the runtime stops, which waits for
 *        the pool first.
 *        BK3 release store of x_threads by the thread that leaves -> BK4 acquire load by stop: the last
 *        one that left, to be joined. */
#include "runtime/block.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <skua/runtime.h>
#include <skua/task.h>

#include "runtime/base/assert.h"
#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/list.h"
#include "runtime/base/lock.h"
#include "runtime/base/log.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/base/sys.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

#define COMPLAINT_EVERY_NS INT64_C(60000000000)

/* At least so many closings at once. A socket that lingers for a peer that is gone holds one for as long as the
 * program has asked for, and until close(2) begins the next peer is not told that the connection ends. */
enum { CLOSE_THREADS = 256 };

enum job_state { QUEUED, RUNNING, DONE };

struct job {
    struct sk_list link; /* in pool->queue or turns->waiting while QUEUED */
    int (*fn)(void *);
    void *arg;
    struct sk_block_turns *turns; /* NULL: it needs not wait for its turn */
    bool waits_turn;              /* it is in turns->waiting */
    bool called;                  /* fn was called: by its thread */
    struct skua_task *task;       /* whom to wake; NULL: detached, and the job is on the heap */
    uint64_t ticket;
    skua_time deadline; /* fn is not called after it */
    int result;         /* of fn, or why it was not called */
    int over;           /* once RUNNING: why the wait had ended by then, or 0 */
    enum job_state state;
};

/* One of the pool, on its own stack. */
struct thread {
    struct pool *pool;
    struct sk_list link;        /* in pool->idle until it is called */
    bool arrives;               /* it was called or started, and has not seen the queue */
    _Atomic(uint32_t) x_called; /* futex; written under the lock */
};

static struct pool {
    struct sk_lock lock;
    bool quit;
    bool arriving;               /* a thread has `arrives` set, or is being started */
    bool any_left;               /* `left` holds a thread */
    _Atomic(uint32_t) x_serial;  /* of the next thread's name */
    struct sk_list queue;        /* of jobs */
    struct sk_list idle;         /* of threads, newest first */
    _Atomic(uint32_t) x_threads; /* futex; written under the lock */
    pthread_t left;              /* the last one that left; it joins the one before */
} pools[SK_BLOCK_POOLS];

/* What a pool is for, in messages; and the names of its threads. */
static const struct {
    const char *what, *thread;
} words[SK_BLOCK_POOLS] = {
    [SK_BLOCK_CALLS] = {"skua_block", "block"},
    [SK_BLOCK_FILES] = {"reading, writing and closing files", "file"},
    [SK_BLOCK_CLOSES] = {"closing descriptors", "close"},
};

static struct sk_log_limit complaints;

/* Set for good: nobody but those of the pool runs what it is given. */
static __thread bool inside __attribute__((tls_model("initial-exec")));

/* The explorer's threads (tests/model/) have one thread's variables between them. */
__attribute__((no_sanitize("thread"))) static void note_inside(void)
{
    inside = true;
}

bool sk_block_is_inside(void)
{
    return inside;
}

/* ---- the queue; all under the lock ---- */

static struct job *take_locked(struct pool *pool)
{
    struct sk_list *node = sk_list_pop_front(&pool->queue);
    if (node == NULL)
        return NULL;
    struct job *job = sk_container_of(node, struct job, link);
    sk_assert(job->state == QUEUED);
    job->state = RUNNING;
    job->over = job->task == NULL ? 0 : sk_wait_over(job->task, job->ticket);
    return job;
}

/* Who waits for it, of whom the caller reads what it needs to wake it after the lock. */
struct waiting {
    struct skua_task *task;
    uint64_t ticket;
};

/* I4. The job is over, or withdrawn: the next of its turns stands behind all others. */
static void pass_turn_locked(struct pool *pool, struct sk_block_turns *turns)
{
    struct sk_list *node = sk_list_pop_front(&turns->waiting);
    sk_assert(turns->busy);
    turns->busy = node != NULL;
    if (node == NULL)
        return;
    sk_container_of(node, struct job, link)->waits_turn = false;
    sk_list_push_back(&pool->queue, node);
}

static struct waiting finish_locked(struct pool *pool, struct job *job, int result)
{
    struct waiting waiting = {job->task, job->ticket};
    sk_assert(job->state == RUNNING);
    job->result = result;
    job->state = DONE;
    if (job->turns != NULL)
        pass_turn_locked(pool, job->turns);
    return waiting;
}

/* When all is over it is as if it were called. */
static void rest_locked(struct pool *pool, struct thread *me)
{
    sk_store_relaxed(&me->x_called, pool->quit ? 1u : 0u);
    if (!pool->quit)
        sk_list_push_back(pool->idle.next, &me->link); /* before the first */
}

/* The word of the newest idle thread, to be woken after the lock; NULL: none is idle. */
static _Atomic(uint32_t) *call_locked(struct pool *pool)
{
    struct sk_list *node = sk_list_pop_front(&pool->idle);
    if (node == NULL)
        return NULL;
    struct thread *thread = sk_container_of(node, struct thread, link);
    thread->arrives = true;
    sk_store_relaxed(&thread->x_called, 1u);
    return &thread->x_called;
}

static uint32_t most_threads(const struct pool *pool)
{
    uint32_t most = sk_runtime.settings.block_threads;
    return pool == &pools[SK_BLOCK_CLOSES] && most < CLOSE_THREADS ? CLOSE_THREADS : most;
}

static uint32_t count_locked(const struct pool *pool)
{
    return sk_load_relaxed(&pool->x_threads);
}

/* Who is to come to the queue, by what the caller does after the lock. */
struct summons {
    _Atomic(uint32_t) *called; /* wakes it */
    bool start;                /* starts it: it is counted */
};

static struct summons call_idle_locked(struct pool *pool)
{
    struct summons s = {NULL, false};
    if (!pool->arriving && !sk_list_empty(&pool->queue))
        s.called = call_locked(pool);
    pool->arriving |= s.called != NULL;
    return s;
}

static struct summons summon_locked(struct pool *pool)
{
    struct summons s = call_idle_locked(pool);
    if (pool->arriving || sk_list_empty(&pool->queue) || count_locked(pool) == most_threads(pool))
        return s;
    sk_store_relaxed(&pool->x_threads, count_locked(pool) + 1);
    sk_assert(count_locked(pool) <= most_threads(pool)); /* I2 */
    s.start = pool->arriving = true;
    return s;
}

static void start_thread(struct pool *pool);

static void send(struct pool *pool, struct summons s)
{
    if (s.called != NULL)
        sk_sys_futex_wake(s.called, 1);
    else if (s.start)
        start_thread(pool);
}

/* ---- a thread of the pool ---- */

static void name_thread(struct pool *pool)
{
    char name[16];
    unsigned serial = sk_add_relaxed(&pool->x_serial, 1u);
    snprintf(name, sizeof(name), "skua-%s-%u", words[pool - pools].thread, serial % 10000);
    pthread_setname_np(pthread_self(), name);
}

static void panic_at_exit(void *arg)
{
    struct job *job = arg;
    sk_log(SK_LOG_ERROR,
           "skua_block: the function at %p has ended its thread; it must return: a coroutine "
           "waits for it",
           (void *)(uintptr_t)job->fn);
    sk_panic(__FILE__, __LINE__, "a function of skua_block ended its thread");
}

/* Only the parent has a runtime to go back to. */
static void end_forked_child(void)
{
    sk_log(SK_LOG_ERROR, "skua_block: the function has returned in a forked child, where nobody "
                         "waits for it; call _exit or exec there");
    _exit(1);
}

static bool has_passed(skua_time deadline)
{
    return deadline != SKUA_NEVER && deadline <= sk_clock_now();
}

static int run(struct job *job)
{
    volatile int result; /* pthread_cleanup_push may be a setjmp */
    /* The caller's worker is busy, or it would have withdrawn it. */
    if (job->over < 0)
        return job->over;
    if (has_passed(job->deadline))
        return -ETIMEDOUT;
    job->called = true;
    sk_san_acquire(job);
    pthread_cleanup_push(panic_at_exit, job);
    result = job->fn(job->arg);
    pthread_cleanup_pop(0);
    sk_san_release(job);
    if (sk_unlikely(sk_load_relaxed(&sk_runtime.x_state) == SK_RUNTIME_DEAD))
        end_forked_child();
    return result;
}

/* Gives back a job that was run, or NULL, and takes the next one. NULL: there is none, and me is
 * idle. It is so before the caller of the last one is woken, who perhaps comes with another. */
static struct job *turn(struct thread *me, struct job *done, int result)
{
    struct pool *pool = me->pool;
    struct waiting waiting = {NULL, 0};
    sk_lock(&pool->lock);
    if (me->arrives)
        me->arrives = pool->arriving = false;
    if (done != NULL)
        waiting = finish_locked(pool, done, result);
    struct job *next = take_locked(pool);
    if (next == NULL)
        rest_locked(pool, me);
    struct summons summons = summon_locked(pool);
    sk_unlock(&pool->lock); /* BK1 */
    if (waiting.task != NULL)
        (void)sk_wait_wake(waiting.task, waiting.ticket, SK_WAIT_WOKEN);
    else if (done != NULL)
        sk_mem_free(done);
    send(pool, summons);
    return next;
}

/* Each joins the one that left before it, so that only the last is ever left to join. */
static void unlock_and_leave(struct pool *pool)
{
    uint32_t threads = count_locked(pool) - 1;
    bool any_left = pool->any_left;
    pthread_t left = pool->left;
    pool->any_left = true;
    pool->left = pthread_self();
    sk_store_release(&pool->x_threads, threads); /* BK3 */
    sk_unlock(&pool->lock);
    if (threads == 0)
        sk_sys_futex_wake(&pool->x_threads, 1);
    if (any_left)
        pthread_join(left, NULL);
}

static void sleep_until_called(struct thread *me)
{
    skua_time until = skua_in(sk_runtime.settings.block_idle_ns);
    while (sk_load_relaxed(&me->x_called) == 0) /* what it tells of is seen under the lock */
        if (sk_sys_futex_wait(&me->x_called, 0, until) == -ETIMEDOUT)
            return;
}

/* There was no job. False: the thread is out of the pool, and holds the lock. */
static bool stay(struct thread *me)
{
    struct pool *pool = me->pool;
    sleep_until_called(me);
    sk_lock(&pool->lock);
    bool called = sk_load_relaxed(&me->x_called) != 0;
    if (called && !pool->quit) {
        sk_unlock(&pool->lock);
        return true;
    }
    if (!called)
        sk_list_remove(&me->link);
    return false;
}

static void *run_thread(void *arg)
{
    struct thread me = {.pool = arg, .arrives = true};
    struct job *job = NULL;
    int result = 0;
    name_thread(me.pool);
    note_inside();
    if (me.pool == &pools[SK_BLOCK_CALLS])
        sk_sys_open_mask(); /* it runs functions of the program */
    do {
        while ((job = turn(&me, job, result)) != NULL)
            result = run(job);
    } while (stay(&me));
    unlock_and_leave(me.pool);
    return NULL;
}

/* ---- starting threads ---- */

static void complain(const struct pool *pool, int rc, uint32_t threads)
{
    struct rlimit most = {0, 0};
    char limit[24] = "unlimited";
    if (!sk_log_may(&complaints, sk_clock_now(), COMPLAINT_EVERY_NS))
        return;
    if (getrlimit(RLIMIT_NPROC, &most) == 0 && most.rlim_cur != RLIM_INFINITY)
        snprintf(limit, sizeof(limit), "%llu", (unsigned long long)most.rlim_cur);
    sk_log(threads == 0 ? SK_LOG_ERROR : SK_LOG_WARN,
           "%s: cannot start thread %u of SKUA_BLOCK_THREADS=%u (%s): %s; raise "
           "RLIMIT_NPROC (%s; ulimit -u, LimitNPROC=), the cgroup's pids.max or its memory, or "
           "lower SKUA_BLOCK_THREADS",
           words[pool - pools].what, threads + 1, sk_runtime.settings.block_threads,
           strerrorname_np(-rc),
           threads > 0                      ? "calls wait for those that run"
           : pool == &pools[SK_BLOCK_CALLS] ? "calls return -ENOMEM"
                                            : "a worker does it, and waits",
           limit);
}

/* There is no thread and none is to be had: nobody would ever take what is queued. Of what is
 * detached nobody would hear: it is done here. */
static void refuse_all(struct pool *pool)
{
    struct job *job;
    sk_lock(&pool->lock);
    while (count_locked(pool) == 0 && (job = take_locked(pool)) != NULL) {
        struct waiting waiting = finish_locked(pool, job, -ENOMEM);
        sk_unlock(&pool->lock); /* BK1 */
        if (waiting.task != NULL) {
            (void)sk_wait_wake(waiting.task, waiting.ticket, SK_WAIT_WOKEN);
        } else {
            (void)job->fn(job->arg);
            sk_mem_free(job);
        }
        sk_lock(&pool->lock);
    }
    sk_unlock(&pool->lock);
}

/* The caller has counted it. */
static void start_thread(struct pool *pool)
{
    unsigned long thread;
    int rc = sk_sys.thread_create(&thread, run_thread, pool);
    if (sk_likely(rc == 0))
        return;
    sk_lock(&pool->lock);
    uint32_t left = count_locked(pool) - 1;
    sk_store_relaxed(&pool->x_threads, left);
    pool->arriving = false;
    struct summons another = call_idle_locked(pool); /* who has become idle meanwhile */
    sk_unlock(&pool->lock);
    complain(pool, rc, left);
    send(pool, another);
    if (left == 0)
        refuse_all(pool);
}

/* ---- the caller ---- */

/* All threads that may be are busy, or have a job to take when they arrive. */
static bool must_queue_locked(const struct pool *pool)
{
    return sk_list_empty(&pool->idle) && count_locked(pool) == most_threads(pool) &&
           !(pool->arriving && sk_list_empty(&pool->queue));
}

/* True: another of its turns is under way, and sends for it. */
static bool wait_turn_locked(struct job *job)
{
    struct sk_block_turns *turns = job->turns;
    if (turns == NULL)
        return false;
    if (turns->waiting.next == NULL)
        sk_list_init(&turns->waiting); /* it was all zero */
    job->waits_turn = turns->busy;
    turns->busy = true;
    if (job->waits_turn)
        sk_list_push_back(&turns->waiting, &job->link);
    return job->waits_turn;
}

static void submit(struct pool *pool, struct sk_worker *w, struct job *job)
{
    struct summons summons = {NULL, false};
    bool counts = pool == &pools[SK_BLOCK_CALLS];
    if (counts)
        sk_count(w->x_blocks);
    sk_lock(&pool->lock);
    if (!wait_turn_locked(job)) {
        if (counts && must_queue_locked(pool))
            sk_count(w->x_block_waits);
        sk_list_push_back(&pool->queue, &job->link);
        summons = summon_locked(pool);
    }
    sk_unlock(&pool->lock);
    send(pool, summons);
}

/* The wait has ended early. True: the job had not begun, and is the caller's again. */
static bool withdraw(struct pool *pool, struct job *job)
{
    struct summons summons = {NULL, false};
    sk_lock(&pool->lock); /* BK2 */
    bool queued = job->state == QUEUED;
    if (queued) {
        sk_list_remove(&job->link);
        if (job->turns != NULL && !job->waits_turn) {
            pass_turn_locked(pool, job->turns);
            summons = summon_locked(pool);
        }
    }
    sk_unlock(&pool->lock);
    send(pool, summons);
    return queued;
}

/* It has begun: nothing but its end ends this wait. */
static void outlast(struct pool *pool, struct job *job)
{
    struct sk_wait wait;
    SK_CHECK(sk_wait_begin(&wait, SKUA_NEVER, SK_WAIT_NOCANCEL) == 0);
    sk_lock(&pool->lock); /* BK2 */
    bool runs = job->state == RUNNING;
    job->task = wait.task;
    job->ticket = wait.ticket;
    sk_unlock(&pool->lock);
    if (runs)
        (void)sk_wait_park(&wait);
    else
        (void)sk_wait_abandon(&wait);
}

int sk_block_wait(struct sk_wait *wait, const struct sk_block_call *call, bool *called)
{
    struct pool *pool = &pools[call->pool];
    struct job job = {.fn = call->fn,
                      .arg = call->arg,
                      .turns = call->turns,
                      .task = wait->task,
                      .ticket = wait->ticket,
                      .deadline = wait->deadline};
    sk_san_release(&job);
    submit(pool, sk_current_worker(), &job);
    int rc = sk_wait_park(wait);
    *called = false;
    if (rc < 0) {
        if (withdraw(pool, &job))
            return rc;
        outlast(pool, &job);
    }
    sk_san_acquire(&job);
    *called = job.called;
    return job.result;
}

int sk_block_run(enum sk_block_pool which, int (*fn)(void *), void *arg)
{
    struct sk_block_call call = {.pool = which, .fn = fn, .arg = arg};
    struct sk_wait wait;
    bool called = false;
    int rc = 0;
    if (sk_current_task() != NULL && sk_wait_begin(&wait, SKUA_NEVER, SK_WAIT_NOCANCEL) == 0)
        rc = sk_block_wait(&wait, &call, &called);
    return called ? rc : fn(arg);
}

bool sk_block_detach(enum sk_block_pool which, int (*fn)(void *), void *arg)
{
    struct job *job = sk_mem_zalloc(sizeof(*job));
    if (job == NULL)
        return false;
    job->fn = fn;
    job->arg = arg;
    job->deadline = SKUA_NEVER;
    sk_san_release(job);
    submit(&pools[which], sk_current_worker(), job);
    return true;
}

static int block_coroutine(int (*fn)(void *), void *arg, skua_time dl)
{
    struct sk_block_call call = {.pool = SK_BLOCK_CALLS, .fn = fn, .arg = arg};
    struct sk_wait wait;
    bool called;
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return rc;
    if (has_passed(wait.deadline) && sk_wait_abandon(&wait))
        return -ETIMEDOUT;
    return sk_block_wait(&wait, &call, &called);
}

/* A plain thread is one that may block: no other is needed, nor a runtime. */
static int block_thread(int (*fn)(void *), void *arg, skua_time dl)
{
    if (dl == SKUA_NOW)
        return -EAGAIN;
    if (sk_wait_is_forbidden())
        return -EPERM;
    return has_passed(dl) ? -ETIMEDOUT : fn(arg);
}

int skua_block(int (*fn)(void *), void *arg, skua_time dl)
{
    if (fn == NULL || sk_clock_check_deadline(dl) < 0)
        return -EINVAL;
    sk_sched_spend();
    return sk_current_worker() != NULL ? block_coroutine(fn, arg, dl) : block_thread(fn, arg, dl);
}

/* ---- with the runtime ---- */

void sk_block_start(void)
{
    memset(pools, 0, sizeof(pools));
    for (unsigned i = 0; i < SK_BLOCK_POOLS; i++) {
        sk_list_init(&pools[i].queue);
        sk_list_init(&pools[i].idle);
    }
}

static bool call_one(struct pool *pool)
{
    sk_lock(&pool->lock);
    _Atomic(uint32_t) *called = call_locked(pool);
    sk_unlock(&pool->lock);
    if (called != NULL)
        sk_sys_futex_wake(called, 1);
    return called != NULL;
}

static void stop_pool(struct pool *pool)
{
    uint32_t threads;
    sk_lock(&pool->lock);
    SK_CHECK(pool != &pools[SK_BLOCK_CALLS] || sk_list_empty(&pool->queue)); /* others: detached */
    pool->quit = true;
    sk_unlock(&pool->lock);
    while (call_one(pool))
        ;
    while ((threads = sk_load_acquire(&pool->x_threads)) != 0) /* BK4 */
        (void)sk_sys_futex_wait(&pool->x_threads, threads, SKUA_NEVER);
    if (pool->any_left)
        pthread_join(pool->left, NULL);
    pool->any_left = false;
}

void sk_block_stop(void)
{
    for (unsigned i = 0; i < SK_BLOCK_POOLS; i++)
        stop_pool(&pools[i]);
}
