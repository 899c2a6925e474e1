/* What concerns the whole process: limits, signals, fork.
 * Real cases: joyent/libuv#690, #1189, #1008, bun#32705, liburing#477 (accepting without descriptors);
 * libuv's MSG_NOSIGNAL, EINTR and short writes; liburing#612, #731, #65, jay#444 (fork). */
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/stress/stress.h"

static skua_config config_of(unsigned workers)
{
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = workers;
    return config;
}

/* ---- joyent/libuv#690, bun#32705: no descriptor is left to accept with. */

enum { CALLERS = 60, SPARE_FDS = 16 };

static int hold(int fd, void *arg)
{
    char c;
    atomic_fetch_add((_Atomic(uint32_t) *)arg, 1);
    SKT_EQ(skua_write(fd, "!", 1, SKUA_NEVER), 1);
    SKT_EQ(skua_read(fd, &c, 1, SKUA_NEVER), 0);
    return 0;
}

struct serving {
    int listener;
    _Atomic(uint32_t) x_served;
};

static int serve(void *arg)
{
    struct serving *serving = arg;
    int rc =
        skua_serve(SKUA_SCOPE_ROOT, serving->listener, hold, &serving->x_served, NULL, SKUA_NEVER);
    SKT_EQ(rc, -ECANCELED);
    return 0;
}

/* Another process: this one's limit is not its. Connects, says so, and hangs up when it is told. */
static pid_t start_callers(int listener, int go)
{
    struct sockaddr_storage sa;
    socklen_t len;
    st_address(listener, &sa, &len);
    pid_t child = fork();
    SKT_GE(child, 0);
    if (child != 0)
        return child;
    int fds[CALLERS];
    char c;
    close(listener);
    for (int i = 0; i < CALLERS; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(fds[i], (struct sockaddr *)&sa, len) < 0)
            _exit(1);
    }
    if (read(go, &c, 1) != 1)
        _exit(2);
    for (int i = 0; i < CALLERS; i++) /* each is served in its turn, in place of those before it */
        if (read(fds[i], &c, 1) != 1 || close(fds[i]) < 0)
            _exit(3);
    _exit(0);
}

/* No busy loop: a second in which nobody is served costs less than 5 % of the time in which there was a
 * CPU. Not every one: those for whom there is a descriptor come first, and the machine may be at odds
 * once. */
static void check_cost(_Atomic(uint32_t) *x_served)
{
    for (int64_t end = st_patience(), cost = 1, passed = 0; cost * 20 >= passed;) {
        uint32_t served = atomic_load(x_served);
        int64_t cpu = skt_cpu_ns(), delay = skt_delay_ns(), begin = skua_now();
        SKT_LT(served, (uint32_t)CALLERS);
        SKT_LT(begin, end);
        usleep(1000000);
        cost = skt_cpu_ns() - cpu;
        passed = skua_now() - begin - (skt_delay_ns() - delay);
        if (atomic_load(x_served) != served)
            passed = 0;
    }
}

static void starve(void *arg)
{
    struct serving serving = {.listener = skua_listen("tcp:127.0.0.1:0", NULL)};
    int go[2], status;
    (void)arg;
    SKT_GE(serving.listener, 0);
    SKT_EQ(pipe(go), 0);
    pid_t callers = start_callers(serving.listener, go[0]);
    skua_config config = config_of(1);
    SKT_EQ(skua_start(&config), 0);
    struct rlimit limit;
    SKT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)skt_fd_count() + SPARE_FDS;
    SKT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, serve, &serving), 0);
    st_hog_until(&serving.x_served, SPARE_FDS / 2, "connections served until none was left");
    check_cost(&serving.x_served);
    SKT_EQ(write(go[1], "g", 1), 1);
    SKT_EQ(waitpid(callers, &status, 0), callers);
    SKT_EQ(status, 0);
    SKT_EQ(atomic_load(&serving.x_served), (uint32_t)CALLERS);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

/* Goal: serving waits for descriptors without a busy loop, says so once, and serves everybody as
 * others go. */
SKT_TEST(bugs, libuv_690_accept_without_descriptors)
{
    char text[4096];
    int64_t begin = skt_now_ns();
    int status = skt_in_child(starve, NULL, text, sizeof(text));
    SKT_STR_HAS(text, "RLIMIT_NOFILE");
    if (skt_now_ns() - begin < SKUA_S(60)) /* it is said once a minute */
        SKT_NULL(strchr(strchr(text, '\n') + 1, '\n'));
    SKT_EQ(status, 0);
}

/* ---- SIGPIPE, with its default action: it would end the process. */

static int write_to_nobody(void *arg)
{
    int fds[2];
    (void)arg;
    for (int i = 0; i < 100; i++) {
        struct iovec v = {(char[]){"xy"}, 2};
        st_pair(fds);
        SKT_EQ(skua_close(fds[1]), 0);
        SKT_EQ(skua_write(fds[0], "x", 1, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_writev(fds[0], &v, 1, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_send(fds[0], "x", 1, 0, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_write(fds[0], "x", 1, SKUA_NOW), -EPIPE);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(pipe(fds), 0);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_writev(fds[1], &v, 1, SKUA_NEVER), -EPIPE);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

static void write_with_default_action(void *arg)
{
    (void)arg;
    SKT_TRUE(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    skua_config config = config_of(2);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(skua_call(write_to_nobody, NULL, SKUA_NEVER), 0);
    SKT_EQ(write_to_nobody(NULL), 0); /* and in a plain thread */
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}

SKT_TEST(bugs, libuv_nosignal_sigpipe_kills_nobody)
{
    char text[4096];
    int status = skt_in_child(write_with_default_action, NULL, text, sizeof(text));
    SKT_STR_EQ(text, "");
    SKT_EQ(status, 0);
}

/* ---- EINTR and short transfers. */

enum { TRANSFER_BYTES = 4 << 20 };

static _Atomic(bool) x_quiet;
static _Atomic(uint64_t) x_interrupts;

static void count_interrupt(int signo)
{
    (void)signo;
    atomic_fetch_add(&x_interrupts, 1);
}

/* Interrupts every other thread, again and again. */
static void *interrupt_all(void *arg)
{
    pid_t self = (pid_t)syscall(SYS_gettid);
    (void)arg;
    while (!atomic_load(&x_quiet)) {
        DIR *dir = opendir("/proc/self/task");
        SKT_NOT_NULL(dir);
        for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir)) {
            pid_t thread = (pid_t)strtol(e->d_name, NULL, 10);
            if (thread > 0 && thread != self)
                syscall(SYS_tgkill, getpid(), thread, SIGUSR1);
        }
        closedir(dir);
        usleep(50);
    }
    return NULL;
}

struct transfer {
    int fds[2];
    unsigned char *bytes;
    size_t n;
};

static int send_all(void *arg)
{
    const struct transfer *t = arg;
    size_t done;
    SKT_EQ(skua_write_full(t->fds[0], t->bytes, t->n, &done, SKUA_NEVER), 0);
    SKT_EQ(done, t->n);
    return 0;
}

static int transfer(void *arg)
{
    struct transfer t = {.bytes = malloc(TRANSFER_BYTES), .n = TRANSFER_BYTES};
    unsigned char *got = malloc(TRANSFER_BYTES);
    const int small = 2048;
    uint64_t random = st_seed(11);
    (void)arg;
    SKT_TRUE(t.bytes != NULL && got != NULL);
    for (size_t i = 0; i < t.n; i++)
        t.bytes[i] = (unsigned char)st_random(&random);
    skua_time end = 0;
    for (int round = 0; round < 4 || atomic_load(&x_interrupts) < 100; round++) {
        skua_scope s;
        size_t done;
        if (round == 4)
            end = st_patience();
        SKT_TRUE(round < 4 || skua_now() < end);
        st_pair(t.fds);
        SKT_EQ(setsockopt(t.fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, send_all, &t), 0);
        SKT_EQ(skua_read_full(t.fds[1], got, t.n, &done, SKUA_NEVER), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(done, t.n);
        SKT_MEM_EQ(got, t.bytes, t.n);
        int64_t until = skua_in(SKUA_MS(2));
        SKT_EQ(skua_sleep_until(until), 0); /* no signal ends a sleep */
        SKT_GE(skua_now(), until);
        st_close(t.fds);
    }
    free(t.bytes);
    free(got);
    return 0;
}

/* Goal: signals that a program takes without SA_RESTART are seen by no call, and a write that takes
 * only a part is gone on with. */
SKT_TEST(bugs, classic_eintr_and_short_writes)
{
    pthread_t thread;
    struct sigaction before, action = {.sa_handler = count_interrupt, .sa_flags = SA_ONSTACK};
    SKT_EQ(sigaction(SIGUSR1, &action, &before), 0);
    atomic_store(&x_quiet, false);
    atomic_store(&x_interrupts, 0);
    skua_config config = config_of(2);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(pthread_create(&thread, NULL, interrupt_all, NULL), 0);
    SKT_EQ(skua_call(transfer, NULL, SKUA_NEVER), 0);
    atomic_store(&x_quiet, true);
    pthread_join(thread, NULL);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
    SKT_EQ(sigaction(SIGUSR1, &before, NULL), 0);
}

/* ---- liburing#612, jay#444: the child of a fork has the ring's memory, but not the ring. */

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int check_child(void)
{
    skua_config config = config_of(1);
    skua_scope s;
    char c;
    int fds[2];
    bool good = skua_start(&config) == -EOWNERDEAD &&
                skua_run(nothing, NULL, &config) == -EOWNERDEAD &&
                skua_stop(SKUA_NEVER) == -EOWNERDEAD &&
                skua_spawn(SKUA_SCOPE_ROOT, nothing, NULL) == -EOWNERDEAD &&
                skua_call(nothing, NULL, SKUA_NEVER) == -EOWNERDEAD && skua_self() == NULL &&
                skua_scope_open(&s, 0, SKUA_NEVER) == -EPERM && skua_workers() == 0;
    good = good && pipe(fds) == 0 && skua_read(fds[0], &c, 1, SKUA_NEVER) == -EOWNERDEAD &&
           skua_close(fds[0]) == 0 && skua_close(fds[1]) == 0;
    return good ? 0 : 1;
}

static int fork_here(void *arg)
{
    int status;
    (void)arg;
    pid_t child = fork();
    SKT_GE(child, 0);
    if (child == 0)
        _exit(check_child());
    SKT_EQ(waitpid(child, &status, 0), child);
    SKT_EQ(status, 0);
    return 0;
}

struct forking {
    int fds[2];
    _Atomic(bool) x_over;
};

static int keep_passing(void *arg)
{
    struct forking *f = arg;
    char c = 0;
    while (!atomic_load(&f->x_over)) {
        SKT_EQ(skua_write(f->fds[0], &c, 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(f->fds[1], &c, 1, SKUA_NEVER), 1);
    }
    return 0;
}

static int fork_beside_io(void *arg)
{
    struct forking f = {.x_over = false};
    skua_scope s;
    (void)arg;
    st_pair(f.fds);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 4; i++)
        SKT_EQ(skua_spawn(&s, keep_passing, &f), 0);
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(30); i > 0 && skt_has_time(begin); i--) {
        skua_scope children;
        SKT_EQ(skua_scope_open(&children, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&children, fork_here, NULL), 0);
        SKT_EQ(skua_sleep(SKUA_US(200)), 0);
        SKT_EQ(skua_scope_close(&children, SKUA_NEVER), 0);
    }
    atomic_store(&f.x_over, true);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    st_close(f.fds);
    return 0;
}

/* Goal: in the child everything that needs the runtime says -EOWNERDEAD, and the parent's rings, with
 * operations in flight, do not notice its birth or its end. */
SKT_TEST(bugs, liburing_612_fork_with_a_ring)
{
    st_run(fork_beside_io, NULL, 2);
    skua_config config = config_of(2);
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(fork_here(NULL), 0); /* from a plain thread */
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
