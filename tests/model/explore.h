/* tests/model/explore.h - explores the schedules of a few model threads over skua's real files.
 *
 * What runs. The real sources are compiled with gcc's -fsanitize=thread, but linked with the
 * explorer in place of the sanitizer's library: each atomic operation of runtime/base/atomic.h
 * arrives here with its address and its memory order, each plain read and write with its address.
 * So no source is changed for a model, and no access can be forgotten. Model threads are coroutines
 * on one thread of the system; before an atomic operation the explorer may go on with another one.
 *
 * What is a failure:
 *   - model_assert, sk_assert and SK_CHECK;
 *   - a data race: two accesses to the same byte, one of them plain and one of them a write, with
 *     no happens-before edge between them. Edges are those of C11: release to acquire, release
 *     sequences by read-modify-writes, fences. So an order weakened to relaxed shows, although all
 *     threads see one memory;
 *   - an access to memory that model_gone() has declared to be gone, or to a frame of another
 *     thread's stack that its owner has left. The end of a frame is moreover a plain write, by its
 *     owner, to what other threads have touched of it: a use after return is a data race, and shows
 *     also where the access came first, by luck;
 *   - all threads wait and not all have ended: a lost wakeup; or none ever ends.
 *
 * How schedules are chosen. Every model is run with one memory that all see at once (sc) and with a
 * store buffer per thread (tso): a store that is not seq_cst may become visible as late as its
 * thread's next locked operation, and loads overtake it. Both are exhausted, but for bounds: at
 * most MODEL_PREEMPTIONS times a thread that could go on is left for another, and at most
 * MODEL_STALE times a thread reads, or an operation overtakes, what stands in another's buffer. A
 * thread is left only before operations on words that two threads use, one of them writing (these
 * are found out while exploring, which then begins again); leaving it elsewhere changes nothing
 * that can be seen: a plain access for which it would make a difference is a data race, which shows
 * in each schedule that has both accesses, whichever comes first.
 * A failure prints its schedule, step by step with the source lines, and how to run it again.
 *
 * How to write a model. One file model_X.c with one or more of these; the state is zeroed before
 * each schedule, setup runs before the threads and check after them, unobserved.
 *
 *     static struct { _Atomic(int) x_flag; int data; int seen; } m;
 *
 *     static void writer(void)
 *     {
 *         m.data = 42;
 *         sk_store_release(&m.x_flag, 1);
 *     }
 *     static void reader(void)
 *     {
 *         while (sk_load_acquire(&m.x_flag) == 0)
 *             model_spin();
 *         model_assert(m.data == 42);
 *     }
 *     MODEL(publish, .state = &m, .state_bytes = sizeof(m), .threads = {writer, reader})
 *
 * and in CMakeLists.txt: skua_model(X real/file.c ...). Everything must be repeatable: no
 * addresses from malloc, no time, no uninitialised memory. Keep it tiny: capacities of 2, at most
 * three or four threads, a hundred atomic operations in all. A loop that waits for another thread
 * calls model_spin() (sk_lock_relax does): the thread then rests until one of the last words that it
 * has read changes. Then plant faults (faults.py): a model that never failed proves nothing.
 *
 * Environment:
 *   SKUA_MODEL_MORE=n         n more preemptions than each model's own bound
 *   SKUA_MODEL_BOUND=n        this bound for all; SKUA_MODEL_STALE=n: that of stale reads
 *   SKUA_MODEL_SECONDS=n      a search that takes longer ends, and says so
 *   SKUA_MODEL_RANDOM=n       n random schedules more, without bounds; SKUA_MODEL_SEED=s: from there
 *   SKUA_MODEL_MEMORY=sc|tso  one memory only
 *   SKUA_MODEL_REPLAY=...     one schedule, printed
 *   SKUA_MODEL_BRIEF=1        of a failure only what it is
 * Arguments: names of models, or --list. */
#ifndef MODEL_EXPLORE_H
#define MODEL_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

enum { MODEL_THREADS_MAX = 8, MODEL_PREEMPTIONS = 3, MODEL_STALE = 2 };

struct model {
    const char *name;
    void *state; /* zeroed before setup */
    size_t state_bytes;
    void (*setup)(void);
    void (*threads[MODEL_THREADS_MAX])(void);
    void (*check)(void);      /* after all threads have ended */
    unsigned preemptions;     /* its bound, where MODEL_PREEMPTIONS takes too long */
    unsigned tso_preemptions; /* the same with store buffers */
    const char *file;
    struct model *next;
};

void model_register(struct model *model);

#define MODEL(name_, ...)                                                                \
    static struct model model_##name_ = {.name = #name_, .file = __FILE__, __VA_ARGS__}; \
    __attribute__((constructor)) static void model_register_##name_(void)                \
    {                                                                                    \
        model_register(&model_##name_);                                                  \
    }

/* Ends the schedule with a failure. */
noreturn void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define model_assert(cond) ((cond) ? (void)0 : model_fail("%s:%d: %s", __FILE__, __LINE__, #cond))

/* The calling model thread, from 0; -1 in setup and check. */
int model_self(void);
/* One of 0..n-1; every one is tried. */
unsigned model_choose(unsigned n);
/* One turn of a loop that waits for another thread. */
void model_spin(void);

/* Sleeps until model_unpark, which may come first. may_time_out: may also return false at any time.
 * `edge`: what the waker did before is visible after (a run queue would make it so). */
bool model_park(bool may_time_out, bool edge);
/* From a model thread. `kernel`: by a system call, so all its stores are visible before. */
void model_unpark(unsigned thread, bool kernel);
/* Sleeps, in one step with the look, unless *word differs from expected; true: woken by model_wake
 * or not slept. False: the time came. As futex(2). */
bool model_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, bool may_time_out);
void model_futex_wake(_Atomic(uint32_t) *word, int count);
/* membarrier(2): every thread passes a full barrier. */
void model_barrier_all(void);

/* From now on an access to these bytes is a failure, until model_here. */
void model_gone(const void *p, size_t bytes);
void model_here(const void *p, size_t bytes);

#endif
