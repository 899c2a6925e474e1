/* tests/support/fake_driver.c - a driver without I/O: a worker that waits sleeps on a futex. So the
 * runtime's own tests need nothing of io/. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "runtime/base/atomic.h"
#include "runtime/base/clock.h"
#include "runtime/base/sys.h"
#include "runtime/driver.h"
#include "runtime/wait.h"

struct sk_driver {
    _Atomic(uint32_t) x_woken;
    struct sk_driver_counts *counts;
};

struct fake_poll {
    int fd;
    short events;
};

int sk_driver_probe(const struct sk_settings *settings)
{
    (void)settings;
    return 0;
}

int sk_driver_open(struct sk_driver **out, const struct sk_settings *settings,
                   struct sk_driver_counts *counts)
{
    (void)settings;
    *out = calloc(1, sizeof(**out));
    if (*out == NULL)
        return -ENOMEM;
    (*out)->counts = counts;
    return 0;
}

void sk_driver_close(struct sk_driver *d)
{
    free(d);
}

void sk_driver_forget(struct sk_driver *d)
{
    free(d);
}

unsigned sk_driver_poll(struct sk_driver *d)
{
    (void)d;
    return 0;
}

void sk_driver_wait(struct sk_driver *d, skua_time until)
{
    sk_store_relaxed(&d->counts->x_sleeps, sk_load_relaxed(&d->counts->x_sleeps) + 1);
    while (sk_load_acquire(&d->x_woken) == 0 && (until == SKUA_NEVER || sk_clock_now() < until))
        (void)sk_sys_futex_wait(&d->x_woken, 0, until);
    sk_store_relaxed(&d->x_woken, 0u);
}

bool sk_driver_has_mail(struct sk_driver *d)
{
    (void)d;
    return false; /* a wake is no mail: it ends the next wait */
}

void sk_driver_wake(struct sk_driver *d)
{
    sk_store_release(&d->x_woken, 1u);
    sk_sys_futex_wake(&d->x_woken, 1);
}

void sk_driver_cancel(struct skua_task *t)
{
    (void)t;
    abort(); /* there is no operation that could be cancelled */
}

/* A descriptor that is ready already ends the wait; nothing that comes later does. */
int sk_driver_poll_arm(struct sk_driver_poll *p, int fd, short events, struct sk_waiter *waiter)
{
    struct fake_poll *fake = (struct fake_poll *)(void *)p;
    *fake = (struct fake_poll){.fd = fd, .events = events};
    int now = sk_driver_poll_now(fd, events);
    if (now < 0)
        return now;
    if (now > 0)
        sk_wait_wake(waiter->wait->task, waiter->wait->ticket, SK_WAIT_WOKEN);
    return 0;
}

int sk_driver_poll_disarm(struct sk_driver_poll *p)
{
    const struct fake_poll *fake = (struct fake_poll *)(void *)p;
    return sk_driver_poll_now(fake->fd, fake->events);
}

int sk_driver_poll_now(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    if (poll(&p, 1, 0) < 0)
        return -errno;
    return (p.revents & POLLNVAL) != 0 || fd < 0 ? -EBADF : p.revents;
}

void sk_driver_after_fork(void)
{
}

void sk_driver_stop(void)
{
}
