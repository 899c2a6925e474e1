/* skua/future.h - a value that is to come: set once, by anybody, and waited for by many. */
#ifndef SKUA_FUTURE_H
#define SKUA_FUTURE_H

#include <skua/base.h>
#include <skua/task.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

/* Reference counted. The reference that a call is given must last until the call returns; for
 * set, fail and cancel it may be given back by one of their skua_future_on_done functions, or by
 * who is woken. */
typedef struct skua_future skua_future;

/** Makes a future without a value, and with one reference.
 * f         written on success.
 * size      bytes of the value, 0 .. 65536.
 * returns   0; -EINVAL (f is NULL, size is too large); -ENOMEM.
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API int skua_future_new(skua_future **f, size_t size);

/** Takes one more reference.
 * returns   f.
 * suspends  never.   from  anywhere. */
SKUA_API skua_future *skua_future_ref(skua_future *f);

/** Gives a reference back. The last one frees the future; skua_future_on_done functions of one that
 * was never settled are not called.
 * f         NULL is ignored.
 * suspends  never.   from  anywhere, also after the runtime has stopped. */
SKUA_API void skua_future_unref(skua_future *f);

/** Gives a future its value: it is SKUA_DONE. The first of set, fail and cancel counts.
 * value     `size` bytes, copied; NULL: zeroes.
 * returns   0; -EINVAL: another was first, and nothing has changed.
 * suspends  never.   from  coroutine or plain thread; a timer's or skua_on_done function too. */
SKUA_API int skua_future_set(skua_future *f, const void *value);

/** Has a future fail: it is SKUA_DONE, and skua_future_get returns err.
 * err       negative.
 * returns   0; -EINVAL: err is not negative, or another was first; nothing has changed.
 * suspends  never.   from  coroutine or plain thread; a timer's or skua_on_done function too. */
SKUA_API int skua_future_fail(skua_future *f, int err);

/** Cancels a future: it is SKUA_CANCELLED, and skua_future_get returns -ECANCELED. Nobody who works
 * at its value is told but by skua_future_state and skua_future_on_done.
 * returns   0; -EINVAL: another was first, and nothing has changed.
 * suspends  never.   from  coroutine or plain thread; a timer's or skua_on_done function too. */
SKUA_API int skua_future_cancel(skua_future *f);

/** Waits until a future is settled, and copies its value.
 * value     `size` bytes, written on success only; NULL: the value is left where it is.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: it has a value; the error with which it failed; -ECANCELED if it was cancelled. About
 *           the wait, while it is not settled: -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN.
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_future_get(skua_future *f, void *value, skua_time dl);

/** What has become of a future.
 * returns   SKUA_PENDING; SKUA_DONE (it has a value, or has failed) or SKUA_CANCELLED, which are
 *           final.
 * suspends  never.   from  anywhere. */
SKUA_API int skua_future_state(const skua_future *f);

/** Has fn(f, arg) called when a future is settled: in the caller, at once, if it is, else in who
 * settles it, in the order in which they were set, after its state is final and before a waiting
 * skua_future_get, skua_gather or skua_wait_any returns for it (a get that comes when the state is
 * final has not waited, and may return before). One that settles another future runs
 * that one's functions inside itself, on the same stack.
 * fn        skua_self() is NULL in it, and a call that would wait gets -EPERM; it may settle other
 *           futures, set more functions, and give references back.
 * returns   0; -EINVAL (fn is NULL); -ENOMEM.
 * suspends  never.   from  coroutine or plain thread. */
SKUA_API int skua_future_on_done(skua_future *f, void (*fn)(skua_future *, void *), void *arg);

/** Waits until all futures have values, or one has failed or was cancelled.
 * v         n futures; one may stand there several times.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: all have values (also if n is 0); the error of the one that failed first, -ECANCELED
 *           for a cancelled one. About the wait: -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN,
 *           -ENOMEM (more than 16 futures).
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_gather(skua_future *const *v, size_t n, skua_time dl);

/** Waits until one of several futures is settled, in whatever way.
 * v         n futures, at most INT_MAX; one may stand there several times.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   the lowest index of those that are settled. About the wait: -EINVAL (n is 0 or too
 *           large), -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN, -ENOMEM (more than 16 futures).
 * suspends  may.   from  coroutine or plain thread. */
SKUA_API int skua_wait_any(skua_future *const *v, size_t n, skua_time dl);

SKUA_EXTERN_C_END

#endif
