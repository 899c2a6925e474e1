/* raw_uring_multi_echo [PORT] - the raw io_uring echo with multishot accept and receive and a ring
 * of provided buffers: a receive is armed once per connection, a request costs one send. What
 * arrives while a send is in flight queues behind it (two sends in flight on one socket may swap
 * places). */
#include <liburing.h>
#include <stdbool.h>
#include <sys/mman.h>

#include "raw_listen.h"

enum { BUFFER_BYTES = 1024, BUFFERS = 1024, ENTRIES = 4096, GROUP = 0, NONE = -1 };
enum { OP_RECV, OP_SEND, OP_ACCEPT };

struct conn {
    int fd;
    int first, last;     /* received buffers, linked by next_buffer; the first is being sent */
    bool armed, sending; /* operations in flight */
    bool ended;          /* the receiving side is over: drop when the sends are */
    bool starved;        /* waits for a buffer */
    struct conn *next_starved;
};

static struct io_uring ring;
static struct io_uring_buf_ring *buffers;
static char *memory;
static int next_buffer[BUFFERS];
static uint32_t begin[BUFFERS], end[BUFFERS];
static struct conn *starved;
static unsigned given; /* buffers that the kernel has, as far as completions have told */
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

static char *buffer_at(int id)
{
    return memory + (size_t)id * BUFFER_BYTES;
}

static void start_recv(struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = GROUP;
    io_uring_sqe_set_data64(sqe, (uintptr_t)c | OP_RECV);
    c->armed = true;
}

static void start_send(struct conn *c)
{
    struct io_uring_sqe *sqe = next_sqe();
    int id = c->first;
    io_uring_prep_send(sqe, c->fd, buffer_at(id) + begin[id], end[id] - begin[id], MSG_NOSIGNAL);
    io_uring_sqe_set_data64(sqe, (uintptr_t)c | OP_SEND);
    c->sending = true;
}

static void start_accept(void)
{
    struct io_uring_sqe *sqe = next_sqe();
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

static void give_buffer(int id)
{
    io_uring_buf_ring_add(buffers, buffer_at(id), BUFFER_BYTES, (unsigned short)id,
                          io_uring_buf_ring_mask(BUFFERS), 0);
    io_uring_buf_ring_advance(buffers, 1);
    given++;
}

/* All of them, as one that finds nothing to receive takes no buffer; who gets none comes back. */
static void wake_starved(void)
{
    struct conn *c = given > 0 ? starved : NULL;
    if (c != NULL)
        starved = NULL;
    while (c != NULL) {
        struct conn *next = c->next_starved;
        c->starved = false;
        start_recv(c);
        c = next;
    }
}

static void give_first(struct conn *c)
{
    int id = c->first;
    c->first = next_buffer[id];
    give_buffer(id);
}

/* Buffers go back at once: a connection that waits for one must not hold others. */
static void drop_when_done(struct conn *c)
{
    if (!c->ended || c->sending)
        return;
    while (c->first != NONE)
        give_first(c);
    if (c->armed || c->starved)
        return;
    close(c->fd);
    free(c);
}

static void on_accept(const struct io_uring_cqe *cqe)
{
    if (!(cqe->flags & IORING_CQE_F_MORE))
        start_accept();
    if (cqe->res < 0)
        return;
    struct conn *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        close(cqe->res);
        return;
    }
    c->fd = cqe->res;
    c->first = c->last = NONE;
    start_recv(c);
}

static void on_recv(struct conn *c, const struct io_uring_cqe *cqe)
{
    c->armed = (cqe->flags & IORING_CQE_F_MORE) != 0;
    if (cqe->flags & IORING_CQE_F_BUFFER) {
        int id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        given--;
        if (cqe->res <= 0) {
            give_buffer(id);
        } else {
            begin[id] = 0;
            end[id] = (uint32_t)cqe->res;
            next_buffer[id] = NONE;
            if (c->first == NONE)
                c->first = id;
            else
                next_buffer[c->last] = id;
            c->last = id;
        }
    }
    if (cqe->res == -ENOBUFS && given == 0) {
        c->starved = true;
        c->next_starved = starved;
        starved = c;
    } else if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        c->ended = true;
    } else if (!c->armed) {
        start_recv(c);
    }
    if (c->first != NONE && !c->sending)
        start_send(c);
    drop_when_done(c);
}

static void on_send(struct conn *c, int res)
{
    c->sending = false;
    if (res < 0) {
        c->ended = true;
        if (c->armed)
            shutdown(c->fd, SHUT_RDWR); /* ends the receive; the peer is gone anyway */
        drop_when_done(c);
        return;
    }
    begin[c->first] += (uint32_t)res;
    if (begin[c->first] == end[c->first])
        give_first(c);
    if (c->first != NONE)
        start_send(c);
    drop_when_done(c);
}

static void open_buffers(void)
{
    size_t bytes = BUFFERS * sizeof(struct io_uring_buf);
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory = mmap(NULL, (size_t)BUFFERS * BUFFER_BYTES, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED || memory == MAP_FAILED)
        raw_die("mmap", errno);
    buffers = at;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)at, .ring_entries = BUFFERS, .bgid = GROUP};
    int rc = io_uring_register_buf_ring(&ring, &reg, 0);
    if (rc < 0)
        raw_die("io_uring_register_buf_ring", -rc);
    io_uring_buf_ring_init(buffers);
    for (int id = 0; id < BUFFERS; id++)
        give_buffer(id);
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
    open_buffers();
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
                on_recv(c, cqe);
                break;
            case OP_SEND:
                on_send(c, cqe->res);
                break;
            default:
                on_accept(cqe);
            }
            seen++;
        }
        io_uring_cq_advance(&ring, seen);
        wake_starved();
    }
}
