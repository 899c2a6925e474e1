/* raw_epoll_echo [PORT] - the echo that skua is measured against on epoll: one thread, no runtime.
 * Edge-triggered: a level-triggered epoll polls every ready socket a second time. A receive that
 * did not fill the buffer has emptied the socket, so no second one is spent on EAGAIN; EPOLLRDHUP
 * tells when an end of file stands behind the data. EPOLLOUT comes with the same registration, so a
 * peer that does not read costs no epoll_ctl. */
#include <stdbool.h>
#include <sys/epoll.h>

#include "raw_listen.h"

enum { BUFFER_BYTES = 4096, EVENTS = 512 };

struct conn {
    uint32_t begin, end; /* what was received and not yet sent */
    char buffer[BUFFER_BYTES];
};

static struct conn *conns[RAW_CONNS];

static void drop(int fd)
{
    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}

/* Sends what is there. False when the socket is full: EPOLLOUT comes back here. */
static bool flush(int fd, struct conn *c, bool *broken)
{
    while (c->begin < c->end) {
        ssize_t n = send(fd, c->buffer + c->begin, c->end - c->begin, MSG_NOSIGNAL);
        if (n < 0) {
            *broken = errno != EAGAIN && errno != EINTR;
            return false;
        }
        c->begin += (uint32_t)n;
    }
    return true;
}

static void serve(int fd, uint32_t events)
{
    struct conn *c = conns[fd];
    bool broken = false;
    if (c == NULL || !flush(fd, c, &broken)) {
        if (broken)
            drop(fd);
        return;
    }
    for (;;) {
        ssize_t n = recv(fd, c->buffer, BUFFER_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(fd);
            return;
        }
        c->begin = 0;
        c->end = (uint32_t)n;
        if (!flush(fd, c, &broken)) {
            if (broken)
                drop(fd);
            return;
        }
        if (n < BUFFER_BYTES && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
            return;
    }
}

static void accept_all(int ep, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.fd = fd};
        if (fd >= RAW_CONNS || (conns[fd] = malloc(sizeof(struct conn))) == NULL) {
            close(fd);
            continue;
        }
        conns[fd]->begin = conns[fd]->end = 0;
        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event) < 0)
            drop(fd);
    }
}

int main(int argc, char **argv)
{
    int listener = raw_listen(argc, argv, SOCK_NONBLOCK);
    int ep = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &event) < 0)
        raw_die("epoll", errno);
    static struct epoll_event ready[EVENTS];
    for (;;) {
        int n = epoll_wait(ep, ready, EVENTS, -1);
        if (n < 0 && errno != EINTR)
            raw_die("epoll_wait", errno);
        for (int i = 0; i < n; i++) {
            if (ready[i].data.fd == listener)
                accept_all(ep, listener);
            else
                serve(ready[i].data.fd, ready[i].events);
        }
    }
}
