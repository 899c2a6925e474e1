/* runtime/base/log.c - lines on standard error.
 * A line never holds the thread that writes it, which may be a worker: what standard error does not take
 * at once is dropped and counted, and the next line that goes through says how many there were. The
 * flags of the descriptor are not changed: other processes share them. So each kind has its own way: a
 * socket MSG_DONTWAIT, a pipe RWF_NOWAIT, a terminal a description of its own that is O_NONBLOCK. All
 * else (a file, /dev/null) takes a line when it is written. */
#include "runtime/base/log.h"

#include "runtime/base/atomic.h"
#include "runtime/base/sigpipe.h"
#include "runtime/base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    DROPPED_BYTES = 128, /* what is said about lines that were dropped */
    LAST_TRIES = 100,    /* a second in all */
    LAST_PAUSE_MS = 10,
};

static _Atomic(unsigned) x_level = SK_LOG_WARN;

static _Atomic(unsigned) x_dropped; /* lines since the last one that went through */
static _Atomic(bool) x_cut;         /* the last one ended without its newline */

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

/* ---- Without waiting: what write(2) returns. */

static bool has_room(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLOUT | POLLERR | POLLHUP)) != 0;
}

/* A pipe that has room at all has it for PIPE_BUF bytes. Another process may be faster: for what
 * cannot be asked in a better way. */
static ssize_t write_if_room(int fd, const char *buf, size_t len)
{
    if (has_room(fd))
        return write(fd, buf, len);
    errno = EAGAIN;
    return -1;
}

static ssize_t write_pipe(int fd, const char *buf, size_t len)
{
    const struct iovec v = {(void *)(uintptr_t)buf, len};
    ssize_t n = pwritev2(fd, &v, 1, -1, RWF_NOWAIT);
    return n < 0 && errno == EOPNOTSUPP ? write_if_room(fd, buf, len) : n;
}

/* A terminal says that it has room where it has too little for a line, and a write then waits. */
static ssize_t write_terminal(int fd, const char *buf, size_t len)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own = sk_sys_lift(open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own < 0)
        return write_if_room(fd, buf, len); /* another user's terminal, or no /proc */
    ssize_t n = write(own, buf, len);
    int err = errno;
    close(own);
    errno = err;
    return n;
}

static ssize_t write_once(int fd, const char *buf, size_t len)
{
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return -1;
    if (S_ISSOCK(st.stx_mode))
        return send(fd, buf, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (S_ISFIFO(st.stx_mode))
        return write_pipe(fd, buf, len);
    if (S_ISCHR(st.stx_mode) && isatty(fd))
        return write_terminal(fd, buf, len);
    return write(fd, buf, len);
}

/* False: it was not taken, or not wholly. What can be told to nobody counts as taken. */
static bool write_at_once(int fd, const char *buf, size_t len)
{
    ssize_t n;
    do
        n = write_once(fd, buf, len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno != EAGAIN;
    if (n > 0)
        sk_store_relaxed(&x_cut, (size_t)n < len);
    return (size_t)n == len;
}

/* A message must not end a service: SIGPIPE is held back. */
void sk_log_write(int fd, const char *buf, size_t len)
{
    int saved = errno;
    struct sk_sigpipe hold;
    sk_sigpipe_hold(&hold);
    errno = 0;
    write_all(fd, buf, len);
    sk_sigpipe_release(&hold, errno == EPIPE);
    errno = saved;
}

static bool try_write(int fd, const char *buf, size_t len)
{
    int saved = errno;
    struct sk_sigpipe hold;
    sk_sigpipe_hold(&hold);
    errno = 0;
    bool taken = write_at_once(fd, buf, len);
    sk_sigpipe_release(&hold, errno == EPIPE);
    errno = saved;
    return taken;
}

void sk_log_last(const char *buf, size_t len)
{
    for (int tries = 0; tries < LAST_TRIES && !try_write(STDERR_FILENO, buf, len); tries++)
        (void)poll(NULL, 0, LAST_PAUSE_MS);
}

/* ---- Lines. */

/* A line, after what there is to say about those before it: one write, as it must be whole in a
 * pipe. */
static void put_line(const char *line, size_t len)
{
    char both[SK_LOG_LINE_BYTES + DROPPED_BYTES];
    unsigned dropped = sk_xchg_acq_rel(&x_dropped, 0u);
    const char *begin = sk_load_relaxed(&x_cut) ? "\n" : "";
    int head = dropped == 0 ? snprintf(both, DROPPED_BYTES, "%s", begin)
                            : snprintf(both, DROPPED_BYTES,
                                       "%sskua: %u line(s) before this one were dropped: standard "
                                       "error did not take them at once\n",
                                       begin, dropped);
    memcpy(both + head, line, len);
    if (!try_write(STDERR_FILENO, both, (size_t)head + len))
        sk_add_relaxed(&x_dropped, dropped + 1);
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
    put_line(line, begin + len + 1);
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
