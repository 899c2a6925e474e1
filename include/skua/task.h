/* skua/task.h - the running coroutine, and handles to others.
 * A coroutine's function is `int fn(void *arg)`: 0 or positive is success, negative is a failure
 * that its scope sees. It may go on in another thread after every call that can suspend: the
 * address of a thread-local variable must not live across one (use skua_local_get, or skua_pin).
 * Cancellation is level-triggered: once cancelled, every call that would wait returns -ECANCELED
 * until the coroutine ends, but inside skua_shield(1) .. skua_shield(0). Nothing is lost by it:
 * a call that has taken effect reports its effect, and one that need not wait need not look. In
 * C++, nothing may suspend in a catch block or in a destructor that runs while unwinding, and no
 * exception may leave a coroutine's function. */
#ifndef SKUA_TASK_H
#define SKUA_TASK_H

#include <skua/base.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

/* A coroutine's record: opaque, reference counted, alive as long as somebody holds a reference. */
typedef struct skua_task skua_task;

enum {
    SKUA_PENDING,  /* not started */
    SKUA_RUNNING,  /* started, waiting or not */
    SKUA_DONE,     /* ended, with whatever result */
    SKUA_CANCELLED /* was cancelled, and its function returned -ECANCELED */
};

/** The calling coroutine.
 * returns   borrowed: skua_task_ref it to keep it; NULL in a plain thread and in a skua_on_done
 *           function.
 * suspends  never.   from  anywhere. */
SKUA_API skua_task *skua_self(void);

/** Waits until a task has ended, however it ended. Works after its scope is closed too.
 * t         the caller holds a reference.
 * result    NULL, or written with what the task's function returned.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0 once it has ended; negative values are about the wait: -EDEADLK (oneself), -EAGAIN,
 *           -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_join(skua_task *t, int *result, skua_time dl);

/** Cancels a task and the scopes that it has opened, until it ends. One that has not started still
 * runs its function; its first wait returns -ECANCELED. What ends by its own skua_cancel is no
 * failure for its scope.
 * t         the caller holds a reference.
 * returns   1: it will see it; 0: it had ended.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_cancel(skua_task *t);

/** What a task is doing.
 * t         the caller holds a reference.
 * returns   SKUA_PENDING, SKUA_RUNNING, SKUA_DONE or SKUA_CANCELLED; the last two are final.
 * suspends  never.   from  anywhere. */
SKUA_API int skua_task_state(const skua_task *t);

/** Has fn(t, arg) called when a task has ended: in the caller, at once, if it has ended, else on
 * the worker that ends it, after its state is final and before a waiting join or close returns for
 * it.
 * t         the caller holds a reference.
 * fn        skua_self() is NULL in it, and a call that would wait gets -EPERM.
 * returns   0; -EINVAL (fn is NULL); -ENOMEM.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_on_done(skua_task *t, void (*fn)(skua_task *, void *), void *arg);

/** Takes one more reference.
 * returns   t.
 * suspends  never.   from  anywhere. */
SKUA_API skua_task *skua_task_ref(skua_task *t);

/** Gives a reference back; the last one frees the record once the task has ended.
 * t         NULL is ignored.
 * suspends  never.   from  anywhere, also after the runtime has stopped. */
SKUA_API void skua_task_unref(skua_task *t);

/** Goes to the back of the run queue. A plain thread calls sched_yield.
 * returns   0; -ECANCELED (it has yielded all the same).
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_yield(void);

/** Whether the caller's waits would end at once: it is cancelled, or a deadline of its scopes has
 * passed, and no shield hides that.
 * returns   1 or 0; 0 in a plain thread.
 * suspends  never.   from  anywhere. */
SKUA_API int skua_cancelled(void);

/** Hides cancellation, and the deadlines of scopes opened outside, from the caller. A flag, not a
 * count. A scope that is opened inside a shield is for its whole life, with its children, not
 * reached from outside; only skua_stop pierces it, once its dl has passed. The opener is not part of
 * it: once it has taken the shield down, its own waits are reached from outside again, before it has
 * closed that scope too.
 * on        1 or 0.
 * returns   the previous setting; -EPERM in a plain thread.
 * suspends  never.   from  coroutine only. */
SKUA_API int skua_shield(int on);

/** Keeps the caller on its worker until skua_unpin. Nestable. Does nothing in a plain thread.
 * suspends  never.   from  coroutine only. */
SKUA_API void skua_pin(void);

/** Ends the innermost skua_pin.
 * suspends  never.   from  coroutine only. */
SKUA_API void skua_unpin(void);

/** The caller's number, which no other coroutine of this process has or had.
 * returns   1 or more; 0 in a plain thread.
 * suspends  never.   from  anywhere. */
SKUA_API uint64_t skua_id(void);

/** Names the caller, for fault reports and tools.
 * name      copied, and cut where it is too long; NULL takes the name away.
 * returns   0; -EPERM in a plain thread.
 * suspends  never.   from  coroutine only. */
SKUA_API int skua_set_name(const char *name);

/* A key of coroutine-local storage, the same for all coroutines of the process. */
typedef unsigned skua_local;

/** Makes a key. Keys are never given back.
 * key       written on success.
 * destroy   NULL, or called at a coroutine's end with its value where that is not NULL: by the
 *           coroutine itself, after its function has returned; it may wait, and set values again.
 * returns   0; -EAGAIN: there is no key left; -EINVAL (key is NULL).
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API int skua_local_key(skua_local *key, void (*destroy)(void *));

/** The caller's value of a key.
 * returns   NULL where none was set, and in a plain thread.
 * suspends  never.   from  coroutine only. */
SKUA_API void *skua_local_get(skua_local key);

/** Sets the caller's value of a key; the one that it replaces is not destroyed.
 * returns   0; -EINVAL (no such key); -ENOMEM; -EPERM in a plain thread.
 * suspends  never.   from  coroutine only. */
SKUA_API int skua_local_set(skua_local key, void *value);

/** Runs fn(arg) where it may block: in a thread of a pool, while the caller waits and its worker goes
 * on with others. For calls that have no form of their own here: a library that reads a file, a
 * database's client, getaddrinfo. The pool starts threads as they are needed, at most
 * SKUA_BLOCK_THREADS; further calls wait in the order in which they came, and a thread that is idle
 * for SKUA_BLOCK_IDLE leaves. In a plain thread fn is simply called, with or without a runtime, if
 * dl allows it.
 * fn        runs in a plain thread with the program's signal mask (<skua/runtime.h>): skua_self() is
 *           NULL in it, a skua call that waits blocks that thread (and gets -ESHUTDOWN when the runtime
 *           stops), and skua_block calls its function at once. It must return, and must not wait for
 *           what the caller holds, or for a call of skua_block that has not begun: all threads of
 *           the pool may be taken.
 * arg       may point to the caller's stack.
 * dl        absolute CLOCK_MONOTONIC ns, or SKUA_NEVER: fn is not begun after it, nor once the caller
 *           is cancelled. When fn runs, only its end ends the wait, skua_stop's too, and its result
 *           is what is returned.
 * returns   what fn returned, unchanged. Without ever calling fn: -ECANCELED, -ETIMEDOUT; -EAGAIN
 *           (SKUA_NOW: always); -ENOMEM (there is no thread, and none could be started: a
 *           line on standard error says why); -EPERM (in a callback that must not wait); -EINVAL (fn
 *           is NULL, or dl).
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_block(int (*fn)(void *), void *arg, skua_time dl);

SKUA_EXTERN_C_END

#endif
