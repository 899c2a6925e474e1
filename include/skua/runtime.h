/* skua/runtime.h - starting, entering and stopping the runtime, one in a process at most. */
#ifndef SKUA_RUNTIME_H
#define SKUA_RUNTIME_H

#include <limits.h> /* UINT_MAX, for skua_worker */

#include <skua/base.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

/* Zero means the default in every field. The environment (SKUA_WORKERS, SKUA_STACK_SIZE ...)
 * overrides the program. */
typedef struct skua_config {
    size_t size;            /* sizeof(skua_config), set by SKUA_CONFIG_INIT */
    unsigned workers;       /* threads, 1..1024; default min(affinity, cgroup quota) */
    size_t stack_size;      /* bytes promised to a coroutine, 16 KiB..32 MiB; default 128 KiB */
    unsigned flags;         /* none is defined: 0 */
    unsigned ring_entries;  /* submission entries of a worker's ring, 4..32768; default 256 */
    unsigned batch;         /* dispatches between two looks at I/O, 1..65536; default 64 */
    int64_t slice_ns;       /* time between two looks at I/O, 10 us..1 s; default 200 us */
    unsigned block_threads; /* most threads of skua_block, 1..4096; default 4 for each CPU */
    int64_t block_idle_ns;  /* an idle one of them leaves after it, 1 ms..1 day; default 10 s */
} skua_config;

#ifdef __cplusplus
#define SKUA_CONFIG_INIT { sizeof(skua_config), 0, 0, 0, 0, 0, 0, 0, 0 }
#else
#define SKUA_CONFIG_INIT { .size = sizeof(skua_config) }
#endif

/* Descriptors. What skua opens for itself is close-on-exec and never at 0 to 2, also where the program
 * runs without standard input, output or error: a daemon may put something there at any time. What skua
 * makes for the program (skua_listen, skua_dial, skua_accept) has the lowest number that is free. */

/* Signals. A coroutine's thread, and one of skua_block, has the signal mask of the thread that called skua_run
 * or skua_start, as any thread that a program creates.
 * - raise(3), pthread_kill(pthread_self(), ...), alarm(2), kill(2) do in a coroutine what they do anywhere. A
 *   mask that a coroutine changes is its worker's: change it back before the next wait.
 * - A handler runs in the main thread as a rule, but may run in any that does not block its signal, hence on
 *   a coroutine's stack: it must call async-signal-safe functions only, no function of skua is one, and
 *   with SA_ONSTACK it has a stack of 64 KiB there. Without it, one that finds no room on a
 *   coroutine's stack ends the process with the report of a stack overflow. Programs that want to wait for a signal
 *   (sigwait, signalfd) block it before they start the runtime.
 * - What a coroutine starts (fork, vfork, posix_spawn, system, popen, pthread_create) inherits the mask and
 *   the timer slack that the program's own threads would hand on. In a forked child the runtime is dead
 *   (-EOWNERDEAD). system, pclose and waitpid hold their worker: call them by skua_block.
 * - SIGPIPE and SIGXFSZ: no write of skua's raises them where their action is the default; -EPIPE and -EFBIG
 *   say all. Their action is replaced while the runtime runs, if it is the default, by one that has this
 *   effect and ends the process for any other cause. A write(2) of the program's own does what it does
 *   anywhere. (Before Linux 6.1 the two have no effect in a coroutine.) A program's own handler is called for
 *   skua's writes as well, unless the kernel writes by a thread of its own. */

/** Starts the runtime, runs fn(arg) as the first coroutine, and stops it when fn has returned: the
 * root scope is cancelled and waited for. Meanwhile SIGINT and SIGTERM, where their action is the
 * default one, cancel the root scope; the second of them ends the process.
 * fn        0 or positive is success, negative a failure.
 * cfg       NULL for all defaults.
 * returns   fn's result; before fn was called: -EINVAL (cfg or the environment; a line on standard
 *           error says what), -EALREADY (a runtime runs), -ENOTSUP (no io_uring; a line says why
 *           and what helps), -ENOMEM (memory, or a limit, as of threads; a line says which), -EPERM
 *           (in a callback that must not wait), or what the kernel gave.
 * blocks    the calling thread, which does not become a worker.   from  plain thread. */
SKUA_API int skua_run(int (*fn)(void *), void *arg, const skua_config *cfg);

/** Starts the workers and returns: for a program that has a main loop of its own. Takes neither SIGINT
 * nor SIGTERM.
 * cfg       NULL for all defaults.
 * returns   0; -EALREADY (a runtime runs); otherwise as skua_run.
 * suspends  never; it blocks the thread for as long as starting takes.   from  plain thread. */
SKUA_API int skua_start(const skua_config *cfg);

/** Runs fn(arg) in a coroutine and waits for it.
 * fn        as in skua_run.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER; after it the coroutine is
 *           cancelled, and waited for all the same.
 * returns   fn's result; without having called fn: -ESHUTDOWN (no runtime, or it is stopping),
 *           -ECANCELED (the root scope is cancelled), -EPERM (in a coroutine, or a callback that must
 *           not wait), -ENOMEM, -EINVAL.
 * blocks    the calling thread.   from  plain thread. */
SKUA_API int skua_call(int (*fn)(void *), void *arg, skua_time dl);

/** Cancels the root scope, waits until no coroutine is left, ends the workers, and reports on
 * standard error what leaked.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER; after it cancellation reaches into
 *           shields too, and what that ends is waited for, a second at most.
 * returns   0; -ETIMEDOUT: coroutines are left, and the runtime runs on; -EDEADLK in a coroutine,
 *           and in a function that skua_block runs for one; -EPERM in a callback that must not
 *           wait; -EINVAL (dl); -ESHUTDOWN without a runtime; -EOWNERDEAD in a forked child.
 * blocks    the calling thread.   from  plain thread. */
SKUA_API int skua_stop(skua_time dl);

/** The number of workers.
 * returns   0 without a runtime.
 * suspends  never.   from  anywhere. */
SKUA_API unsigned skua_workers(void);

/** The worker that runs the caller. Unless the caller is pinned it may be another one after the
 * next call that can suspend.
 * returns   0 .. skua_workers() - 1; UINT_MAX in a plain thread.
 * suspends  never.   from  anywhere. */
SKUA_API unsigned skua_worker(void);

/** A short text for a result of this library.
 * err       the negative errno, or the positive one.
 * returns   a static string, never NULL.
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API const char *skua_strerror(int err);

/** The version of the library that is linked.
 * returns   a static string, "MAJOR.MINOR.PATCH".
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API const char *skua_version(void);

SKUA_EXTERN_C_END

#endif
