/* What the stress tests and those of tests/bugs/ share: running a body, pairs of descriptors, random
 * numbers, watching over what must happen, and what a run leaves behind. */
#ifndef STRESS_H
#define STRESS_H

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <skua/skua.h>

#include "io/fd.h"
#include "runtime/runtime.h"
#include "tests/support/skt.h"

enum {
    ST_PATIENCE_S = 40, /* how long what must happen may take, on the slowest machine */
};

/* ---- Random numbers: xorshift, each user with a state of its own. */

static inline uint32_t st_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

static inline uint64_t st_seed(uint64_t n)
{
    return (n + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

/* ---- What must happen, does. */

static inline skua_time st_patience(void)
{
    return skua_in(SKUA_S(ST_PATIENCE_S));
}

enum { ST_SPINS = 2000 }; /* some tens of microseconds: what comes soon is seen at once */

/* A hog waits: holds its worker, and lets no coroutine run there, until *x >= want. */
static inline void st_hog_until(_Atomic(uint32_t) *x, uint32_t want, const char *what)
{
    for (unsigned i = 0; i < ST_SPINS && atomic_load(x) < want; i++)
        __builtin_ia32_pause();
    for (skua_time end = st_patience(); atomic_load(x) < want;) {
        usleep(20); /* the kernel has others to run */
        if (skua_now() > end)
            SKT_FAIL("%s: still %u, not %u, after %d s", what, atomic_load(x), want, ST_PATIENCE_S);
    }
}

/* ---- Descriptors. */

static inline void st_pair(int fds[2])
{
    SKT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static inline void st_address(int listener, struct sockaddr_storage *sa, socklen_t *len)
{
    *len = sizeof(*sa);
    SKT_EQ(getsockname(listener, (struct sockaddr *)sa, len), 0);
}

/* An IPv4 connection over loopback. */
static inline void st_tcp_pair(int fds[2])
{
    struct sockaddr_storage sa;
    socklen_t len;
    int listener = skua_listen("tcp:127.0.0.1:0", NULL);
    SKT_GE(listener, 0);
    st_address(listener, &sa, &len);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SKT_EQ(connect(fds[0], (struct sockaddr *)&sa, len), 0);
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    SKT_GE(fds[1], 0);
    close(listener);
}

static inline void st_close(int fds[2])
{
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
}

/* ---- Memory. */

/* A line of /proc/self/status, in KiB. */
static inline long st_status_kib(const char *name)
{
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "re");
    SKT_NOT_NULL(file);
    while (kib < 0 && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            kib = strtol(line + strlen(name) + 1, NULL, 10);
    fclose(file);
    return kib;
}

static inline int st_mapping_count(void)
{
    int c, n = 0;
    FILE *file = fopen("/proc/self/maps", "re");
    SKT_NOT_NULL(file);
    while ((c = getc(file)) != EOF)
        n += c == '\n';
    fclose(file);
    return n;
}

/* ---- Running. */

struct st_call {
    int (*body)(void *);
    void *arg;
};

/* Operations that some descriptor still lists. */
static inline int st_ops_in_flight(void)
{
    int n = 0;
    for (int fd = 0; fd < SK_FD_CHUNK; fd++) {
        struct sk_fd *entry = sk_fd_find(fd);
        n += entry != NULL && entry->ops != NULL;
    }
    return n;
}

/* Nothing is left at its end but itself: no other task in the root scope, no operation, no
 * descriptor. The harness looks for descriptors and threads after the runtime has stopped. */
static inline int st_main(void *arg)
{
    const struct st_call *call = arg;
    int fds = skt_fd_count();
    int rc = call->body(call->arg);
    SKT_EQ(skt_fd_count(), fds);
    SKT_EQ(st_ops_in_flight(), 0);
    uint64_t live = sk_load_acquire(&sk_runtime.root.x_word) - SK_SCOPE_BIAS;
    for (skua_time end = st_patience(); live > 1 && skua_now() < end;) {
        skua_sleep(SKUA_MS(1)); /* a task that has told of its end may still have a step to go */
        live = sk_load_acquire(&sk_runtime.root.x_word) - SK_SCOPE_BIAS;
    }
    SKT_EQ(live, 1u);
    SKT_EQ(sk_load_relaxed(&sk_runtime.starved.x_count), 0u);
    return rc;
}

/* Runs body(arg) as the first coroutine of a runtime with so many workers; ring_entries 0: default.
 * After it the runtime's mappings are gone: stacks would show as 16 MiB for every 64. */
static inline void st_run_ring(int (*body)(void *), void *arg, unsigned workers, unsigned entries)
{
    struct st_call call = {body, arg};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    config.ring_entries = entries;
    SKT_EQ(skua_run(st_main, &call, &config), 0);
    SKT_EQ(skua_workers(), 0u);
}

static inline void st_run(int (*body)(void *), void *arg, unsigned workers)
{
    st_run_ring(body, arg, workers, 0);
}

/* The sum of one counter over all workers. */
#define ST_STATS(field)                                             \
    __extension__({                                                 \
        uint64_t st_sum_ = 0;                                       \
        for (unsigned st_w_ = 0; st_w_ < skua_workers(); st_w_++) { \
            skua_stats_view st_v_ = SKUA_STATS_VIEW_INIT;           \
            SKT_EQ(skua_stats(&st_v_, st_w_), 0);                   \
            st_sum_ += st_v_.field;                                 \
        }                                                           \
        st_sum_;                                                    \
    })

#endif
