/* runtime/base/env.h - the settings of a runtime: defaults, the program's skua_config, the SKUA_*
 * variables.
 * Owns:    the table of variables (env.c), which feeds the parser, SKUA_SHOW and docs/TUNING.md.
 * Threads: the thread that starts the runtime. The environment is read once, then; the result never
 * changes. */
#ifndef SK_RUNTIME_BASE_ENV_H
#define SK_RUNTIME_BASE_ENV_H

#include <skua/runtime.h>

#include <stddef.h>
#include <stdint.h>

enum sk_chaos { SK_CHAOS_MIGRATE = 1, SK_CHAOS_INLINE = 2, SK_CHAOS_NOINLINE = 4 };
enum sk_io { SK_IO_AUTO, SK_IO_URING, SK_IO_EPOLL };

/* One per row of the table, in its order. */
enum sk_env_id {
    SK_ENV_WORKERS,
    SK_ENV_STACK_SIZE,
    SK_ENV_RING_ENTRIES,
    SK_ENV_BATCH,
    SK_ENV_SLICE,
    SK_ENV_BLOCK_THREADS,
    SK_ENV_BLOCK_IDLE,
    SK_ENV_CHAOS,
    SK_ENV_LOG,
    SK_ENV_IO,
    SK_ENV_SHOW,
    SK_ENV_ROWS
};

/* Who had the last word on a setting. */
enum sk_env_origin { SK_ENV_FROM_DEFAULT, SK_ENV_FROM_PROGRAM, SK_ENV_FROM_ENV };

struct sk_settings {
    unsigned workers; /* resolved, never 0 */
    unsigned ring_entries;
    unsigned batch;
    unsigned chaos; /* of enum sk_chaos */
    unsigned log;   /* of enum sk_log_level */
    unsigned io;    /* of enum sk_io */
    unsigned show;
    size_t stack_bytes; /* promised */
    int64_t slice_ns;
    unsigned block_threads; /* resolved, never 0 */
    int64_t block_idle_ns;
    unsigned affinity_cpus;            /* what 'auto' saw; 0: SKUA_WORKERS is not auto */
    unsigned quota_cpus;               /* 0: no quota, or not auto */
    unsigned char origin[SK_ENV_ROWS]; /* of enum sk_env_origin */
};

/* 0 and *out, or -EINVAL after one line on standard error. cfg may be NULL. On success the log
 * level is in force, and each unknown SKUA_* variable has had its line. */
int sk_env_load(struct sk_settings *out, const skua_config *cfg);

/* What the environment promises a stack where no runtime has said it: the default if it says nothing.
 * 0 and *out, or -EINVAL after one line on standard error. Any thread that does not change the
 * environment meanwhile. */
int sk_env_stack_bytes(size_t *out);

/* Every setting and where it came from, a line each, to fd. */
void sk_env_show(const struct sk_settings *s, int fd);

/* The table of docs/TUNING.md as it must stand there, to fd. */
void sk_env_document(int fd);

/* CPUs that the cgroup's quota pays for, rounded up; 0: no quota. root goes in front of /proc and
 * /sys: "" but in tests. */
unsigned sk_env_quota_cpus(const char *root);

#endif
