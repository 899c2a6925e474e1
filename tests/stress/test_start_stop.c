/* Starting and stopping many times: nothing may stay behind, however little it is. */
#include <grp.h>

#include "tests/stress/stress.h"

/* Where jemalloc is used it keeps freed pages for ten seconds, and a leak would hide among them. */
extern const char *malloc_conf;
const char *malloc_conf = "dirty_decay_ms:0,muzzy_decay_ms:0";

/* What an allocator keeps all the same. */
enum { SLACK_KIB = 4 << 10, SLACK_MAPPINGS = 24 };

struct left {
    int fds, threads, mappings;
    long rss_kib;
};

static struct left look(void)
{
    return (struct left){
        .fds = skt_fd_count(),
        .threads = skt_thread_count(),
        .mappings = st_mapping_count(),
        .rss_kib = st_status_kib("VmRSS:"),
    };
}

/* A thread that was joined is seen in /proc, and a ring that was closed holds its pages, for a while. */
static void expect_nothing_left(const struct left *before)
{
    struct left now = look();
    for (int ms = 0; ms < 5000; ms++, usleep(1000), now = look())
        if (now.fds <= before->fds && now.threads <= before->threads)
            break;
    SKT_LE(now.fds, before->fds);
    SKT_LE(now.threads, before->threads);
    if (skt_sanitized())
        return; /* what was freed stays in quarantine */
    SKT_LE(now.mappings, before->mappings + SLACK_MAPPINGS);
    SKT_LE(now.rss_kib, before->rss_kib + SLACK_KIB);
}

static int yield_once(void *arg)
{
    (void)arg;
    skua_yield();
    return 0;
}

static int use_a_little(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 4; i++)
        SKT_EQ(skua_spawn(&s, yield_once, arg), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static void cycle(uint64_t n)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 1;
    config.ring_entries = 256;
    for (uint64_t i = 0; i < n; i++) {
        if (i % 8 == 0) {
            SKT_EQ(skua_run(use_a_little, NULL, &config), 0);
            continue;
        }
        SKT_EQ(skua_start(&config), 0);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
    }
}

static void cycle_and_look(uint64_t n)
{
    cycle(200);
    struct left before = look();
    cycle(n);
    expect_nothing_left(&before);
}

static void cycle_as_nobody(void *arg)
{
    (void)arg;
    SKT_EQ(setgroups(0, NULL), 0);
    SKT_EQ(setgid(65534), 0);
    SKT_EQ(setuid(65534), 0);
    cycle_and_look(skt_scaled(10000));
}

/* Goal: the same without privileges, where the memory of rings is charged to a limit, and comes back
 * late: a start waits for it rather than fail. Before the other test: root's rings, which are exempt, leave
 * the kernel a long queue of them to take down. */
SKT_TEST(stress, start_stop_without_privileges)
{
    char text[4096];
    if (geteuid() != 0)
        SKT_SKIP("this user is without privileges already");
    int status = skt_in_child(cycle_as_nobody, NULL, text, sizeof(text));
    SKT_STR_EQ(text, "");
    SKT_EQ(status, 0);
}

/* Goal: 100,000 cycles of a one-worker runtime leave no descriptor, thread, mapping or memory.
 * tokio#7910, which counted a shutdown twice, would end in a hang or a crash. */
SKT_TEST(stress, start_stop_leaves_nothing)
{
    cycle_and_look(skt_scaled(100000));
}
