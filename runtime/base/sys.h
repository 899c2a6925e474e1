/* runtime/base/sys.h - the table of system calls that the runtime makes.
 * A row is called as sk_sys.mmap(...); tests replace a row to make the world fail. The table is
 * written only while no runtime runs. What the I/O driver does with its ring has its own seam,
 * runtime/driver.h. */
#ifndef SK_RUNTIME_BASE_SYS_H
#define SK_RUNTIME_BASE_SYS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

struct sk_sys {
    void *(*mmap)(void *addr, size_t bytes, int prot, int flags, int fd, off_t offset);
    int (*munmap)(void *addr, size_t bytes);
    int (*madvise)(void *addr, size_t bytes, int advice);
    int (*mprotect)(void *addr, size_t bytes, int prot);
    int (*membarrier)(int command, unsigned flags);
    int (*eventfd)(unsigned initial, int flags);
    ssize_t (*read)(int fd, void *buf, size_t n);
    ssize_t (*write)(int fd, const void *buf, size_t n);
    int (*close)(int fd);
    int (*thread_create)(unsigned long *thread, void *(*fn)(void *), void *arg);
};

extern struct sk_sys sk_sys;

/* The kernel gives the lowest number that is free: 0 to 2, where the program was started without standard
 * input, output or error. What skua opens for itself must not stand there: the program would read and
 * write it, and a daemon's dup2(2) of /dev/null would replace it. Every descriptor of skua's own goes
 * through lift as soon as the kernel has given it (ci/floors); what the program is given does not.
 * Returns fd if that is negative, with errno as it was, or 3 or more; else a close-on-exec copy that is 3
 * or more, with fd closed, or -1 and errno. */
int sk_sys_lift(int fd);
/* pipe2(2), both ends lifted. 0, or -1 and errno. */
int sk_sys_pipe(int ends[2], int flags);
/* The beginning of a small file, as a string. Its length, or -1 and errno. */
ssize_t sk_sys_read_text(const char *path, char *text, size_t size);

/* A new thread of thread_create takes no signal that is sent to the process. One that runs functions of
 * the program has the program's mask instead (ADR 0017): what a function starts (a child by fork, vfork,
 * posix_spawn, system, popen; a thread) inherits it, and raise(3) works.
 * keep_mask: the plain thread that starts the runtime, before it creates a thread. open_mask: a thread of
 * thread_create, before it runs the first function. */
void sk_sys_keep_mask(void);
void sk_sys_open_mask(void);

/* Around what a plain thread must not be ended in (pthread_cancel): an operation on its stack that others
 * know, a count that is to go down again. What is in between is no cancellation point. */
int sk_sys_bar_cancel(void);
void sk_sys_allow_cancel(int before);

/* Sleeps while *word is expected, until woken or until deadline_ns (CLOCK_MONOTONIC; INT64_MAX for
 * ever). 0, or -ETIMEDOUT, -EAGAIN (*word was not expected), -EINTR. Any thread. */
int sk_sys_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, int64_t deadline_ns);
/* Wakes at most count sleepers. The word may be gone by then: only its address is used. */
void sk_sys_futex_wake(_Atomic(uint32_t) *word, int count);

#endif
