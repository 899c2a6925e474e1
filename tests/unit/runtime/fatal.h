/* What tests share that end the process on purpose, in a child. */
#ifndef FATAL_H
#define FATAL_H

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <skua/skua.h>

#include "tests/support/skt.h"

struct fatal {
    int (*fn)(void *);
    unsigned workers;
};

static inline void run_fatal(void *arg)
{
    const struct fatal *x = arg;
    skua_config config = SKUA_CONFIG_INIT;
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    config.workers = x->workers;
    (void)skua_run(x->fn, NULL, &config);
}

/* The child dies by the signal, after a line with all of the parts. */
static inline void check_fatal(unsigned workers, int (*fn)(void *), int signo,
                               const char *const *parts)
{
    char out[4096];
    struct fatal x = {fn, workers};
    int status = skt_in_child(run_fatal, &x, out, sizeof(out));
    for (; *parts != NULL; parts++)
        SKT_STR_HAS(out, *parts);
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), signo);
}

#define CHECK_FATAL(workers, fn, signo, ...) \
    check_fatal(workers, fn, signo, (const char *const[]){__VA_ARGS__, NULL})

#endif
