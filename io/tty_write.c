/* io/tty_write.c - writing to a terminal: io/tty.h.
 * A terminal whose output is stopped (Ctrl-S), or whose other side does not read, takes no more. Unless its
 * descriptor is O_NONBLOCK the kernel then waits in the middle of a write, in whatever thread makes it,
 * whatever a ring was told: the worker would stand still. The descriptor's flags are shared with other
 * processes. So the terminal is opened once more, O_NONBLOCK, for each write; what it takes is written,
 * and for more the caller waits by a poll. What cannot be opened again (the master of a pseudo-terminal, a
 * terminal of another user's) gets one byte at a time, after the poll has said that there is room. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/op.h"
#include "io/tty.h"
#include "runtime/base/clock.h"
#include "runtime/base/sys.h"

/* No errno: the terminal cannot be opened again. */
enum { CANNOT = -5000 };

/* These set errno, whose address must not live across a suspension. */

static __attribute__((noinline)) bool is_blocking_terminal(int fd)
{
    return isatty(fd) && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0;
}

static bool is_master(int fd)
{
    unsigned number;
    return ioctl(fd, TIOCGPTN, &number) == 0;
}

/* The number may mean another file by now: then nothing is written to it. */
static __attribute__((noinline)) ssize_t write_at_once(int fd, const struct iovec *v, int n)
{
    char path[32];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int own =
        is_master(fd) ? -1 : sk_sys_lift(open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own < 0)
        return CANNOT;
    ssize_t rc = isatty(own) && !is_master(own) ? writev(own, v, n) : CANNOT;
    if (rc == -1)
        rc = -errno;
    close(own);
    return rc;
}

static ssize_t write_byte(struct sk_op *op, const struct iovec *v, int n, skua_time dl)
{
    while (n > 1 && v->iov_len == 0)
        v++, n--;
    int rc = sk_op_await_ready(op, 0, dl);
    if (rc < 0 || v->iov_len == 0)
        return rc < 0 ? rc : 0;
    struct sk_op one;
    sk_op_init(&one, SK_OP_WRITE, op->fd, v->iov_base, 1, SK_OP_POSITION, 0);
    one.is_bound = op->is_bound;
    one.generation = op->generation;
    return sk_op_run(&one, dl);
}

ssize_t sk_tty_write(struct sk_op_life *life, int fd, const struct iovec *v, int n, skua_time dl)
{
    struct sk_op op;
    if (!is_blocking_terminal(fd))
        return -ENOTTY;
    ssize_t rc = sk_clock_check_deadline(dl);
    if (rc == 0)
        rc = sk_op_check_caller();
    if (rc == 0 && !life->is_known)
        rc = sk_fd_generation(fd, &life->generation);
    life->is_known = rc == 0;
    sk_op_init(&op, SK_OP_WRITE, fd, NULL, 0, SK_OP_POSITION, 0);
    sk_op_bind(&op, life);
    for (unsigned vain = 0; rc >= 0; vain++) {
        if (!sk_fd_is_same(fd, life->generation))
            return -ECANCELED;
        rc = write_at_once(fd, v, n);
        if (rc == CANNOT)
            return write_byte(&op, v, n, dl);
        if (rc != -EAGAIN)
            return rc;
        rc = sk_op_await_ready(&op, vain, dl);
    }
    return rc;
}
