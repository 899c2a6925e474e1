/* What a coroutine starts, and what it raises: children and threads inherit what the program's own threads
 * would hand on; signals that a thread sends itself arrive; no write of skua's ends the process. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "runtime/signals.h"
#include "tests/stress/stress.h"

enum { TEXT_BYTES = 256 };
static const unsigned counts[] = {1, 2, 8};

static skua_config config_of(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    return config;
}

/* ---- five ways to start a shell's command, each with the pid where there is one ---- */

extern char **environ;

static void exec_shell(const char *command)
{
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status = -1;
    SKT_GT(pid, 0);
    SKT_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static int by_fork(const char *command)
{
    pid_t pid = fork();
    if (pid == 0)
        exec_shell(command);
    return wait_for(pid);
}

static int by_vfork(const char *command)
{
    pid_t pid = vfork();
    if (pid == 0)
        exec_shell(command);
    return wait_for(pid);
}

static int by_spawn(const char *command)
{
    pid_t pid = 0;
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)(uintptr_t)command, NULL};
    SKT_EQ(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
    return wait_for(pid);
}

static int by_system(const char *command)
{
    return system(command);
}

static int by_popen(const char *command)
{
    FILE *pipe = popen(command, "r");
    SKT_NOT_NULL(pipe);
    return pclose(pipe);
}

static int (*const ways[])(const char *) = {by_fork, by_vfork, by_spawn, by_system, by_popen};
enum { WAYS = sizeof(ways) / sizeof(ways[0]) };

/* ---- what a child inherits ---- */

struct report {
    char path[32], text[TEXT_BYTES];
};

static void make_file(char path[32])
{
    strcpy(path, "/tmp/skua-children-XXXXXX");
    int fd = mkstemp(path);
    SKT_GE(fd, 0);
    close(fd);
}

static size_t read_file(const char *path, char *text)
{
    FILE *file = fopen(path, "r");
    SKT_NOT_NULL(file);
    size_t n = fread(text, 1, TEXT_BYTES - 1, file);
    text[n] = '\0';
    fclose(file);
    return n;
}

static void look_by(int (*way)(const char *), struct report *report)
{
    char command[TEXT_BYTES];
    snprintf(command, sizeof(command),
             "{ cat /proc/self/timerslack_ns; grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status; } >%s",
             report->path);
    SKT_EQ(way(command), 0);
    SKT_GT(read_file(report->path, report->text), 0);
}

struct looks {
    struct report expected[WAYS], seen;
};

static int look_in_turn(void *arg)
{
    struct looks *looks = arg;
    for (size_t i = 0; i < WAYS; i++) {
        look_by(ways[i], &looks->seen);
        SKT_STR_EQ(looks->seen.text, looks->expected[i].text);
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    }
    return 0;
}

static int look_in_both(void *arg)
{
    SKT_EQ(look_in_turn(arg), 0);
    return skua_block(look_in_turn, arg, SKUA_NEVER);
}

static void compare(void)
{
    struct looks looks;
    make_file(looks.seen.path);
    for (size_t i = 0; i < WAYS; i++) {
        strcpy(looks.expected[i].path, looks.seen.path);
        look_by(ways[i], &looks.expected[i]);
    }
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        skua_config config = config_of(counts[i]);
        SKT_EQ(skua_run(look_in_both, &looks, &config), 0);
    }
    unlink(looks.seen.path);
}

/* Goal: a child of a coroutine, and of a function of skua_block, is like one of the main thread, however it
 * was started: blocked and ignored signals, and the timer slack. Also where the program blocks one itself. */
SKT_TEST(children, inherit_what_the_program_has)
{
    sigset_t usr2, before;
    compare();
    sigemptyset(&usr2);
    sigaddset(&usr2, SIGUSR2);
    SKT_EQ(pthread_sigmask(SIG_BLOCK, &usr2, &before), 0);
    compare();
    SKT_EQ(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
}

/* ---- kill ends a child ---- */

struct sleeper {
    char path[32];
    int (*way)(const char *);
    int status;
};

static int start_sleeper(void *arg)
{
    struct sleeper *s = arg;
    char command[TEXT_BYTES];
    snprintf(command, sizeof(command), "echo $$ >%s; exec sleep 1000", s->path);
    s->status = s->way(command);
    return 0;
}

static pid_t read_pid(const char *path)
{
    char text[TEXT_BYTES] = "";
    for (int64_t end = st_patience(); strchr(text, '\n') == NULL; usleep(1000)) {
        SKT_LT(skua_now(), end);
        read_file(path, text);
    }
    return (pid_t)atoi(text);
}

static void *kill_sleeper(void *arg)
{
    struct sleeper *s = arg;
    SKT_EQ(kill(read_pid(s->path), SIGTERM), 0);
    return NULL;
}

/* Goal: SIGTERM ends it; popen's and system's too, which hold their worker meanwhile. */
SKT_TEST(children, kill_ends_them)
{
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        for (size_t k = 0; k < WAYS; k++) {
            struct sleeper s = {.way = ways[k]};
            skua_config config = config_of(counts[i]);
            pthread_t killer;
            make_file(s.path);
            SKT_EQ(pthread_create(&killer, NULL, kill_sleeper, &s), 0);
            SKT_EQ(skua_run(start_sleeper, &s, &config), 0);
            pthread_join(killer, NULL);
            unlink(s.path);
            SKT_TRUE(WIFSIGNALED(s.status));
            SKT_EQ(WTERMSIG(s.status), SIGTERM);
        }
    }
}

/* ---- threads, and the sleep itself ---- */

static void *look_in_thread(void *arg)
{
    sigset_t mask;
    SKT_EQ(pthread_sigmask(SIG_SETMASK, NULL, &mask), 0);
    for (int signo = 1; signo < SIGRTMAX; signo++)
        SKT_NE(sigismember(&mask, signo), 1);
    *(int *)arg = prctl(PR_GET_TIMERSLACK);
    return NULL;
}

static int start_thread(void *arg)
{
    pthread_t thread;
    SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(pthread_create(&thread, NULL, look_in_thread, arg), 0);
    pthread_join(thread, NULL);
    return prctl(PR_GET_TIMERSLACK);
}

/* Goal: a thread that a coroutine starts is like one of the main thread. */
SKT_TEST(children, threads_too)
{
    int slack = 0, usual = prctl(PR_GET_TIMERSLACK);
    SKT_EQ(skua_run(start_thread, &slack, NULL), usual);
    SKT_EQ(slack, usual);
}

static int sleep_and_tell(void *arg)
{
    _Atomic(pid_t) *x_thread = arg;
    atomic_store(x_thread, gettid());
    while (skua_sleep(SKUA_MS(5)) == 0)
        ;
    return 0;
}

/* Goal: a worker sleeps with a slack of 1 ns all the same, if not for long. */
SKT_TEST(children, sleeps_are_precise)
{
    _Atomic(pid_t) x_thread = 0;
    char path[64], text[TEXT_BYTES] = "";
    skua_config config = config_of(1);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, sleep_and_tell, &x_thread), 0);
    while (atomic_load(&x_thread) == 0)
        usleep(1000);
    snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", (int)atomic_load(&x_thread));
    FILE *file = fopen(path, "r");
    bool may_look = file != NULL && fread(text, 1, 1, file) == 1;
    if (file != NULL)
        fclose(file);
    for (int64_t end = st_patience(); may_look && strcmp(text, "1\n") != 0; usleep(100)) {
        SKT_LT(skua_now(), end);
        read_file(path, text);
    }
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    if (!may_look)
        SKT_SKIP("only CAP_SYS_NICE sees another thread's timer slack");
}

/* ---- raise ---- */

static volatile sig_atomic_t seen_signal;
static volatile sig_atomic_t seen_count;

static void note(int signo)
{
    seen_signal = signo;
    seen_count++;
}

static int raise_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        seen_signal = 0;
        SKT_EQ(raise(SIGUSR1), 0);
        SKT_EQ(seen_signal, SIGUSR1);
        SKT_EQ(pthread_kill(pthread_self(), SIGUSR2), 0);
        SKT_EQ(seen_signal, SIGUSR2);
        SKT_EQ(skua_yield(), 0);
    }
    return 0;
}

static int raise_in_both(void *arg)
{
    SKT_EQ(raise_all(arg), 0);
    return skua_block(raise_all, arg, SKUA_NEVER);
}

/* Goal: the program's handler has run when raise returns. */
SKT_TEST(raise, calls_the_handler)
{
    signal(SIGUSR1, note);
    signal(SIGUSR2, note);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        skua_config config = config_of(counts[i]);
        SKT_EQ(skua_run(raise_in_both, NULL, &config), 0);
    }
    signal(SIGUSR1, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

static int raise_one(void *arg)
{
    raise(*(int *)arg);
    _exit(77);
}

static void raise_in_coroutine(void *arg)
{
    SKT_EQ(skua_start(NULL), 0);
    (void)skua_call(raise_one, arg, SKUA_NEVER);
}

/* Goal: the default action is taken. */
SKT_TEST(raise, default_action)
{
    static int signos[] = {SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGALRM, SIGPIPE, SIGXFSZ};
    for (size_t i = 0; i < sizeof(signos) / sizeof(signos[0]); i++) {
        char out[512];
        int status = skt_in_child(raise_in_coroutine, &signos[i], out, sizeof(out));
        SKT_TRUE(WIFSIGNALED(status));
        SKT_EQ(WTERMSIG(status), signos[i]);
    }
}

static int raise_interrupt(void *arg)
{
    (void)arg;
    SKT_EQ(raise(SIGINT), 0);
    return skua_sleep(SKUA_S(1000));
}

/* Goal: skua_run's own handler is called in a worker too. */
SKT_TEST(raise, cancels_skua_run)
{
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        skua_config config = config_of(counts[i]);
        SKT_EQ(skua_run(raise_interrupt, NULL, &config), -ECANCELED);
    }
}

/* ---- SIGPIPE and SIGXFSZ ---- */

static int broken[2]; /* a pipe, then a socket, whose reader is gone */

static void break_both(void)
{
    int fds[2];
    SKT_EQ(pipe(fds), 0);
    close(fds[0]);
    broken[0] = fds[1];
    SKT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[0]);
    broken[1] = fds[1];
}

static void close_both(void)
{
    close(broken[0]);
    close(broken[1]);
}

static int write_broken(void *arg)
{
    struct iovec v = {(void *)"x", 1};
    (void)arg;
    for (int i = 0; i < 2; i++) {
        SKT_EQ(skua_write(broken[i], "x", 1, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_write(broken[i], "x", 1, SKUA_NOW), -EPIPE);
        SKT_EQ(skua_writev(broken[i], &v, 1, skua_in(SKUA_S(100))), -EPIPE);
        SKT_EQ(skua_yield(), 0);
    }
    return 0;
}

static int fill(int fd)
{
    static char block[4096];
    while (skua_write(fd, block, sizeof(block), SKUA_NOW) > 0)
        ;
    return 0;
}

static int break_later(void *arg)
{
    SKT_EQ(skua_sleep(SKUA_MS(20)), 0);
    return skua_close(*(int *)arg);
}

/* The pipe breaks while the write waits. */
static int write_then_broken(void *arg)
{
    int fds[2];
    (void)arg;
    SKT_EQ(pipe(fds), 0);
    SKT_EQ(fill(fds[1]), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, break_later, &fds[0]), 0);
    SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), -EPIPE);
    return skua_close(fds[1]);
}

static int write_limited(void *arg)
{
    char path[32];
    (void)arg;
    make_file(path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct rlimit limit, small;
    SKT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = (struct rlimit){4096, limit.rlim_max};
    SKT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    SKT_EQ(skua_pwrite(fd, "x", 1, 8192, SKUA_NEVER), -EFBIG);
    SKT_EQ(lseek(fd, 8192, SEEK_SET), 8192);
    SKT_EQ(skua_write(fd, "x", 1, SKUA_NEVER), -EFBIG);
    SKT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unlink(path);
    return skua_close(fd);
}

static int write_all_ways(void *arg)
{
    SKT_EQ(write_broken(arg), 0);
    SKT_EQ(write_then_broken(arg), 0);
    return write_limited(arg);
}

static bool is_default(int signo)
{
    struct sigaction now;
    SKT_EQ(sigaction(signo, NULL, &now), 0);
    return now.sa_handler == SIG_DFL;
}

/* Goal: skua's writes say -EPIPE and -EFBIG, in coroutines and plain threads; the actions are the program's
 * again afterwards. */
SKT_TEST(write_signals, only_an_errno)
{
    break_both();
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        skua_config config = config_of(counts[i]);
        SKT_EQ(skua_start(&config), 0);
        SKT_EQ(skua_call(write_all_ways, NULL, SKUA_NEVER), 0);
        SKT_EQ(write_broken(NULL), 0);
        SKT_EQ(write_limited(NULL), 0);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        SKT_TRUE(is_default(SIGPIPE) && is_default(SIGXFSZ));
    }
    close_both();
}

static int write_myself(void *arg)
{
    (void)arg;
    SKT_EQ(write_broken(NULL), 0);
    ssize_t n = write(broken[0], "x", 1);
    _exit(n < 0 && errno == EPIPE ? 76 : 77);
}

static void write_in_coroutine(void *arg)
{
    signal(SIGPIPE, (void (*)(int))arg);
    break_both();
    (void)skua_run(write_myself, NULL, NULL);
}

/* Goal: the program's own write(2) in a coroutine is as in any thread. */
SKT_TEST(write_signals, own_write)
{
    char out[512];
    int status = skt_in_child(write_in_coroutine, (void *)SIG_DFL, out, sizeof(out));
    SKT_TRUE(WIFSIGNALED(status));
    SKT_EQ(WTERMSIG(status), SIGPIPE);
    status = skt_in_child(write_in_coroutine, (void *)SIG_IGN, out, sizeof(out));
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 76);
}

static int write_any_time(void *arg)
{
    (void)arg;
    SKT_EQ(write_broken(NULL), 0);
    errno = 0;
    SKT_EQ(write(broken[0], "x", 1), -1);
    SKT_EQ(errno, EPIPE);
    return 0;
}

static void write_on_an_old_kernel(void *arg)
{
    (void)arg;
    break_both();
    sk_signals_write_any_time();
    SKT_EQ(skua_run(write_any_time, NULL, NULL), 0);
}

/* Goal: before Linux 6.1 the kernel writes for a worker at other times too: its SIGPIPE has no effect. */
SKT_TEST(write_signals, any_time)
{
    char out[512];
    int status = skt_in_child(write_on_an_old_kernel, NULL, out, sizeof(out));
    SKT_TRUE(WIFEXITED(status));
    SKT_EQ(WEXITSTATUS(status), 0);
}

static int write_myself_handled(void *arg)
{
    (void)arg;
    seen_signal = 0;
    SKT_EQ(write(broken[0], "x", 1), -1);
    SKT_EQ(seen_signal, SIGPIPE);
    return write_broken(NULL);
}

/* Goal: a handler of the program's is called for its own writes. */
SKT_TEST(write_signals, own_handler)
{
    break_both();
    signal(SIGPIPE, note);
    SKT_EQ(skua_run(write_myself_handled, NULL, NULL), 0);
    signal(SIGPIPE, SIG_DFL);
    close_both();
}
