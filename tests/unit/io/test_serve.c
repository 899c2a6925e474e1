/* skua_serve: accepting, limits, shortages, the end. */
#include <skua/net.h>

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>

#include "tests/unit/io/io_test.h"

static atomic_int served, live, most_live, cancelled;

/* A listener at a port of its own, and where it is. */
static int listen_somewhere(struct sockaddr_in *sa)
{
    socklen_t len = sizeof(*sa);
    int fd = skua_listen("tcp:127.0.0.1:0", NULL);
    SKT_GE(fd, 0);
    SKT_EQ(getsockname(fd, (struct sockaddr *)sa, &len), 0);
    served = live = most_live = cancelled = 0;
    return fd;
}

static int dial(const struct sockaddr_in *sa)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SKT_GE(fd, 0);
    SKT_EQ(skua_connect(fd, (const struct sockaddr *)sa, sizeof(*sa), SKUA_NEVER), 0);
    return fd;
}

/* Sends back one byte after another until the peer ends. */
static int echo(int fd, void *arg)
{
    char c;
    ssize_t n;
    (void)arg;
    int now = ++live;
    if (now > most_live)
        most_live = now;
    while ((n = skua_read(fd, &c, 1, SKUA_NEVER)) == 1)
        SKT_EQ(skua_write(fd, &c, 1, SKUA_NEVER), 1);
    live--;
    served++;
    if (n == -ECANCELED)
        cancelled++;
    return (int)n;
}

static void say_and_hear(int fd)
{
    char c = 'q';
    SKT_EQ(skua_write(fd, &c, 1, SKUA_NEVER), 1);
    SKT_EQ(skua_read(fd, &c, 1, skua_in(SKUA_S(10))), 1);
    SKT_EQ(c, 'q');
}

struct server {
    int listen_fd;
    int result;
    skua_serve_opts opts;
    int (*conn)(int fd, void *arg);
    skua_time dl;
};

static int serve(void *arg)
{
    struct server *s = arg;
    s->result = skua_serve(SKUA_SCOPE_ROOT, s->listen_fd, s->conn, s, &s->opts, s->dl);
    return 0;
}

static struct server server_of(int listen_fd)
{
    struct server s = {.listen_fd = listen_fd, .result = 1, .conn = echo, .dl = SKUA_NEVER};
    s.opts.size = sizeof(s.opts);
    return s;
}

/* Goal: connections are served until the scope is cancelled; then nobody new, those that live may
 * finish. */
static int client(void *arg)
{
    int fd = dial(arg);
    for (int i = 0; i < 10; i++)
        say_and_hear(fd);
    return skua_close(fd);
}

static int serve_body(void *arg)
{
    struct sockaddr_in sa;
    skua_scope s, clients;
    struct server server = server_of(listen_somewhere(&sa));
    int count = (int)skt_scaled(200);
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, serve, &server), 0);
    SKT_EQ(skua_scope_open(&clients, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < count; i++)
        SKT_EQ(skua_spawn(&clients, client, &sa), 0);
    SKT_EQ(skua_scope_close(&clients, SKUA_NEVER), 0);
    int last = dial(&sa);
    say_and_hear(last);
    skua_scope_cancel(&s);
    skua_shield(1); /* the canceller is cancelled too: it has opened s */
    SKT_EQ(skua_sleep(SKUA_MS(20)), 0);
    SKT_EQ(server.result, 1); /* it drains */
    say_and_hear(last);
    SKT_EQ(skua_close(last), 0);
    skua_shield(0);
    skua_scope_close(&s, SKUA_NEVER);
    SKT_EQ(server.result, -ECANCELED);
    SKT_EQ(served, count + 1);
    SKT_EQ(cancelled, 0);
    return skua_close(server.listen_fd);
}

SKT_TEST(serve, connections)
{
    io_run(serve_body, NULL, 1);
    io_run(serve_body, NULL, 4);
}

/* Goal: dl ends it as a cancellation does; after the drain time what is left is cancelled; < 0 does
 * not drain. */
static int drain_body(void *arg)
{
    struct sockaddr_in sa;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        skua_scope s;
        struct server server = server_of(listen_somewhere(&sa));
        server.dl = skua_in(SKUA_MS(50));
        server.opts.drain_ns = i == 0 ? SKUA_MS(50) : -1;
        int64_t begin = skua_now();
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, serve, &server), 0);
        int fd = dial(&sa);
        say_and_hear(fd);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(server.result, -ETIMEDOUT);
        SKT_BETWEEN(skua_now() - begin, SKUA_MS(i == 0 ? 100 : 50), SKUA_S(2));
        SKT_EQ(cancelled, 1);
        SKT_EQ(skua_close(fd), 0);
        SKT_EQ(skua_close(server.listen_fd), 0);
    }
    return 0;
}

SKT_TEST(serve, deadline_and_drain)
{
    io_run(drain_body, NULL, 1);
}

/* Goal: max_conns is never passed, and every client is served in the end. */
static int max_conns_body(void *arg)
{
    struct sockaddr_in sa;
    skua_scope s, clients;
    struct server server = server_of(listen_somewhere(&sa));
    (void)arg;
    server.opts.max_conns = 3;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, serve, &server), 0);
    SKT_EQ(skua_scope_open(&clients, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < 50; i++)
        SKT_EQ(skua_spawn(&clients, client, &sa), 0);
    SKT_EQ(skua_scope_close(&clients, SKUA_NEVER), 0);
    SKT_LE(most_live, 3);
    skua_scope_cancel(&s);
    skua_scope_close(&s, SKUA_NEVER);
    SKT_EQ(server.result, -ECANCELED);
    SKT_EQ(served, 50);
    return skua_close(server.listen_fd);
}

SKT_TEST(serve, max_conns)
{
    io_run(max_conns_body, NULL, 1);
    io_run(max_conns_body, NULL, 4);
}

/* Goal: a connection's own skua_close is respected, even if its number has another owner by then.
 * */
static atomic_int reopened;
static int close_and_reopen(int fd, void *arg)
{
    (void)arg;
    SKT_EQ(skua_close(fd), 0);
    int again = open("/dev/null", O_RDONLY | O_CLOEXEC);
    SKT_EQ(again, fd);
    reopened = again;
    return -EIO; /* a failure that nobody hears of */
}

static int own_close_body(void *arg)
{
    struct sockaddr_in sa;
    skua_scope s;
    char c;
    struct server server = server_of(listen_somewhere(&sa));
    (void)arg;
    server.conn = close_and_reopen;
    reopened = -1;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, serve, &server), 0);
    int fd = dial(&sa);
    SKT_EQ(skua_read(fd, &c, 1, SKUA_NEVER), 0);
    SKT_EQ(skua_sleep(SKUA_MS(10)), 0);
    SKT_GE(reopened, 0);
    SKT_EQ(skua_close(reopened), 0); /* it was still open */
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(server.result, 1);
    skua_scope_cancel(&s);
    skua_scope_close(&s, SKUA_NEVER);
    return skua_close(server.listen_fd);
}

SKT_TEST(serve, own_close)
{
    io_run(own_close_body, NULL, 1);
}

/* BUGS: EMFILE accept loop. Goal: without descriptors it waits at little cost, says so, and goes on
 * within a second. */
static int hold(int fd, void *arg)
{
    char c;
    (void)arg;
    served++;
    return (int)skua_read(fd, &c, 1, SKUA_NEVER);
}

static int emfile_body(void *arg)
{
    enum { FILLERS = 512 };
    int fillers[FILLERS], n = 0;
    struct rlimit before, small = {FILLERS / 2, 0};
    struct sockaddr_in sa;
    skua_scope s;
    struct server server = server_of(listen_somewhere(&sa));
    (void)arg;
    server.conn = hold;
    server.opts.drain_ns = -1;
    SKT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    small.rlim_max = before.rlim_max;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SKT_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
    while (n < FILLERS && (fillers[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
        n++;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, serve, &server), 0);
    SKT_EQ(skua_connect(fd, (struct sockaddr *)&sa, sizeof(sa), SKUA_NEVER), 0);
    int64_t cpu = skt_cpu_ns(), begin = skua_now();
    SKT_EQ(skua_sleep(SKUA_MS(500)), 0);
    int64_t spent = skt_cpu_ns() - cpu, passed = skua_now() - begin;
    if (!skt_sanitized())
        SKT_LT(spent * 20, passed);
    SKT_EQ(served, 0);
    SKT_EQ(server.result, 1);
    begin = skua_now();
    SKT_EQ(skua_close(fillers[--n]), 0);
    while (served == 0 && skua_now() - begin < SKUA_S(5))
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
    SKT_EQ(served, 1);
    SKT_LT(skua_now() - begin, SKUA_S(1));
    while (n > 0)
        SKT_EQ(skua_close(fillers[--n]), 0);
    SKT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    SKT_EQ(skua_close(fd), 0);
    skua_scope_cancel(&s);
    skua_scope_close(&s, SKUA_NEVER);
    return skua_close(server.listen_fd);
}

static void emfile_in_child(void *arg)
{
    (void)arg;
    io_run(emfile_body, NULL, 1);
    _exit(0);
}

SKT_TEST(serve, emfile)
{
    char out[4096];
    int status = skt_in_child(emfile_in_child, NULL, out, sizeof(out));
    if (status != 0)
        SKT_FAIL("status %#x: %s", (unsigned)status, out);
    SKT_STR_HAS(out, "RLIMIT_NOFILE, 256");
    SKT_STR_HAS(out, "ulimit -n");
    SKT_NULL(strstr(strstr(out, "RLIMIT_NOFILE") + 1, "RLIMIT_NOFILE")); /* said once */
}

/* Goal: what cannot be accepted at all ends it with the reason. */
static int no_listener_body(void *arg)
{
    int fds[2];
    (void)arg;
    io_pair(fds);
    SKT_EQ(skua_serve(SKUA_SCOPE_ROOT, fds[0], echo, NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(skua_serve(SKUA_SCOPE_ROOT, fds[0], echo, NULL, NULL, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_serve(SKUA_SCOPE_ROOT, -1, echo, NULL, NULL, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_serve(SKUA_SCOPE_ROOT, INT_MAX, echo, NULL, NULL, SKUA_NEVER), -EBADF);
    SKT_EQ(skua_serve(SKUA_SCOPE_ROOT, 0, NULL, NULL, NULL, SKUA_NEVER), -EINVAL);
    SKT_EQ(skua_serve(SKUA_SCOPE_ROOT, 0, echo, NULL, NULL, -1), -EINVAL);
    return 0;
}

SKT_TEST(serve, no_listener)
{
    io_run(no_listener_body, NULL, 1);
}

/* Goal: a plain thread serves too, and closing the listener ends it. */
static void *serve_in_thread(void *arg)
{
    serve(arg);
    return NULL;
}

SKT_TEST(serve, plain_thread)
{
    struct sockaddr_in sa;
    pthread_t thread;
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    SKT_EQ(skua_start(&config), 0);
    struct server server = server_of(listen_somewhere(&sa));
    SKT_EQ(pthread_create(&thread, NULL, serve_in_thread, &server), 0);
    int fd = dial(&sa);
    say_and_hear(fd);
    SKT_EQ(skua_close(fd), 0);
    SKT_EQ(skua_close(server.listen_fd), 0);
    SKT_EQ(pthread_join(thread, NULL), 0);
    SKT_EQ(server.result, -ECANCELED);
    SKT_EQ(served, 1);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
