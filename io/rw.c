/* io/rw.c - skua/io.h: reading, writing, polling, closing. */
#include <skua/io.h>

#include <errno.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "io/fd.h"
#include "io/net.h"
#include "io/op.h"
#include "io/tty.h"
#include "runtime/base/clock.h"

/* What one call transfers at most, as in the kernel's read(2) and write(2): INT_MAX, down to a
 * page. */
enum { TRANSFER_MAX = 0x7ffff000 };

static size_t clamp(size_t n)
{
    return n > TRANSFER_MAX ? TRANSFER_MAX : n;
}

static ssize_t run(struct sk_op_life *life, enum sk_op_kind kind, int fd, const void *addr,
                   size_t n, uint64_t off, skua_time dl)
{
    struct sk_op op;
    sk_op_init(&op, kind, fd, addr, n, off, 0);
    op.is_nowait = sk_net_may_disagree(kind, fd, NULL, 0);
    sk_op_bind(&op, life);
    ssize_t rc = sk_op_run(&op, dl);
    sk_op_note(&op, life);
    return rc;
}

/* Before a wait that is no operation. */
static ssize_t await_terminal(struct sk_op_life *life, int fd, bool is_write)
{
    if (!life->is_known)
        life->is_known = sk_fd_generation(fd, &life->generation) == 0;
    return sk_tty_await(fd, is_write);
}

static ssize_t run_once(struct sk_op_life *life, enum sk_op_kind kind, int fd, const void *addr,
                        size_t n, skua_time dl)
{
    struct iovec one = {(void *)(uintptr_t)addr, n};
    ssize_t rc = -ENOTTY;
    if (n > 0 && sk_fd_hint(fd) == SK_FD_TERMINAL) {
        if (kind == SK_OP_WRITE)
            rc = sk_tty_write(life, fd, &one, 1, dl);
        else if (kind == SK_OP_WRITEV)
            rc = sk_tty_write(life, fd, addr, (int)n, dl);
    }
    return rc != -ENOTTY ? rc : run(life, kind, fd, addr, n, SK_OP_POSITION, dl);
}

/* What has no offset of the caller's: it may be the terminal. */
static ssize_t run_plain(struct sk_op_life *life, enum sk_op_kind kind, int fd, const void *addr,
                         size_t n, skua_time dl)
{
    bool is_write = kind == SK_OP_WRITE || kind == SK_OP_WRITEV;
    ssize_t rc = sk_tty_is_there() ? await_terminal(life, fd, is_write) : 0;
    while (rc >= 0) {
        rc = run_once(life, kind, fd, addr, n, dl);
        if (sk_likely(rc != -EIO))
            return rc;
        rc =
            await_terminal(life, fd, is_write); /* it was in the foreground when it began to wait */
        if (rc == 0)
            return -EIO;
    }
    return rc;
}

/* recv and send say the same on a socket as read and write, and cost less. The hint is wrong when the
 * number was closed by close(2) and is something else now: then it is taken back. A read or write of
 * nothing asks for nothing, but recv would wait. */
static ssize_t run_any(struct sk_op_life *life, enum sk_op_kind plain, enum sk_op_kind socket,
                       int fd, const void *buf, size_t n, skua_time dl)
{
    if (n > 0 && sk_fd_hint(fd) < SK_FD_OTHER) {
        ssize_t rc = sk_net_transfer(life, socket, fd, buf, clamp(n), 0, dl);
        if (rc != -ENOTSOCK)
            return rc;
        sk_fd_set_hint(fd, SK_FD_UNKNOWN);
    }
    return run_plain(life, plain, fd, buf, clamp(n), dl);
}

static inline ssize_t read_some(struct sk_op_life *life, int fd, void *buf, size_t n, skua_time dl)
{
    return run_any(life, SK_OP_READ, SK_OP_RECV, fd, buf, n, dl);
}

static inline ssize_t write_some(struct sk_op_life *life, int fd, const void *buf, size_t n,
                                 skua_time dl)
{
    return run_any(life, SK_OP_WRITE, SK_OP_SEND, fd, buf, n, dl);
}

ssize_t skua_read(int fd, void *buf, size_t n, skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    return read_some(&life, fd, buf, n, dl);
}

ssize_t skua_write(int fd, const void *buf, size_t n, skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    return write_some(&life, fd, buf, n, dl);
}

/* On what cannot seek io_uring ignores the offset, where pread(2) and pwrite(2) say -ESPIPE: they are
 * asked for nothing, which takes no lock (lseek(2) waits for another thread's read(2) of the file).
 * Apart, because it reads errno, whose address must not live across a suspension. */
static __attribute__((noinline)) int check_seekable(enum sk_op_kind kind, int fd)
{
    long call = kind == SK_OP_READ ? SYS_preadv : SYS_pwritev; /* raw, as in io/op_file.c */
    return syscall(call, fd, NULL, 0, 0, 0) < 0 ? -errno : 0;
}

/* An offset of -1 would mean the file's own position. */
static ssize_t run_at(enum sk_op_kind kind, int fd, const void *buf, size_t n, off_t off,
                      skua_time dl)
{
    int rc = off < 0 ? -EINVAL : sk_clock_check_deadline(dl);
    if (rc == 0)
        rc = check_seekable(kind, fd);
    if (rc < 0)
        return rc;
    struct sk_op op;
    sk_op_init(&op, kind, fd, buf, clamp(n), (uint64_t)off, 0);
    op.is_limited = true;
    return sk_op_run(&op, dl);
}

ssize_t skua_pread(int fd, void *buf, size_t n, off_t off, skua_time dl)
{
    return run_at(SK_OP_READ, fd, buf, n, off, dl);
}

ssize_t skua_pwrite(int fd, const void *buf, size_t n, off_t off, skua_time dl)
{
    return run_at(SK_OP_WRITE, fd, buf, n, off, dl);
}

ssize_t skua_readv(int fd, const struct iovec *v, int n, skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    return n < 0 ? -EINVAL : run_plain(&life, SK_OP_READV, fd, v, (size_t)n, dl);
}

ssize_t skua_writev(int fd, const struct iovec *v, int n, skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    return n < 0 ? -EINVAL : run_plain(&life, SK_OP_WRITEV, fd, v, (size_t)n, dl);
}

int skua_read_full(int fd, void *buf, size_t n, size_t *done, skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    size_t got = 0;
    ssize_t rc = sk_clock_check_deadline(dl);
    while (rc >= 0 && got < n) {
        rc = read_some(&life, fd, (char *)buf + got, n - got, dl);
        if (rc == 0)
            rc = -EPIPE;
        else if (rc > 0)
            got += (size_t)rc;
    }
    if (done != NULL)
        *done = got;
    return rc < 0 ? (int)rc : 0;
}

int skua_write_full(int fd, const void *buf, size_t n, size_t *done, skua_time dl)
{
    struct sk_op_life life = {.is_known = false};
    size_t taken = 0;
    ssize_t rc = sk_clock_check_deadline(dl);
    while (rc >= 0 && taken < n) {
        rc = write_some(&life, fd, (const char *)buf + taken, n - taken, dl);
        if (rc == 0)
            rc = -EIO; /* takes nothing and says nothing: not for ever */
        else if (rc > 0)
            taken += (size_t)rc;
    }
    if (done != NULL)
        *done = taken;
    return rc < 0 ? (int)rc : 0;
}

int skua_poll(int fd, short events, skua_time dl)
{
    struct sk_op op;
    sk_op_init(&op, SK_OP_POLL, fd, NULL, 0, 0, (unsigned short)events);
    return sk_op_poll(&op, dl);
}

int skua_close(int fd)
{
    return sk_fd_close(fd);
}
