/* Operations and descriptors.
 * Real cases: tokio#8255, tigerbeetle#2430, glommio#104, compio#942 and #943, liburing#733 (memory of
 * an operation that is used after its end); tokio#7983 (a cancelled open leaks its descriptor);
 * liburing#932, #782, #577 (close and what is in flight); joyent/libuv#826 and #968, moonbit async#571,
 * re#266, wally#2858, zio#530, wasmer#6608 (a descriptor's number comes again); libuv#3991 and #4598,
 * silk#81, io-uring#302 and #247, liburing#331 and #705, firewood#1522, eio#801 (full rings). */
#include <poll.h>
#include <sys/wait.h>

#include "tests/stress/stress.h"

/* ---- tokio#8255, compio#942: the buffer of a cancelled read goes back to the allocator at once. */

static int read_into_heap(void *arg)
{
    const int *fds = arg;
    for (;;) {
        char *buf = malloc(64);
        SKT_NOT_NULL(buf);
        ssize_t rc = skua_read(fds[1], buf, 64, SKUA_NEVER);
        memset(buf, 0, 64);
        free(buf); /* what the kernel writes now lands in somebody else's memory */
        if (rc == 0 || skua_cancelled())
            return 0;
    }
}

enum { CANARY = 0x5a };

static int cancel_readers(void *arg)
{
    int fds[2];
    uint64_t random = st_seed(1);
    (void)arg;
    st_pair(fds);
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(30000); i > 0 && skt_has_time(begin); i--) {
        skua_scope s;
        char *heap[4], rest[256];
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        for (int k = 0; k < 3; k++)
            SKT_EQ(skua_spawn(&s, read_into_heap, fds), 0);
        skua_yield();
        skua_yield();
        SKT_EQ(skua_write(fds[0], "late", 4, SKUA_NEVER), 4);
        if (st_random(&random) % 2 == 0)
            skua_yield();
        skua_scope_cancel(&s);
        skua_scope_close(&s, SKUA_NEVER);
        for (int k = 0; k < 4; k++) /* most likely what they gave back */
            SKT_NOT_NULL(heap[k] = memset(malloc(64), CANARY, 64));
        SKT_EQ(skua_write(fds[0], "later", 5, SKUA_NEVER), 5);
        SKT_GE(skua_read(fds[1], rest, sizeof(rest), SKUA_NEVER), 5);
        for (int k = 0; k < 4; k++) {
            for (int b = 0; b < 64; b++)
                SKT_EQ(heap[k][b], CANARY);
            free(heap[k]);
        }
    }
    st_close(fds);
    return 0;
}

/* Goal: when a call has returned the kernel is done with its buffer, and the ring with its operation. */
SKT_TEST(bugs, tokio_8255_buffer_of_a_cancelled_read)
{
    st_run(cancel_readers, NULL, 1);
    st_run(cancel_readers, NULL, 4);
}

/* ---- tokio#7983: what a cancelled call has opened is not lost. */

struct accepting {
    int listener;
    _Atomic(uint32_t) x_accepted;
    _Atomic(uint32_t) x_dialled; /* how many there will be */
};

static int accept_with_deadlines(void *arg)
{
    struct accepting *a = arg;
    uint64_t random = st_seed(skua_id());
    while (!skua_cancelled() || st_random(&random) % 2 == 0) {
        int fd =
            skua_accept(a->listener, NULL, NULL, skua_in((int64_t)(st_random(&random) % 20000)));
        SKT_TRUE(fd >= 0 || fd == -ETIMEDOUT || fd == -ECANCELED);
        if (fd < 0)
            continue;
        atomic_fetch_add(&a->x_accepted, 1);
        SKT_EQ(skua_close(fd), 0);
    }
    return 0;
}

static int dial_all(void *arg)
{
    struct accepting *a = arg;
    struct sockaddr_storage sa;
    socklen_t len;
    st_address(a->listener, &sa, &len);
    int64_t begin = skt_now_ns();
    for (uint32_t i = 0; i < atomic_load(&a->x_dialled); i++) {
        if (!skt_has_time(begin))
            atomic_store(&a->x_dialled, i + 1); /* the last one */
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        SKT_GE(fd, 0);
        SKT_EQ(skua_connect(fd, (struct sockaddr *)&sa, len, SKUA_NEVER), 0);
        SKT_EQ(skua_close(fd), 0);
    }
    return 0;
}

static int accept_and_cancel(void *arg)
{
    struct accepting a = {.x_dialled = (uint32_t)skt_scaled(20000)};
    uint32_t seen = 0;
    char address[64];
    skua_scope dialler;
    (void)arg;
    snprintf(address, sizeof(address), "unix:@skua-bugs-%d", (int)getpid());
    a.listener = skua_listen(address, NULL);
    SKT_GE(a.listener, 0);
    int before = skt_fd_count();
    SKT_EQ(skua_scope_open(&dialler, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&dialler, dial_all, &a), 0);
    for (skua_time end = st_patience(); seen < atomic_load(&a.x_dialled);) {
        skua_scope s;
        SKT_LT(skua_now(), end);
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        for (int i = 0; i < 3; i++)
            SKT_EQ(skua_spawn(&s, accept_with_deadlines, &a), 0);
        SKT_EQ(skua_sleep(SKUA_US(200)), 0);
        skua_scope_cancel(&s);
        skua_scope_close(&s, SKUA_NEVER);
        if (atomic_load(&a.x_accepted) > seen) /* it goes on */
            end = st_patience();
        seen = atomic_load(&a.x_accepted);
    }
    SKT_EQ(skua_scope_close(&dialler, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&a.x_accepted), atomic_load(&a.x_dialled)); /* none came to nobody */
    SKT_EQ(skt_fd_count(), before);
    SKT_EQ(skua_close(a.listener), 0);
    return 0;
}

SKT_TEST(bugs, tokio_7983_cancelled_accept_leaks_its_descriptor)
{
    st_run(accept_and_cancel, NULL, 1);
    st_run(accept_and_cancel, NULL, 4);
}

/* ---- liburing#932, #782, #577: closing what is in flight. */

struct closing {
    int fd;
    _Atomic(uint32_t) x_ended;
};

static int read_until_closed(void *arg)
{
    struct closing *c = arg;
    char buf[16];
    ssize_t rc = skua_read(c->fd, buf, sizeof(buf), SKUA_NEVER);
    SKT_TRUE(rc == -ECANCELED || rc == -EBADF); /* not begun before it was closed */
    atomic_fetch_add(&c->x_ended, 1);
    return 0;
}

static int poll_until_closed(void *arg)
{
    struct closing *c = arg;
    int rc = skua_poll(c->fd, POLLPRI, SKUA_NEVER);
    SKT_TRUE(rc == -ECANCELED || rc == -EBADF);
    atomic_fetch_add(&c->x_ended, 1);
    return 0;
}

static int close_in_flight(void *arg)
{
    (void)arg;
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(8000); i > 0 && skt_has_time(begin); i--) {
        int fds[2];
        char c;
        skua_scope s;
        if (i % 2 == 0)
            st_pair(fds);
        else
            st_tcp_pair(fds);
        struct closing closing = {.fd = fds[0]};
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, read_until_closed, &closing), 0);
        SKT_EQ(skua_spawn(&s, poll_until_closed, &closing), 0);
        SKT_EQ(skua_spawn(&s, read_until_closed, &closing), 0);
        for (uint64_t yields = i % 5; yields > 0; yields--)
            skua_yield();
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_read(fds[1], &c, 1, SKUA_NEVER), 0); /* the end of the stream is seen at once */
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&closing.x_ended), 3u);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

SKT_TEST(bugs, liburing_932_close_while_operations_are_in_flight)
{
    st_run(close_in_flight, NULL, 1);
    st_run(close_in_flight, NULL, 4);
}

static int close_own_copy(void *arg)
{
    const int *fds = arg;
    struct closing closing = {.fd = fds[0]};
    char text[5];
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, read_until_closed, &closing), 0);
    skua_yield();
    skua_yield();
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_write(fds[1], "hello", 5, SKUA_NEVER), 5); /* the copy reads, and answers */
    SKT_EQ(skua_read_full(fds[1], text, 5, NULL, SKUA_NEVER), 0);
    SKT_MEM_EQ(text, "world", 5);
    SKT_EQ(skua_read(fds[1], text, 5, SKUA_NEVER), 0);
    return 0;
}

/* Goal: another process's copy of the socket still works: skua_close is no shutdown. */
SKT_TEST(bugs, liburing_782_copy_in_another_process_lives_on)
{
    int fds[2], status;
    st_pair(fds);
    pid_t child = fork();
    SKT_GE(child, 0);
    if (child == 0) {
        char text[5];
        close(fds[1]);
        bool good = read(fds[0], text, 5) == 5 && memcmp(text, "hello", 5) == 0 &&
                    write(fds[0], "world", 5) == 5;
        _exit(good ? 0 : 1);
    }
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 2;
    SKT_EQ(skua_run(close_own_copy, fds, &config), 0);
    close(fds[1]);
    SKT_EQ(waitpid(child, &status, 0), child);
    SKT_EQ(status, 0);
}

/* ---- joyent/libuv#826, moonbit async#571, wasmer#6608: the number of a closed descriptor comes again. */

enum { CHANNELS = 8 };

struct reuse {
    _Atomic(uint64_t) x_next; /* a number for each pair that ever was */
    uint64_t rounds;
};

static int expect_own_or_closed(void *arg)
{
    struct {
        int fd;
        uint64_t number;
    } mine;
    memcpy(&mine, arg, sizeof(mine));
    uint64_t got = 0;
    ssize_t rc = skua_read(mine.fd, &got, sizeof(got), SKUA_NEVER);
    /* It is still this pair's, or nothing at all: never the number of another pair. */
    if (rc == (ssize_t)sizeof(got))
        SKT_EQ(got, mine.number);
    else
        SKT_EQ(rc, -ECANCELED);
    return 0;
}

static bool is_in_flight(int fd)
{
    struct sk_fd *entry = sk_fd_make(fd);
    SKT_NOT_NULL(entry);
    sk_lock(&entry->lock);
    bool any = entry->ops != NULL;
    sk_unlock(&entry->lock);
    return any;
}

/* Opens, reads, closes and opens again at once, so that all numbers come again and again, on all
 * workers, while cancelled reads are still on their way. */
static int churn(void *arg)
{
    struct reuse *reuse = arg;
    int64_t begin = skt_now_ns();
    for (uint64_t i = 0; i < reuse->rounds && skt_has_time(begin); i++) {
        int fds[2];
        skua_scope s;
        st_pair(fds);
        struct {
            int fd;
            uint64_t number;
        } mine = {fds[0], atomic_fetch_add(&reuse->x_next, 1)};
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn_copy(&s, expect_own_or_closed, &mine, sizeof(mine)), 0);
        if (i % 3 != 0)
            SKT_EQ(write(fds[1], &mine.number, sizeof(mine.number)), (ssize_t)sizeof(mine.number));
        /* Not closed before its reader has begun: a number that is closed belongs to whoever opens
         * next. */
        if (i % 3 == 0) {
            while (!is_in_flight(fds[0]))
                skua_yield();
            SKT_EQ(skua_close(fds[0]), 0);
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        } else {
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
            SKT_EQ(skua_close(fds[0]), 0);
        }
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

static int churn_on_all(void *arg)
{
    struct reuse reuse = {.rounds = skt_scaled(8000)};
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < CHANNELS; i++)
        SKT_EQ(skua_spawn(&s, churn, &reuse), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: what was meant for one descriptor never reaches another that has its number now. */
SKT_TEST(bugs, libuv_826_descriptor_number_comes_again)
{
    st_run(churn_on_all, NULL, 1);
    st_run(churn_on_all, NULL, 8);
}

/* ---- libuv#3991, silk#81, eio#801: more completions at once than a ring has room for. */

enum { PIPES = 400 };

struct flood {
    int fds[2];
    _Atomic(uint32_t) *x_read;
};

static int read_one(void *arg)
{
    struct flood *f = arg;
    char c;
    SKT_EQ(skua_read(f->fds[0], &c, 1, SKUA_NEVER), 1);
    SKT_EQ(c, 'f');
    atomic_fetch_add(f->x_read, 1);
    return 0;
}

/* Completes everything in one go, while the worker is not looking. */
static int flood(void *arg)
{
    static struct flood floods[PIPES];
    _Atomic(uint32_t) count = 0;
    (void)arg;
    for (int i = 0; i < PIPES; i++) {
        SKT_EQ(pipe(floods[i].fds), 0);
        floods[i].x_read = &count;
    }
    int64_t begin = skt_now_ns();
    for (uint64_t round = skt_scaled(200); round > 0 && skt_has_time(begin); round--) {
        skua_scope s;
        atomic_store(&count, 0);
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (int i = 0; i < PIPES; i++)
            SKT_EQ(skua_spawn(&s, read_one, &floods[i]), 0);
        for (int i = 0; i < 4; i++)
            skua_yield();
        for (int i = 0; i < PIPES; i++)
            SKT_EQ(write(floods[i].fds[1], "f", 1), 1);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&count), PIPES);
    }
    for (int i = 0; i < PIPES; i++)
        st_close(floods[i].fds);
    return 0;
}

/* Goal: no completion is lost, and no request, when both queues of the ring are full. */
SKT_TEST(bugs, libuv_3991_completion_queue_overflow)
{
    st_run_ring(flood, NULL, 1, 4);
    st_run_ring(flood, NULL, 2, 4);
}

/* ---- libuv#4598, liburing#705: the submission queue is full of cancels too. */

static int cancel_flood(void *arg)
{
    static struct flood floods[PIPES];
    _Atomic(uint32_t) count = 0;
    (void)arg;
    for (int i = 0; i < PIPES; i++) {
        SKT_EQ(pipe(floods[i].fds), 0);
        floods[i].x_read = &count;
    }
    int64_t begin = skt_now_ns();
    for (uint64_t round = skt_scaled(200); round > 0 && skt_has_time(begin); round--) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, skua_in(SKUA_US(500))), 0);
        for (int i = 0; i < PIPES; i++) {
            char c;
            ssize_t rc = i % 2 == 0 ? skua_read(floods[i].fds[0], &c, 1, SKUA_NOW)
                                    : skua_poll(floods[i].fds[0], POLLIN, skua_now());
            SKT_EQ(rc, i % 2 == 0 ? -EAGAIN : -ETIMEDOUT);
        }
        skua_scope_close(&s, SKUA_NEVER);
    }
    for (int i = 0; i < PIPES; i++)
        st_close(floods[i].fds);
    return 0;
}

SKT_TEST(bugs, libuv_4598_submission_queue_full_of_cancels)
{
    st_run_ring(cancel_flood, NULL, 1, 4);
    st_run_ring(cancel_flood, NULL, 2, 4);
}
