/* runtime/base/log.h - lines on standard error.
 * Owns:    the log level and the way a line leaves the process.
 * Threads: everything here: any thread, any coroutine. Not for signal handlers (vsnprintf). */
#ifndef SK_RUNTIME_BASE_LOG_H
#define SK_RUNTIME_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sk_log_level { SK_LOG_ERROR, SK_LOG_WARN, SK_LOG_INFO, SK_LOG_DEBUG };

/* Longest line with its prefix and its newline. PIPE_BUF is 4096: below it a write to a pipe is
 * whole, so that the lines of several threads and processes do not mix. What is longer ends in
 * "...". */
#define SK_LOG_LINE_BYTES 1024

/* Lines above this level are dropped. The level before the first call is SK_LOG_WARN. */
void sk_log_level_set(unsigned level);

/* One line `skua: ...\n` by one write to descriptor 2. Does not wait: where a pipe is full or a
 * terminal is stopped, the line is dropped, and the next one that goes through says how many were.
 * Allocates nothing, leaves errno alone, raises no SIGPIPE. Control characters in the text (a newline inside a value, a terminal's escape)
 * become '?': one call, one line. */
void sk_log(unsigned level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Writes all of buf to fd and waits for it, as at a start, in the program's own thread; else under
 * the same promises. */
void sk_log_write(int fd, const char *buf, size_t len);

/* The last word of a process, to descriptor 2: is tried for a second, if need be. For signal handlers
 * too. */
void sk_log_last(const char *buf, size_t len);

/* A rate limit; all zero is ready for use. */
struct sk_log_limit {
    _Atomic(int64_t) x_next_ns; /* the next line may go out from here on */
};

/* True at most once per every_ns, for one of the threads that ask. */
bool sk_log_may(struct sk_log_limit *l, int64_t now_ns, int64_t every_ns);

#endif
