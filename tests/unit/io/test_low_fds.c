/* Programs that are started without standard input, output or error: what skua opens for itself never
 * stands at 0 to 2. */
#include <skua/skua.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/support/skt.h"

enum { ROUNDS = 20, COROUTINES = 8, LOW = 3 };

struct start {
    unsigned closed; /* bit i: descriptor i */
    unsigned workers;
};

static void check_low(unsigned closed)
{
    for (int i = 0; i < LOW; i++)
        if ((closed & 1u << i) != 0)
            SKT_TRUE(fcntl(i, F_GETFD) < 0 && errno == EBADF);
}

static int talk(void *arg)
{
    int *fds = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char c = 0;
        SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), 1);
        SKT_EQ(skua_poll(fds[0], 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(fds[0], &c, 1, SKUA_NEVER), 1);
        SKT_EQ(skua_sleep(SKUA_US(100)), 0);
    }
    return 0;
}

static void *talk_in_thread(void *fds)
{
    (void)talk(fds);
    return NULL;
}

static int wake_plain(void *fds)
{
    SKT_EQ(skua_sleep(SKUA_MS(5)), 0);
    SKT_EQ(skua_write(((int *)fds)[1], "y", 1, SKUA_NEVER), 1);
    return 0;
}

static int talk_in_coroutines(void *arg)
{
    int(*fds)[2] = arg;
    skua_scope scope;
    SKT_EQ(skua_scope_open(&scope, 0, SKUA_NEVER), 0);
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(skua_spawn(&scope, talk, fds[i]), 0);
    return skua_scope_close(&scope, SKUA_NEVER);
}

/* In coroutines, in this plain thread, which also waits, and in another that comes and goes. */
static void talk_everywhere(int (*fds)[2])
{
    pthread_t thread;
    char c = 0;
    SKT_EQ(skua_call(talk_in_coroutines, fds, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, wake_plain, fds[0]), 0);
    SKT_EQ(skua_read(fds[0][0], &c, 1, SKUA_NEVER), 1);
    SKT_EQ(c, 'y');
    talk(fds[0]);
    SKT_EQ(pthread_create(&thread, NULL, talk_in_thread, fds[1]), 0);
    SKT_EQ(pthread_join(thread, NULL), 0);
}

/* What is made for the program gets the lowest number, as the kernel gives it. */
static void check_programs_own(unsigned closed)
{
    int probe = dup(LOW);
    close(probe);
    int fd = skua_listen("tcp:127.0.0.1:0", NULL);
    SKT_EQ(fd, probe);
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(skua_listen("no:address", NULL),
           -EINVAL); /* a line on standard error, if there is one */
    check_low(closed);
}

static void as_daemon(void)
{
    int null = open("/dev/null", O_RDWR);
    for (int i = 0; i < LOW; i++)
        SKT_EQ(dup2(null, i), i);
    if (null >= LOW)
        close(null);
}

static void check_null(void)
{
    struct stat st;
    for (int i = 0; i < LOW; i++) {
        SKT_EQ(fstat(i, &st), 0);
        SKT_TRUE(S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3));
    }
}

static void run(void *arg)
{
    const struct start *start = arg;
    int fds[COROUTINES][2];
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = start->workers;
    for (int i = 0; i < COROUTINES; i++)
        SKT_EQ(pipe(fds[i]), 0);
    for (int i = 0; i < LOW; i++)
        if ((start->closed & 1u << i) != 0)
            close(i);
    for (int round = 0; round < 2; round++) {
        bool is_daemon = round == 1;
        SKT_EQ(skua_start(&config), 0);
        check_low(is_daemon ? 0 : start->closed);
        talk_everywhere(fds);
        check_low(is_daemon ? 0 : start->closed);
        check_programs_own(is_daemon ? 0 : start->closed);
        as_daemon();
        talk_everywhere(fds);
        check_null();
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        check_null();
    }
}

static void run_all(unsigned workers)
{
    for (unsigned closed = 0; closed < 1u << LOW; closed++) {
        struct start start = {closed, workers};
        char text[4096];
        int status = skt_in_child(run, &start, text, sizeof(text));
        if (status != 0)
            SKT_FAIL("closed %u, %u workers: status %d: %s", closed, workers, status, text);
        if ((closed & 4) == 0)
            SKT_STR_HAS(text, "no:address");
    }
}

SKT_TEST(low_fds, one_worker)
{
    run_all(1);
}

SKT_TEST(low_fds, two_workers)
{
    run_all(2);
}

SKT_TEST(low_fds, eight_workers)
{
    run_all(8);
}
