/* runtime/base/log.c - lines on standard error. */
#include "runtime/base/log.h"

#include "runtime/base/atomic.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic(unsigned) x_level = SK_LOG_WARN;

void sk_log_level_set(unsigned level)
{
    sk_store_relaxed(&x_level, level);
}

static void write_all(int fd, const char *buf, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, buf, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* nobody is left who could be told */
        buf += n;
        len -= (size_t)n;
    }
}

/* write(2) to a pipe whose reader has gone raises SIGPIPE in this thread, and a message must not
 * end a service. The signal is blocked around the write and, if this write raised it, taken back;
 * one that was pending before is left. */
void sk_log_write(int fd, const char *buf, size_t len)
{
    int saved = errno;
    sigset_t pipe_only, old, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigemptyset(&pending);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    bool blocked = pthread_sigmask(SIG_BLOCK, &pipe_only, &old) == 0;

    errno = 0;
    write_all(fd, buf, len);
    if (errno == EPIPE && blocked && !was_pending) {
        const struct timespec none = {0, 0};
        while (sigtimedwait(&pipe_only, NULL, &none) < 0 && errno == EINTR)
            ;
    }
    if (blocked)
        pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = saved;
}

static bool is_control(char c)
{
    return (unsigned char)c < 0x20 || c == 0x7f;
}

void sk_log(unsigned level, const char *fmt, ...)
{
    static const char prefix[] = "skua: ";
    static const char cut[] = "...";
    if (level > sk_load_relaxed(&x_level))
        return;

    int saved = errno; /* fmt may use %m, and the caller its errno */
    char line[SK_LOG_LINE_BYTES];
    size_t begin = sizeof(prefix) - 1;
    size_t room = sizeof(line) - begin - 1; /* text and its NUL; one byte is the newline's */
    memcpy(line, prefix, begin);

    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(line + begin, room, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n;
    if (len >= room) {
        len = room - 1;
        memcpy(line + begin + len - (sizeof(cut) - 1), cut, sizeof(cut) - 1);
    }
    for (size_t i = begin; i < begin + len; i++) {
        if (is_control(line[i]))
            line[i] = '?';
    }
    line[begin + len] = '\n';
    sk_log_write(STDERR_FILENO, line, begin + len + 1);
    errno = saved;
}

bool sk_log_may(struct sk_log_limit *l, int64_t now_ns, int64_t every_ns)
{
    int64_t next = sk_load_relaxed(&l->x_next_ns);
    while (now_ns >= next) {
        int64_t then = now_ns > INT64_MAX - every_ns ? INT64_MAX : now_ns + every_ns;
        if (sk_cas_relaxed(&l->x_next_ns, &next, then))
            return true;
    }
    return false; /* too early, or another thread has just taken the turn */
}
