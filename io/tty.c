#include "io/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <termios.h>
#include <unistd.h>

#include <skua/task.h>

#include "runtime/base/atomic.h"
#include "runtime/base/sys.h"

enum { UNKNOWN, THERE, MISSING };

static _Atomic(uint32_t) x_terminal;

/* A daemon has none, and gets none later without asking for it. */
static __attribute__((noinline)) bool find_terminal(void)
{
    int fd = sk_sys_lift(open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (fd >= 0)
        close(fd);
    sk_store_relaxed(&x_terminal, (uint32_t)(fd >= 0 ? THERE : MISSING));
    return fd >= 0;
}

bool sk_tty_is_there(void)
{
    uint32_t terminal = sk_load_relaxed(&x_terminal);
    return terminal == UNKNOWN ? find_terminal() : terminal == THERE;
}

struct question {
    int fd;
    bool is_write;
};

/* tcgetpgrp(3) fails where fd is not the terminal that controls this process. Apart, as it sets errno, whose
 * address must not live across a suspension. */
static __attribute__((noinline)) bool is_in_the_way(const struct question *q)
{
    struct termios settings;
    pid_t foreground = tcgetpgrp(q->fd);
    if (foreground <= 0 || foreground == getpgrp())
        return false;
    return !q->is_write || (tcgetattr(q->fd, &settings) == 0 && (settings.c_lflag & TOSTOP) != 0);
}

/* A call for nothing goes through the kernel's job control, and then does nothing. In a thread that may
 * wait: another reader may be in the terminal. */
static __attribute__((noinline)) int ask_kernel(void *arg)
{
    const struct question *q = arg;
    char none;
    ssize_t rc = q->is_write ? write(q->fd, &none, 0) : read(q->fd, &none, 0);
    return rc >= 0 || errno == EINTR ? 1 : -errno;
}

int sk_tty_await(int fd, bool is_write)
{
    struct question q = {fd, is_write};
    return is_in_the_way(&q) ? skua_block(ask_kernel, &q, SKUA_NEVER) : 0;
}
