/* tests/unit/runtime/test_env.c - the settings: defaults, the program, the environment. */
#include "runtime/base/env.h"

#include "runtime/base/log.h"
#include "tests/support/skt.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What went to standard error, or to the descriptor that a test gave. */
static char said[8192];

static int tape_open(void)
{
    return memfd_create("tape", MFD_CLOEXEC);
}

static void tape_close(int tape)
{
    ssize_t n = pread(tape, said, sizeof(said) - 1, 0);
    said[n > 0 ? n : 0] = '\0';
    close(tape);
}

/* sk_env_load with exactly these variables, whatever the suite itself runs under. */
static int load(struct sk_settings *s, const skua_config *cfg, char *const variables[])
{
    static char *none[] = { NULL };
    char **before = environ;
    int old = dup(STDERR_FILENO), tape = tape_open();
    dup2(tape, STDERR_FILENO);
    environ = variables ? (char **)variables : none;
    int rc = sk_env_load(s, cfg);
    environ = before;
    dup2(old, STDERR_FILENO);
    close(old);
    tape_close(tape);
    sk_log_level_set(SK_LOG_WARN);
    return rc;
}

static int load_one(struct sk_settings *s, char *variable)
{
    char *variables[] = { variable, NULL };
    return load(s, NULL, variables);
}

SKT_TEST(env, defaults)
{
    struct sk_settings s;
    SKT_EQ(load(&s, NULL, NULL), 0);
    SKT_TRUE(s.workers >= 1 && s.workers <= 1024);
    SKT_TRUE(s.affinity_cpus >= s.workers);
    SKT_EQ(s.stack_bytes, 128u << 10);
    SKT_EQ(s.ring_entries, 256);
    SKT_EQ(s.batch, 64);
    SKT_EQ(s.slice_ns, 200000);
    SKT_EQ(s.block_threads, s.workers * 4);
    SKT_EQ(s.block_idle_ns, INT64_C(10000000000));
    SKT_EQ(s.chaos, 0);
    SKT_EQ(s.log, SK_LOG_WARN);
    SKT_EQ(s.io, SK_IO_AUTO);
    SKT_EQ(s.show, 0);
    for (int i = 0; i < SK_ENV_ROWS; i++)
        SKT_EQ(s.origin[i], SK_ENV_FROM_DEFAULT);
    SKT_EQ(said[0], '\0');
}

/* Goal: each variable reaches its member, at both ends of its range; empty is unset; the first of two counts. */
SKT_TEST(env, every_variable)
{
    struct sk_settings s;
    char *low[] = { "SKUA_WORKERS=1",      "SKUA_STACK_SIZE=16K",
                    "SKUA_RING_ENTRIES=4", "SKUA_BATCH=1",
                    "SKUA_SLICE=10us",     "SKUA_CHAOS=migrate,noinline",
                    "SKUA_LOG=error",      "SKUA_IO=uring",
                    "SKUA_SHOW=0",         "SKUA_BLOCK_THREADS=1",
                    "SKUA_BLOCK_IDLE=1ms", NULL };
    SKT_EQ(load(&s, NULL, low), 0);
    SKT_EQ(s.workers, 1);
    SKT_EQ(s.stack_bytes, 16384);
    SKT_EQ(s.ring_entries, 4);
    SKT_EQ(s.batch, 1);
    SKT_EQ(s.slice_ns, 10000);
    SKT_EQ(s.chaos, SK_CHAOS_MIGRATE | SK_CHAOS_NOINLINE);
    SKT_EQ(s.log, SK_LOG_ERROR);
    SKT_EQ(s.io, SK_IO_URING);
    SKT_EQ(s.show, 0);
    SKT_EQ(s.block_threads, 1);
    SKT_EQ(s.block_idle_ns, 1000000);
    for (int i = 0; i < SK_ENV_ROWS; i++)
        SKT_EQ(s.origin[i], SK_ENV_FROM_ENV);

    char *high[] = { "SKUA_WORKERS=1024",
                     "SKUA_STACK_SIZE=32M",
                     "SKUA_RING_ENTRIES=32768",
                     "SKUA_BATCH=65536",
                     "SKUA_SLICE=1s",
                     "SKUA_CHAOS=inline",
                     "SKUA_LOG=debug",
                     "SKUA_IO=epoll",
                     "SKUA_SHOW=1",
                     "SKUA_BLOCK_THREADS=4096",
                     "SKUA_BLOCK_IDLE=86400s",
                     NULL };
    SKT_EQ(load(&s, NULL, high), 0);
    SKT_EQ(s.workers, 1024);
    SKT_EQ(s.affinity_cpus, 0);
    SKT_EQ(s.stack_bytes, 32u << 20);
    SKT_EQ(s.ring_entries, 32768);
    SKT_EQ(s.batch, 65536);
    SKT_EQ(s.slice_ns, 1000000000);
    SKT_EQ(s.chaos, SK_CHAOS_INLINE);
    SKT_EQ(s.log, SK_LOG_DEBUG);
    SKT_EQ(s.io, SK_IO_EPOLL);
    SKT_EQ(s.show, 1);
    SKT_EQ(s.block_threads, 4096);
    SKT_EQ(s.block_idle_ns, INT64_C(86400000000000));

    char *odd[] = { "SKUA_BATCH=", "SKUA_LOG=info", "SKUA_LOG=debug", "SKUA_WORKERS=auto", NULL };
    SKT_EQ(load(&s, NULL, odd), 0);
    SKT_EQ(s.batch, 64);
    SKT_EQ(s.origin[SK_ENV_BATCH], SK_ENV_FROM_DEFAULT);
    SKT_EQ(s.log, SK_LOG_INFO);
    SKT_TRUE(s.workers >= 1 && s.affinity_cpus >= s.workers);
    SKT_EQ(s.origin[SK_ENV_WORKERS], SK_ENV_FROM_ENV);
}

/* Goal: a bad value fails the start with exactly one line, and the settings are untouched. */
SKT_TEST(env, refusals)
{
    static const struct {
        char *variable;
        const char *line;
    } cases[] = {
        { "SKUA_WORKERS=8x", "SKUA_WORKERS='8x': expected 'auto' or 1..1024 (junk at 'x')" },
        { "SKUA_WORKERS=0", "SKUA_WORKERS='0': expected 'auto' or 1..1024 (too small)" },
        { "SKUA_WORKERS=1025", "SKUA_WORKERS='1025': expected 'auto' or 1..1024 (too large)" },
        { "SKUA_WORKERS=-1", "SKUA_WORKERS='-1': expected 'auto' or 1..1024 (negative)" },
        { "SKUA_WORKERS= 4",
          "SKUA_WORKERS=' 4': expected 'auto' or 1..1024 (white space at ' 4')" },
        { "SKUA_WORKERS=0x4",
          "SKUA_WORKERS='0x4': expected 'auto' or 1..1024 (not a decimal number: junk at 'x4')" },
        { "SKUA_WORKERS=4294967297",
          "SKUA_WORKERS='4294967297': expected 'auto' or 1..1024 (too large)" },
        { "SKUA_WORKERS=99999999999999999999",
          "SKUA_WORKERS='99999999999999999999': expected 'auto' or 1..1024 (too large)" },
        { "SKUA_WORKERS=4\n5",
          "SKUA_WORKERS='4?5': expected 'auto' or 1..1024 (white space at '?5')" },
        { "SKUA_STACK_SIZE=8K", "SKUA_STACK_SIZE='8K': expected 16K..32M (too small)" },
        { "SKUA_STACK_SIZE=1G", "SKUA_STACK_SIZE='1G': expected 16K..32M (junk at 'G')" },
        { "SKUA_RING_ENTRIES=3", "SKUA_RING_ENTRIES='3': expected 4..32768 (too small)" },
        { "SKUA_BATCH=65537", "SKUA_BATCH='65537': expected 1..65536 (too large)" },
        { "SKUA_SLICE=200",
          "SKUA_SLICE='200': expected 10us..1s (the unit is missing: ns, us, ms or s)" },
        { "SKUA_SLICE=9999ns", "SKUA_SLICE='9999ns': expected 10us..1s (too small)" },
        { "SKUA_BLOCK_THREADS=0",
          "SKUA_BLOCK_THREADS='0': expected 'auto' or 1..4096 (too small)" },
        { "SKUA_BLOCK_THREADS=4097",
          "SKUA_BLOCK_THREADS='4097': expected 'auto' or 1..4096 (too large)" },
        { "SKUA_BLOCK_IDLE=10",
          "SKUA_BLOCK_IDLE='10': expected 1ms..86400s (the unit is missing: ns, us, ms or s)" },
        { "SKUA_BLOCK_IDLE=0s", "SKUA_BLOCK_IDLE='0s': expected 1ms..86400s (too small)" },
        { "SKUA_CHAOS=inline,noinline",
          "SKUA_CHAOS='inline,noinline': expected a comma list of migrate, inline, noinline "
          "(these words contradict each other)" },
        { "SKUA_CHAOS=migrate,inlined",
          "SKUA_CHAOS='migrate,inlined': expected a comma list of migrate, inline, noinline "
          "(unknown word at 'inlined')" },
        { "SKUA_LOG=verbose",
          "SKUA_LOG='verbose': expected one of error, warn, info, debug (unknown word at "
          "'verbose')" },
        { "SKUA_IO=kqueue",
          "SKUA_IO='kqueue': expected one of auto, uring, epoll (unknown word at 'kqueue')" },
        { "SKUA_SHOW=yes", "SKUA_SHOW='yes': expected 0 or 1 (junk at 'yes')" },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sk_settings s = { .batch = 4711 };
        char expected[512];
        snprintf(expected, sizeof(expected), "skua: %s\n", cases[i].line);
        SKT_EQ(load_one(&s, cases[i].variable), -EINVAL);
        SKT_STR_EQ(said, expected);
        SKT_EQ(s.batch, 4711);
    }
}

/* Goal: an endless value makes a line of bounded length, still one. */
SKT_TEST(env, endless_value)
{
    static char variable[100000] = "SKUA_WORKERS=";
    size_t len = strlen(variable);
    memset(variable + len, 'y', sizeof(variable) - 1 - len);
    struct sk_settings s;
    SKT_EQ(load_one(&s, variable), -EINVAL);
    SKT_TRUE(strlen(said) < 300);
    SKT_TRUE(strstr(said, "yyy...': expected 'auto' or 1..1024 (junk at 'yyy") != NULL);
    SKT_TRUE(strchr(said, '\n') == said + strlen(said) - 1);
}

/* Goal: a misspelt name is told, with the nearest one, and the start goes on; SKUA_LOG=error silences it. */
SKT_TEST(env, unknown_names)
{
    struct sk_settings s;
    char *variables[] = { "SKUA_WORKER=4", "SKUA_SLCIE=1ms", "SKUA_=", "PATH=/bin",
                          "SKUA_BATCH=5",  "SKUALOG=1",      NULL };
    SKT_EQ(load(&s, NULL, variables), 0);
    SKT_EQ(s.batch, 5);
    SKT_EQ(s.slice_ns, 200000);
    SKT_STR_EQ(said,
               "skua: SKUA_WORKER is not a variable of skua; the nearest one is SKUA_WORKERS\n"
               "skua: SKUA_SLCIE is not a variable of skua; the nearest one is SKUA_SLICE\n"
               "skua: SKUA_ is not a variable of skua; the nearest one is SKUA_IO\n");
    char *silent[] = { "SKUA_WORKER=4", "SKUA_LOG=error", NULL };
    SKT_EQ(load(&s, NULL, silent), 0);
    SKT_EQ(said[0], '\0');
    char *failing[] = { "SKUA_WORKER=4", "SKUA_LOG=loud", NULL };
    SKT_EQ(load(&s, NULL, failing), -EINVAL);
    SKT_TRUE(strstr(said, "SKUA_WORKER ") == NULL);
}

/* Goal: the program's values count, and the environment has the last word. */
SKT_TEST(env, program)
{
    struct sk_settings s;
    skua_config cfg = SKUA_CONFIG_INIT;
    cfg.workers = 3;
    cfg.stack_size = 20000;
    cfg.ring_entries = 100;
    cfg.batch = 7;
    cfg.slice_ns = 1500000;
    cfg.block_threads = 5;
    cfg.block_idle_ns = 2000000;
    SKT_EQ(load(&s, &cfg, NULL), 0);
    SKT_EQ(s.block_threads, 5);
    SKT_EQ(s.block_idle_ns, 2000000);
    SKT_EQ(s.workers, 3);
    SKT_EQ(s.stack_bytes, 20000);
    SKT_EQ(s.ring_entries, 100);
    SKT_EQ(s.batch, 7);
    SKT_EQ(s.slice_ns, 1500000);
    SKT_EQ(s.origin[SK_ENV_WORKERS], SK_ENV_FROM_PROGRAM);
    SKT_EQ(s.origin[SK_ENV_LOG], SK_ENV_FROM_DEFAULT);

    char *variables[] = { "SKUA_WORKERS=2", "SKUA_BATCH=", NULL };
    SKT_EQ(load(&s, &cfg, variables), 0);
    SKT_EQ(s.workers, 2);
    SKT_EQ(s.batch, 7);
    SKT_EQ(s.origin[SK_ENV_WORKERS], SK_ENV_FROM_ENV);
    SKT_EQ(s.origin[SK_ENV_BATCH], SK_ENV_FROM_PROGRAM);

    cfg = (skua_config)SKUA_CONFIG_INIT;
    SKT_EQ(load(&s, &cfg, NULL), 0);
    SKT_TRUE(s.workers >= 1);
    SKT_EQ(s.origin[SK_ENV_WORKERS], SK_ENV_FROM_DEFAULT);
}

static bool program_fails(const skua_config *cfg, const char *line)
{
    struct sk_settings s;
    char expected[512];
    snprintf(expected, sizeof(expected), "skua: %s\n", line);
    return load(&s, cfg, NULL) == -EINVAL && strcmp(said, expected) == 0;
}

/* Goal: a bad field of skua_config is named, with its value and what is expected. */
SKT_TEST(env, bad_program)
{
    skua_config base = SKUA_CONFIG_INIT, cfg = base;
    cfg.workers = 5000;
    SKT_TRUE(program_fails(&cfg, "skua_config.workers=5000: expected 0 (auto) or 1..1024"));
    cfg = base;
    cfg.stack_size = 4096;
    SKT_TRUE(program_fails(&cfg, "skua_config.stack_size=4096: expected 0 (128K) or 16K..32M"));
    cfg.stack_size = SIZE_MAX;
    SKT_TRUE(program_fails(
        &cfg, "skua_config.stack_size=18446744073709551615: expected 0 (128K) or 16K..32M"));
    cfg = base;
    cfg.ring_entries = 1u << 31;
    SKT_TRUE(program_fails(&cfg, "skua_config.ring_entries=2147483648: expected 0 (256) or "
                                 "4..32768"));
    cfg = base;
    cfg.batch = 65537;
    SKT_TRUE(program_fails(&cfg, "skua_config.batch=65537: expected 0 (64) or 1..65536"));
    cfg = base;
    cfg.slice_ns = -1;
    SKT_TRUE(program_fails(&cfg, "skua_config.slice_ns=-1: expected 0 (200us) or 10us..1s"));
    cfg = base;
    cfg.block_threads = 4097;
    SKT_TRUE(program_fails(&cfg, "skua_config.block_threads=4097: expected 0 (auto) or 1..4096"));
    cfg = base;
    cfg.block_idle_ns = -1;
    SKT_TRUE(program_fails(&cfg, "skua_config.block_idle_ns=-1: expected 0 (10s) or 1ms..86400s"));
    cfg = base;
    cfg.flags = 8;
    SKT_TRUE(program_fails(&cfg, "skua_config.flags=0x8: expected 0 (no flag is defined)"));
}

/* Goal: programs built against an older or a newer header are served or refused by what they use. */
SKT_TEST(env, config_size)
{
    struct sk_settings s;
    skua_config cfg = { 0 };
    SKT_EQ(load(&s, &cfg, NULL), -EINVAL);
    SKT_TRUE(strstr(said, "skua: skua_config.size=0: expected ") == said);
    cfg.size = offsetof(skua_config, slice_ns);
    SKT_EQ(load(&s, &cfg, NULL), -EINVAL);
    cfg.size = (size_t)-1;
    SKT_EQ(load(&s, &cfg, NULL), -EINVAL);

    struct {
        skua_config known;
        unsigned char tail[16];
    } newer = { .known = { .size = sizeof(newer), .batch = 9 } };
    SKT_EQ(load(&s, &newer.known, NULL), 0);
    SKT_EQ(s.batch, 9);
    newer.tail[15] = 1;
    SKT_EQ(load(&s, &newer.known, NULL), -EINVAL);
    SKT_TRUE(strstr(said, "skua: skua_config.size=") == said);
    SKT_TRUE(strchr(said, '\n') == said + strlen(said) - 1);
}

/* Goal: the threads of skua_block follow the CPUs, whatever the workers are; an older program, which
 * does not know them, gets the default. */
SKT_TEST(env, block_threads)
{
    struct sk_settings s, more;
    char *variables[] = { "SKUA_WORKERS=3", NULL };
    SKT_EQ(load(&s, NULL, NULL), 0);
    SKT_EQ(load(&more, NULL, variables), 0);
    SKT_EQ(more.workers, 3);
    SKT_EQ(more.affinity_cpus, 0);
    SKT_EQ(more.block_threads, s.block_threads);

    skua_config old = { .size = offsetof(skua_config, block_threads), .block_threads = 9 };
    SKT_EQ(load(&s, &old, NULL), 0);
    SKT_EQ(s.block_threads, more.block_threads);
    SKT_EQ(s.block_idle_ns, INT64_C(10000000000));
}

/* Goal: every setting and where it came from. */
SKT_TEST(env, show)
{
    struct sk_settings s;
    skua_config cfg = SKUA_CONFIG_INIT;
    cfg.stack_size = 256 << 10;
    char *variables[] = { "SKUA_WORKERS=2", "SKUA_CHAOS=noinline,migrate", "SKUA_SLICE=500us",
                          "SKUA_SHOW=1", "SKUA_BLOCK_THREADS=6", NULL };
    SKT_EQ(load(&s, &cfg, variables), 0);
    int tape = tape_open();
    sk_env_show(&s, tape);
    tape_close(tape);
    SKT_STR_EQ(said, "skua: SKUA_WORKERS=2 (env)\n"
                     "skua: SKUA_STACK_SIZE=256K (program)\n"
                     "skua: SKUA_RING_ENTRIES=256 (default)\n"
                     "skua: SKUA_BATCH=64 (default)\n"
                     "skua: SKUA_SLICE=500us (env)\n"
                     "skua: SKUA_BLOCK_THREADS=6 (env)\n"
                     "skua: SKUA_BLOCK_IDLE=10s (default)\n"
                     "skua: SKUA_CHAOS=migrate,noinline (env)\n"
                     "skua: SKUA_LOG=warn (default)\n"
                     "skua: SKUA_IO=auto (default)\n"
                     "skua: SKUA_SHOW=1 (env)\n");

    s.workers = 2;
    s.affinity_cpus = 4;
    s.quota_cpus = 2;
    s.origin[SK_ENV_WORKERS] = SK_ENV_FROM_DEFAULT;
    tape = tape_open();
    sk_env_show(&s, tape);
    tape_close(tape);
    SKT_TRUE(strstr(said, "skua: SKUA_WORKERS=2 (default; auto: affinity 4, cgroup quota 2)\n") ==
             said);
}

/* Goal: the page's table has a row for each variable. */
SKT_TEST(env, document)
{
    int tape = tape_open(), lines = 0;
    sk_env_document(tape);
    tape_close(tape);
    for (const char *p = said; *p; p++)
        lines += *p == '\n';
    SKT_EQ(lines, 2 + SK_ENV_ROWS);
    SKT_TRUE(strstr(said, "| `SKUA_WORKERS` | 'auto' or 1..1024 | auto | `workers` | ") != NULL);
}

/* ---- cgroups: a small world of files under a folder of its own ---- */

static char world[64];

static void world_open(void)
{
    strcpy(world, "/tmp/skua_env_XXXXXX");
    SKT_TRUE(mkdtemp(world) != NULL);
}

static void world_put(const char *path, const char *text)
{
    char full[512];
    snprintf(full, sizeof(full), "%s%s", world, path);
    for (char *p = full + strlen(world) + 1; *p; p++) {
        if (*p == '/') {
            *p = '\0';
            mkdir(full, 0700);
            *p = '/';
        }
    }
    FILE *f = fopen(full, "we");
    SKT_TRUE(f != NULL);
    SKT_TRUE(fputs(text, f) >= 0);
    fclose(f);
}

static void world_close(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -r %s", world);
    SKT_EQ(system(command), 0);
}

/* Goal: version 2: the smallest quota on the way up counts, rounded up; "max" is none. */
SKT_TEST(env, quota_v2)
{
    world_open();
    SKT_EQ(sk_env_quota_cpus(world), 0);
    world_put("/proc/self/cgroup", "0::/a/b/c\n");
    SKT_EQ(sk_env_quota_cpus(world), 0);
    world_put("/sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 0);
    world_put("/sys/fs/cgroup/a/b/c/cpu.max", "350000 100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 4);
    world_put("/sys/fs/cgroup/a/cpu.max", "100001 50000\n");
    SKT_EQ(sk_env_quota_cpus(world), 3);
    world_put("/sys/fs/cgroup/a/b/cpu.max", "1000 100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 1);
    world_close();
}

/* Goal: in a container the group's own folder is the root, whatever name the host has for it. */
SKT_TEST(env, quota_container)
{
    world_open();
    world_put("/proc/self/cgroup", "0::/\n");
    world_put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 2);
    world_put("/proc/self/cgroup", "0::/system.slice/docker-0123.scope\n");
    SKT_EQ(sk_env_quota_cpus(world), 2);
    world_put("/proc/self/cgroup", "0::/../../sibling\n");
    SKT_EQ(sk_env_quota_cpus(world), 2);
    world_close();
}

/* Goal: version 1, alone and beside version 2; -1 is none. */
SKT_TEST(env, quota_v1)
{
    world_open();
    world_put("/proc/self/cgroup",
              "12:cpuset:/\n5:cpu,cpuacct:/docker/7\n1:name=systemd:/docker/7\n0::/other\n");
    world_put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "100000\n");
    world_put("/sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
    world_put("/sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_quota_us", "-1\n");
    world_put("/sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_period_us", "100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 0);
    world_put("/sys/fs/cgroup/cpu,cpuacct/docker/7/cpu.cfs_quota_us", "250000\n");
    SKT_EQ(sk_env_quota_cpus(world), 3);
    world_put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    world_put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 2);
    world_put("/sys/fs/cgroup/unified/other/cpu.max", "50000 100000\n");
    SKT_EQ(sk_env_quota_cpus(world), 1);
    world_close();
}

/* Goal: damaged and absurd files are no quota, never a crash or a zero worker. */
SKT_TEST(env, quota_damaged)
{
    static const char *const texts[] = { "",          "\n",       "100000",   "x y",
                                         "-5 100000", "100000 0", "100000 -1" };
    world_open();
    world_put("/proc/self/cgroup", "rubbish\n:\n::\n7:cpu\n0::/a\n0::\n");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        world_put("/sys/fs/cgroup/a/cpu.max", texts[i]);
        SKT_EQ(sk_env_quota_cpus(world), 0);
    }
    world_put("/sys/fs/cgroup/a/cpu.max", "9223372036854775807 1");
    SKT_EQ(sk_env_quota_cpus(world), 1024);
    world_close();
}
