/* bench/system/echo_check.h - what echo messages are made of, and whether they came back.
 *
 * Threads: none of its own; the pattern is shared and never changes.
 *
 * A connection's messages are one endless stream of noise that repeats after LOAD_ECHO_PERIOD bytes,
 * a prime: so a byte that is lost, doubled, moved or another connection's shows, whatever the length
 * of a message. Each connection begins at another place. */
#ifndef BENCH_SYSTEM_ECHO_CHECK_H
#define BENCH_SYSTEM_ECHO_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    LOAD_ECHO_PERIOD = 65521,
    /* Sent and not yet come back: what sockets hold, or both sides would wait for the other's read. */
    LOAD_ECHO_WINDOW = 32 << 10
};

/* The pattern, of LOAD_ECHO_PERIOD + LOAD_ECHO_WINDOW bytes, so that a piece never wraps; the caller
 * frees it. NULL without memory. */
char *load_echo_pattern(void);

/* Where connection `index` begins. */
static inline uint64_t load_echo_start(unsigned index)
{
    return (uint64_t)index * 7919;
}

/* The stream from position pos on, LOAD_ECHO_WINDOW bytes of it. */
static inline const char *load_echo_at(const char *pattern, uint64_t pos)
{
    return pattern + pos % LOAD_ECHO_PERIOD;
}

#endif
