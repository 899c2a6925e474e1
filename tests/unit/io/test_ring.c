/* The ring by itself: without a runtime, driven by hand with NOPs and timeouts. */
#include "io/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/skt.h"

static void prepare_nop(struct sk_ring *r, uint64_t data)
{
    struct io_uring_sqe *sqe = sk_ring_next(r);
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = IORING_OP_NOP;
    sqe->user_data = data;
}

/* Takes out what is there; adds up user_data. */
static uint32_t take_all(struct sk_ring *r, uint64_t *sum)
{
    struct io_uring_cq *cq = &r->uring.cq;
    uint32_t n = sk_ring_ready(r);
    unsigned head = *cq->khead;
    for (uint32_t i = 0; i < n; i++)
        *sum += cq->cqes[(head + i) & cq->ring_mask].user_data;
    io_uring_smp_store_release(cq->khead, head + n);
    return n;
}

/* Goal: every entry that is prepared completes once, over many laps. */
SKT_TEST(ring, nops)
{
    struct sk_ring r;
    SKT_EQ(sk_ring_open(&r, 8, skua_in(SKUA_S(1))), 0);
    SKT_EQ(r.entries, 8);
    uint64_t sum = 0, n = 0;
    for (uint64_t lap = 0; lap < 1000; lap++) {
        uint32_t batch = 1 + (uint32_t)(lap % 8);
        for (uint32_t i = 0; i < batch; i++)
            prepare_nop(&r, 1);
        SKT_EQ(sk_ring_room(&r), 8 - batch);
        SKT_EQ(sk_ring_prepared(&r), batch);
        SKT_EQ(sk_ring_enter(&r, 1, SKUA_NEVER), 0);
        SKT_EQ(sk_ring_prepared(&r), 0);
        n += batch;
        take_all(&r, &sum);
    }
    SKT_EQ(sum, n);
    sk_ring_close(&r);
}

/* Goal: sizes are rounded up, 4 at least. */
SKT_TEST(ring, sizes)
{
    static const uint32_t sizes[][2] = {{1, 4}, {4, 4}, {5, 8}, {256, 256}, {257, 512}};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct sk_ring r;
        SKT_EQ(sk_ring_open(&r, sizes[i][0], skua_in(SKUA_S(1))), 0);
        SKT_EQ(r.entries, sizes[i][1]);
        sk_ring_close(&r);
    }
}

/* Goal: a wait without anything to wait for ends at its time, and one in the past at once. */
SKT_TEST(ring, wait_ends)
{
    struct sk_ring r;
    SKT_EQ(sk_ring_open(&r, 4, skua_in(SKUA_S(1))), 0);
    /* In time at least once: the machine may have stopped this thread each other time. */
    for (int64_t end = skt_now_ns() + SKUA_S(60), took = INT64_MAX; took > SKUA_MS(500);) {
        int64_t begin = skt_now_ns();
        SKT_LT(begin, end);
        SKT_EQ(sk_ring_enter(&r, 1, begin + SKUA_MS(20)), 0);
        took = skt_now_ns() - begin;
        SKT_GE(took, SKUA_MS(20));
    }
    for (int64_t end = skt_now_ns() + SKUA_S(60), took = INT64_MAX; took > SKUA_MS(10);) {
        int64_t begin = skt_now_ns();
        SKT_LT(begin, end);
        SKT_EQ(sk_ring_enter(&r, 1, begin - 1), 0);
        took = skt_now_ns() - begin;
    }
    SKT_EQ(sk_ring_ready(&r), 0);
    sk_ring_close(&r);
}

/* BUGS: CQ overflow. More completions than the queue holds are lost by no one, and no enter is
 * needed to learn of them but the flag: cq.overflow stays 0. */
SKT_TEST(ring, cq_overflow)
{
    enum { TOTAL = 1000 };
    struct sk_ring r;
    SKT_EQ(sk_ring_open(&r, 4, skua_in(SKUA_S(1))), 0);
    for (uint64_t i = 0; i < TOTAL; i++) {
        if (sk_ring_room(&r) == 0) {
            SKT_EQ(sk_ring_enter(&r, 0, SKUA_NEVER), 0);
            SKT_GT(sk_ring_room(&r), 0);
        }
        prepare_nop(&r, i);
    }
    SKT_EQ(sk_ring_enter(&r, 0, SKUA_NEVER), 0);
    uint64_t sum = 0;
    uint32_t n = 0, laps = 0;
    for (; n < TOTAL && laps < 10000; laps++) {
        n += take_all(&r, &sum);
        if (n < TOTAL) {
            SKT_TRUE(sk_ring_has_news(&r));
            SKT_EQ(sk_ring_enter(&r, 0, SKUA_NEVER), 0);
        }
    }
    SKT_EQ(n, TOTAL);
    SKT_EQ(sum, (uint64_t)TOTAL * (TOTAL - 1) / 2);
    sk_ring_close(&r);
}

/* Goal: one enter delivers a burst only; the ring says that there is more until all is there.
 * Method: 200 pipes are polled, all become readable, nothing but has_news tells. */
SKT_TEST(ring, bursts)
{
    enum { PIPES = 200 };
    int fds[PIPES][2];
    struct sk_ring r;
    SKT_EQ(sk_ring_open(&r, 256, skua_in(SKUA_S(1))), 0);
    for (int i = 0; i < PIPES; i++) {
        SKT_EQ(pipe2(fds[i], O_CLOEXEC), 0);
        struct io_uring_sqe *sqe = sk_ring_next(&r);
        memset(sqe, 0, sizeof(*sqe));
        sqe->opcode = IORING_OP_POLL_ADD;
        sqe->fd = fds[i][0];
        sqe->poll32_events = 1;
        sqe->user_data = 1;
    }
    SKT_EQ(sk_ring_enter(&r, 0, SKUA_NEVER), 0);
    SKT_FALSE(sk_ring_has_news(&r));
    for (int i = 0; i < PIPES; i++)
        SKT_EQ(write(fds[i][1], "x", 1), 1);
    uint64_t sum = 0;
    unsigned enters = 0;
    while (sk_ring_has_news(&r) && ++enters < 1000) {
        SKT_EQ(sk_ring_enter(&r, 0, SKUA_NEVER), 0);
        take_all(&r, &sum);
    }
    SKT_EQ(sum, PIPES);
    for (int i = 0; i < PIPES; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
    sk_ring_close(&r);
}

/* ---- What cannot be had is explained. Each in a child, whose standard error is read. */

static void explain_in_child(void *arg)
{
    struct sk_ring r;
    int rc = sk_ring_open(&r, *(uint32_t *)arg, skua_in(SKUA_S(1)));
    int told = rc < 0 ? sk_ring_explain(rc, *(uint32_t *)arg) : 0;
    _exit(told == 0 ? 0 : told == -ENOTSUP ? 1 : 2);
}

static void refuse_io_uring(uint32_t err)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
    SKT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    SKT_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void open_refused(void *arg)
{
    uint32_t entries = 8;
    refuse_io_uring(*(uint32_t *)arg);
    explain_in_child(&entries);
}

SKT_TEST(ring, refused_by_seccomp)
{
    char out[2048];
    uint32_t err = EPERM;
    int status = skt_in_child(open_refused, &err, out, sizeof(out));
    SKT_EQ(status, 1 << 8);
    SKT_STR_HAS(out, "skua: io_uring is not permitted");
    SKT_STR_HAS(out, "seccomp");
}

SKT_TEST(ring, kernel_without)
{
    char out[2048];
    uint32_t err = ENOSYS;
    int status = skt_in_child(open_refused, &err, out, sizeof(out));
    SKT_EQ(status, 1 << 8);
    SKT_STR_HAS(out, "ENOSYS");
}

static void open_without_files(void *arg)
{
    struct rlimit none = {3, 3};
    uint32_t entries = 8;
    SKT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int fd = 3; fd < 64; fd++)
        close(fd);
    explain_in_child(&entries);
    (void)arg;
}

SKT_TEST(ring, no_descriptor)
{
    char out[2048];
    SKT_EQ(skt_in_child(open_without_files, NULL, out, sizeof(out)), 2 << 8);
    SKT_STR_HAS(out, "RLIMIT_NOFILE, 3");
    SKT_STR_HAS(out, "ulimit -n");
}

/* Goal: without room under RLIMIT_MEMLOCK a smaller ring is used, and said. Method: as a user who
 * is not exempt, under a limit of 64 KiB: a ring of 1024 entries does not fit. */
static void open_under_memlock(void *arg)
{
    struct rlimit limit = {65536, 65536};
    struct sk_ring r;
    SKT_EQ(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    /* Nobody else's: what a user has locked counts in all its processes together. */
    uid_t user = 60000 + (uid_t)getpid() % 5000;
    SKT_EQ(setresgid(65534, 65534, 65534), 0);
    SKT_EQ(setresuid(user, user, user), 0);
    int rc = sk_ring_open(&r, 1024, skua_in(SKUA_S(1)));
    fprintf(stderr, "rc %d entries %u\n", rc, rc == 0 ? r.entries : 0);
    (void)arg;
    _exit(rc == 0 && r.entries < 1024 ? 0 : 1);
}

SKT_TEST(ring, smaller_under_memlock)
{
    char out[2048];
    if (geteuid() != 0)
        SKT_SKIP("only root can become the user that the limit holds for");
    int status = skt_in_child(open_under_memlock, NULL, out, sizeof(out));
    if (status != 0)
        SKT_FAIL("status %d: %s", status, out);
    SKT_STR_HAS(out, "RLIMIT_MEMLOCK, 65536");
    SKT_STR_HAS(out, "SKUA_RING_ENTRIES");
}
