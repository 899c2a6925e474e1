/* tests/unit/runtime/test_log.c - lines on standard error. */
#include "runtime/base/log.h"

#include "runtime/base/assert.h"

#include "tests/support/skt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Standard error on a seqpacket socket: one message per write, so a test sees how many writes there were. */
struct tap {
    int old, peer;
};

static void tap_open(struct tap *t)
{
    int pair[2];
    SKT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    t->old = dup(STDERR_FILENO);
    t->peer = pair[0];
    dup2(pair[1], STDERR_FILENO);
    close(pair[1]);
}

/* The next message as text; its length, or -1 if there is none. */
static ssize_t tap_next(struct tap *t, char *buf, size_t size)
{
    ssize_t n = recv(t->peer, buf, size - 1, MSG_DONTWAIT);
    buf[n > 0 ? n : 0] = '\0';
    return n;
}

static void tap_close(struct tap *t)
{
    dup2(t->old, STDERR_FILENO);
    close(t->old);
    close(t->peer);
    sk_log_level_set(SK_LOG_WARN);
}

/* Goal: one line, one write; lines above the level do not appear; errno survives. */
SKT_TEST(log, line_and_level)
{
    struct tap t;
    char first[256], second[256], third[256];
    tap_open(&t);
    errno = ENOTTY;
    sk_log(SK_LOG_WARN, "seven is %d", 7);
    sk_log(SK_LOG_INFO, "dropped");
    int kept = errno;
    tap_next(&t, first, sizeof(first));
    sk_log_level_set(SK_LOG_DEBUG);
    sk_log(SK_LOG_DEBUG, "debug");
    tap_next(&t, second, sizeof(second));
    sk_log_level_set(SK_LOG_ERROR);
    sk_log(SK_LOG_WARN, "dropped");
    sk_log(SK_LOG_ERROR, "error");
    tap_next(&t, third, sizeof(third));
    char none[8];
    ssize_t rest = tap_next(&t, none, sizeof(none));
    tap_close(&t);
    SKT_STR_EQ(first, "skua: seven is 7\n");
    SKT_STR_EQ(second, "skua: debug\n");
    SKT_STR_EQ(third, "skua: error\n");
    SKT_EQ(rest, -1);
    SKT_EQ(kept, ENOTTY);
}

/* Goal: %m reads the caller's errno. */
SKT_TEST(log, errno_text)
{
    struct tap t;
    char line[256];
    tap_open(&t);
    errno = ENOENT;
    sk_log(SK_LOG_WARN, "open: %m");
    tap_next(&t, line, sizeof(line));
    tap_close(&t);
    SKT_STR_EQ(line, "skua: open: No such file or directory\n");
}

/* Goal: whatever the text, it is one line: long ones are cut, control characters replaced. */
SKT_TEST(log, hostile_text)
{
    struct tap t;
    char line[2 * SK_LOG_LINE_BYTES], text[2 * SK_LOG_LINE_BYTES], fits[SK_LOG_LINE_BYTES];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(fits, text, sizeof(fits));
    fits[SK_LOG_LINE_BYTES - 6 - 2] = '\0'; /* prefix; newline and the byte of vsnprintf's NUL */
    tap_open(&t);
    sk_log(SK_LOG_WARN, "%s", text);
    ssize_t cut = tap_next(&t, line, sizeof(line));
    bool dots = cut > 4 && strcmp(line + cut - 5, "x...\n") == 0;
    sk_log(SK_LOG_WARN, "%s", fits);
    ssize_t whole = tap_next(&t, line, sizeof(line));
    bool no_dots = whole > 3 && strcmp(line + whole - 3, "xx\n") == 0;
    char odd[64];
    sk_log(SK_LOG_WARN, "a\nb\033[2Jc\x7f");
    tap_next(&t, odd, sizeof(odd));
    tap_close(&t);
    SKT_EQ(cut, SK_LOG_LINE_BYTES - 1);
    SKT_TRUE(dots);
    SKT_EQ(whole, SK_LOG_LINE_BYTES - 1);
    SKT_TRUE(no_dots);
    SKT_STR_EQ(odd, "skua: a?b?[2Jc?\n");
}

static volatile sig_atomic_t sigpipes;

static void count_sigpipe(int signo)
{
    (void)signo;
    sigpipes++;
}

/* Goal: a reader of standard error that went away costs the message, nothing else; the mask is as it was. */
SKT_TEST(log, no_sigpipe)
{
    struct sigaction count = {.sa_handler = count_sigpipe}, before;
    int ends[2], old = dup(STDERR_FILENO);
    sigpipes = 0;
    SKT_EQ(sigaction(SIGPIPE, &count, &before), 0);
    SKT_EQ(pipe(ends), 0);
    close(ends[0]);
    dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    errno = ENOTTY;
    sk_log(SK_LOG_WARN, "nobody reads this");
    int kept = errno;
    dup2(old, STDERR_FILENO);
    close(old);
    sigset_t mask, pending;
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    sigpending(&pending);
    sigaction(SIGPIPE, &before, NULL);
    SKT_EQ(sigpipes, 0);
    SKT_EQ(kept, ENOTTY);
    SKT_EQ(sigismember(&mask, SIGPIPE), 0);
    SKT_EQ(sigismember(&pending, SIGPIPE), 0);
}

/* Goal: once per period, from an all-zero start, and no overflow at the end of time. */
SKT_TEST(log, rate)
{
    struct sk_log_limit l = {0};
    SKT_TRUE(sk_log_may(&l, 1000, 100));
    SKT_FALSE(sk_log_may(&l, 1000, 100));
    SKT_FALSE(sk_log_may(&l, 1099, 100));
    SKT_TRUE(sk_log_may(&l, 1100, 100));
    SKT_FALSE(sk_log_may(&l, 1101, 100));
    SKT_TRUE(sk_log_may(&l, INT64_MAX - 1, 100));
    SKT_FALSE(sk_log_may(&l, INT64_MAX - 1, 100));
}

enum { RACERS = 4, ROUNDS = 2000 };
static struct sk_log_limit race_limit;
static pthread_barrier_t race_start;

static void *race(void *arg)
{
    long *won = arg;
    for (int64_t now = 1; now <= ROUNDS; now++) {
        pthread_barrier_wait(&race_start);
        *won += sk_log_may(&race_limit, now, 1);
    }
    return NULL;
}

/* Goal: of the threads that ask at one time exactly one may speak. */
SKT_TEST(log, rate_race)
{
    pthread_t threads[RACERS];
    long won[RACERS] = {0}, sum = 0;
    memset(&race_limit, 0, sizeof(race_limit));
    SKT_EQ(pthread_barrier_init(&race_start, NULL, RACERS), 0);
    for (int i = 0; i < RACERS; i++)
        SKT_EQ(pthread_create(&threads[i], NULL, race, &won[i]), 0);
    for (int i = 0; i < RACERS; i++) {
        pthread_join(threads[i], NULL);
        sum += won[i];
    }
    pthread_barrier_destroy(&race_start);
    SKT_EQ(sum, ROUNDS);
}

/* ---- Standard error takes nothing: a line is dropped, and counted. */

/* Standard error on fd, which is closed. */
static int redirect(int fd)
{
    int old = dup(STDERR_FILENO);
    dup2(fd, STDERR_FILENO);
    close(fd);
    return old;
}

static void restore(int old)
{
    dup2(old, STDERR_FILENO);
    close(old);
}

static size_t read_some(int fd, char *buf, size_t size)
{
    ssize_t n = read(fd, buf, size - 1);
    SKT_TRUE(n >= 0);
    buf[n] = '\0';
    return (size_t)n;
}

static void fill_pipe(int fd)
{
    static const char byte = '.';
    SKT_TRUE(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    while (write(fd, &byte, 1) == 1)
        ;
    SKT_TRUE(fcntl(fd, F_SETFL, 0) == 0);
}

SKT_TEST(log, full_pipe)
{
    int fds[2];
    static char text[1 << 17], line[256];
    SKT_EQ(pipe2(fds, O_CLOEXEC), 0);
    int old = redirect(fds[1]);
    fill_pipe(STDERR_FILENO);
    for (int i = 0; i < 3; i++)
        sk_log(SK_LOG_ERROR, "lost %d", i); /* returns */
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    for (size_t n = read_some(fds[0], text, sizeof(text)); n == sizeof(text) - 1;)
        n = read_some(fds[0], text, sizeof(text));
    sk_log(SK_LOG_ERROR, "kept");
    read_some(fds[0], line, sizeof(line));
    sk_log(SK_LOG_ERROR, "next");
    read_some(fds[0], text, sizeof(text));
    restore(old);
    close(fds[0]);
    SKT_EQ(flags & O_NONBLOCK, 0);
    SKT_STR_EQ(line,
               "skua: 3 line(s) before this one were dropped: standard error did not take them at "
               "once\nskua: kept\n");
    SKT_STR_EQ(text, "skua: next\n");
}

/* A terminal that prints nothing, and one that was stopped: neither holds the thread. */
SKT_TEST(log, stopped_terminal)
{
    static char text[1 << 17];
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        skt_skip("no pseudo-terminal");
    SKT_EQ(grantpt(master), 0);
    SKT_EQ(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    SKT_TRUE(slave >= 0);
    int old = redirect(slave);
    for (int i = 0; i < 2000; i++) /* 64 KiB is what a terminal holds */
        sk_log(SK_LOG_ERROR, "line %d ..............................................", i);
    SKT_EQ(fcntl(master, F_SETFL, O_NONBLOCK), 0);
    while (read(master, text, sizeof(text)) > 0)
        ;
    SKT_EQ(tcflow(STDERR_FILENO, TCOOFF), 0);
    sk_log(SK_LOG_ERROR, "while stopped");
    SKT_EQ(tcflow(STDERR_FILENO, TCOON), 0);
    sk_log(SK_LOG_ERROR, "kept");
    int flags = fcntl(STDERR_FILENO, F_GETFL);
    SKT_EQ(fcntl(master, F_SETFL, 0), 0);
    size_t n = 0;
    while (strstr(text, "kept") == NULL)
        n += read_some(master, text + n, sizeof(text) - n);
    restore(old);
    close(master);
    SKT_EQ(flags & O_NONBLOCK, 0);
    SKT_TRUE(strstr(text, "before this one were dropped") != NULL);
    SKT_TRUE(strstr(text, "while stopped") == NULL);
}

static void panic_in_full_pipe(void *arg)
{
    int *fds = arg;
    dup2(fds[1], STDERR_FILENO);
    fill_pipe(STDERR_FILENO);
    sk_panic("file", 7, "the end");
}

/* The last word does not keep a process. */
SKT_TEST(log, panic_in_full_pipe)
{
    int fds[2], status;
    SKT_EQ(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0)
        panic_in_full_pipe(fds);
    SKT_EQ(waitpid(child, &status, 0), child);
    SKT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    close(fds[0]);
    close(fds[1]);
}
