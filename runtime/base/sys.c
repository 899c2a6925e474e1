#include "runtime/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "runtime/base/sanitizer.h"

static int call_membarrier(int command, unsigned flags)
{
    return (int)syscall(SYS_membarrier, command, flags, 0);
}

/* What a thread raises by its own instructions: a blocked one would kill without a word. */
static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF};

/* Of the thread that started the runtime. Written before a thread that reads it is created. */
static sigset_t program_mask;

/* The runtime's own threads take no signal sent to the process; sk_sys_open_mask is for those that run
 * the program's functions. */
static int create_thread(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int rc = pthread_create((pthread_t *)thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

void sk_sys_keep_mask(void)
{
    pthread_sigmask(SIG_SETMASK, NULL, &program_mask);
    sigdelset(&program_mask, SIGSEGV); /* of these runtime/fault.c has something to say */
    sigdelset(&program_mask, SIGBUS);
}

void sk_sys_open_mask(void)
{
    pthread_sigmask(SIG_SETMASK, &program_mask, NULL);
}

int sk_sys_bar_cancel(void)
{
    int before = PTHREAD_CANCEL_ENABLE;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    return before;
}

void sk_sys_allow_cancel(int before)
{
    (void)pthread_setcancelstate(before, NULL);
}

static __attribute__((noinline)) int lift_low(int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    int err = errno;
    close(fd);
    errno = err;
    return copy;
}

int sk_sys_lift(int fd)
{
    return fd < 0 || fd > STDERR_FILENO ? fd : lift_low(fd);
}

int sk_sys_pipe(int ends[2], int flags)
{
    if (pipe2(ends, flags) < 0)
        return -1;
    ends[0] = sk_sys_lift(ends[0]);
    ends[1] = sk_sys_lift(ends[1]);
    if (ends[0] >= 0 && ends[1] >= 0)
        return 0;
    int err = errno;
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0)
            close(ends[i]);
    errno = err;
    return -1;
}

ssize_t sk_sys_read_text(const char *path, char *text, size_t size)
{
    int fd = sk_sys_lift(open(path, O_RDONLY | O_CLOEXEC));
    if (fd < 0)
        return -1;
    ssize_t n = sk_sys.read(fd, text, size - 1);
    int err = errno;
    sk_sys.close(fd);
    errno = err;
    text[n < 0 ? 0 : n] = '\0';
    return n;
}

static int open_eventfd(unsigned initial, int flags)
{
    return sk_sys_lift(eventfd(initial, flags));
}

struct sk_sys sk_sys = {
    .mmap = mmap,
    .munmap = munmap,
    .madvise = madvise,
    .mprotect = mprotect,
    .membarrier = call_membarrier,
    .eventfd = open_eventfd,
    .read = read,
    .write = write,
    .close = close,
    .thread_create = create_thread,
};

static int futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec ts = {.tv_sec = deadline_ns / 1000000000, .tv_nsec = deadline_ns % 1000000000};
    long rc = syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected,
                      deadline_ns == INT64_MAX ? NULL : &ts, NULL, FUTEX_BITSET_MATCH_ANY);
    return rc < 0 ? -errno : 0;
}

#ifdef SK_TSAN
enum { SIGNAL_STEP_NS = 10000000 };

/* ThreadSanitizer runs a signal's handler only in a call that it intercepts, as clock_gettime: a
 * thread that sleeps for ever would never take one. */
int sk_sys_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    for (;;) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        int64_t step = now.tv_sec * 1000000000 + now.tv_nsec + SIGNAL_STEP_NS;
        if (deadline_ns <= step)
            return futex_wait(word, expected, deadline_ns);
        int rc = futex_wait(word, expected, step);
        if (rc != -ETIMEDOUT)
            return rc;
    }
}
#else
int sk_sys_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns)
{
    return futex_wait(word, expected, deadline_ns);
}
#endif

void sk_sys_futex_wake(_Atomic(uint32_t) *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0);
}
