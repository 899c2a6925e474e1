/* skua/fiber.h - fibers: functions that hand control to each other by name, as greenlets do.
 * A fiber has a stack of its own and runs on its caller's worker; the scheduler knows nothing of it.
 * It belongs to the coroutine (or plain thread) that made it, and is that coroutine in every visible
 * way: skua_self, name, locals, cancellation, deadlines, pins and shields are the coroutine's, and
 * if one of its fibers waits, the coroutine waits. So only that coroutine may switch to it or free
 * it; another that tries, or a function called back by skua_on_done or a timer, ends the process
 * with a message. A coroutine that ends, and a plain thread that ends, frees its fibers.
 * Fibers need no runtime: a plain program may use them in any of its threads. Only then a stack
 * overflow, though it hits a guard, ends the process without skua's report; so does one in a plain
 * thread beside a runtime.
 * Scopes belong to the coroutine too, but a fiber must close what it has opened: one that switches
 * away, or whose function returns, with a scope open that was opened in its body ends the process
 * with a message. The coroutine's own function may have scopes open while it switches.
 * A fiber's function must return: where it ends its thread (pthread_exit), the process ends with a
 * message.
 * In C++, no switch inside a catch block or a destructor that runs while unwinding, and no
 * exception may leave a fiber's function. */
#ifndef SKUA_FIBER_H
#define SKUA_FIBER_H

#include <skua/base.h>

SKUA_EXTERN_C_BEGIN

typedef struct skua_fiber skua_fiber;

/** Makes a fiber. Its parent is the fiber that makes it. Nothing runs yet.
 * f          written on success.
 * fn         called by the first switch, with that switch's value, or with arg if that is NULL. When
 *            it returns, the parent goes on: its skua_fiber_switch returns fn's result.
 * stack_size bytes promised; 0, or less than the default: the default (SKUA_STACK_SIZE).
 * returns    0; -EINVAL (f or fn is NULL, stack_size is beyond 32 MiB, SKUA_STACK_SIZE says
 *            nonsense); -ENOMEM: no memory, or no stack; -EPERM in a function called back by
 *            skua_on_done or a timer.
 * suspends   never.   from  coroutine or plain thread, also without a runtime. */
SKUA_API int skua_fiber_new(skua_fiber **f, void *(*fn)(void *), void *arg, size_t stack_size);

/** Goes on in another fiber of the same coroutine (or thread), until somebody switches back.
 * to         one that has ended: its nearest parent that has not. The caller itself: returns value
 *            at once.
 * value      what the skua_fiber_switch that `to` stands in returns; the first time, see
 *            skua_fiber_new.
 * returns    what is switched back, or the result of a fiber whose parent the caller is.
 * suspends   if what runs meanwhile does.   from  coroutine or plain thread. */
SKUA_API void *skua_fiber_switch(skua_fiber *to, void *value);

/** The running fiber.
 * returns    outside any, the coroutine's (or thread's) own, which is never freed and has no parent;
 *            NULL in a function called back by skua_on_done or a timer, and where there is no
 *            memory for the first one.
 * suspends   never.   from  anywhere. */
SKUA_API skua_fiber *skua_fiber_self(void);

/** The fiber that goes on when the running one's function returns: the one that made it or, if that
 * has ended or was freed, the nearest of its parents that has not.
 * returns    NULL outside any fiber, and where skua_fiber_self is NULL.
 * suspends   never.   from  anywhere. */
SKUA_API skua_fiber *skua_fiber_parent(void);

/** Frees a fiber. One that is suspended gives its stack back without unwinding: what it holds is
 * lost, and a generator in whose body it stands has ended with -ECANCELED. Fibers that it made pass
 * to its parent. Freeing the running fiber, or a coroutine's own, ends the process with a message.
 * f          NULL is ignored.
 * suspends   never.   from  the coroutine or thread that made it. */
SKUA_API void skua_fiber_free(skua_fiber *f);

SKUA_EXTERN_C_END

#endif
