/* raw_uring_echo [PORT] - the echo that skua is measured against on io_uring: one thread, no
 * runtime. The best single-shot loop that we know: one receive or one send in flight per
 * connection, everything that a round of completions asks for handed over by the enter that waits
 * for the next round. SINGLE_ISSUER | DEFER_TASKRUN and the registered ring descriptor are what
 * pays (docs/PERFORMANCE.md); a buffer ring and multishot are in raw_uring_multi_echo. */
#include <liburing.h>

#include "raw_listen.h"

enum { BUFFER_BYTES = 4096, ENTRIES = 4096 };
enum { OP_RECV, OP_SEND, OP_ACCEPT };

struct conn {
    int fd;
    uint32_t begin, end; /* what was received and not yet sent */
    char buffer[BUFFER_BYTES];
};

static struct io_uring ring;
static int listener;

static struct io_uring_sqe *next_sqe(void)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    if (sqe == NULL) {
        io_uring_submit(&ring);
        sqe = io_uring_get_sqe(&ring);
        if (sqe == NULL)
            raw_die("io_uring_get_sqe", EBUSY);
    }
    return sqe;
}

/* The kind of an operation stands in the low bits of its connection's address. */
static void start_recv(struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_recv(sqe, c->fd, c->buffer, BUFFER_BYTES, 0);
    io_uring_sqe_set_data64(sqe, (uintptr_t)c | OP_RECV);
}

static void start_send(struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_send(sqe, c->fd, c->buffer + c->begin, c->end - c->begin, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, (uintptr_t)c | OP_SEND);
}

static void start_accept(void)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

/* Only one operation is ever in flight on a connection, and it has just ended. */
static void drop(struct conn *c)
{
    close(c->fd);
    free(c);
}

static void on_accept(int res)
{
    start_accept();
    if (res < 0)
        return;
    struct conn *c = malloc(sizeof(*c));
    if (c == NULL) {
        close(res);
        return;
    }
    c->fd = res;
    start_recv(c);
}

static void on_recv(struct conn *c, int res)
{
    if (res == -EINTR || res == -EAGAIN) {
        start_recv(c);
    } else if (res <= 0) {
        drop(c);
    } else {
        c->begin = 0;
        c->end = (uint32_t)res;
        start_send(c);
    }
}

static void on_send(struct conn *c, int res)
{
    if (res < 0 && res != -EINTR && res != -EAGAIN) {
        drop(c);
        return;
    }
    c->begin += res > 0 ? (uint32_t)res : 0;
    if (c->begin < c->end)
        start_send(c);
    else
        start_recv(c);
}

int main(int argc, char **argv)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
                                     .cq_entries = RAW_CONNS};
    int rc = io_uring_queue_init_params(ENTRIES, &ring, &params);
    if (rc < 0)
        raw_die("io_uring_queue_init", -rc);
    rc = io_uring_register_ring_fd(&ring);
    if (rc < 0)
        raw_die("io_uring_register_ring_fd", -rc);
    listener = raw_listen(argc, argv, 0);
    start_accept();
    for (;;) {
        rc = io_uring_submit_and_wait(&ring, 1);
        if (rc < 0 && rc != -EINTR && rc != -EAGAIN && rc != -EBUSY)
            raw_die("io_uring_submit_and_wait", -rc);
        struct io_uring_cqe *cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe)
        {
            uint64_t data = io_uring_cqe_get_data64(cqe);
            struct conn *c = (struct conn *)(uintptr_t)(data & ~(uint64_t)3);
            switch (data & 3) {
            case OP_RECV:
                on_recv(c, cqe->res);
                break;
            case OP_SEND:
                on_send(c, cqe->res);
                break;
            default:
                on_accept(cqe->res);
            }
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
    }
}
