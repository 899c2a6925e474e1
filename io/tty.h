/* io/tty.h - job control: a process in the background that reads its terminal is stopped by SIGTTIN, and one
 * that writes it by SIGTTOU where the terminal has TOSTOP. read(2) and write(2) do that in the thread that
 * calls. A ring's request is carried out by a thread of the kernel's, which blocks all signals: a read
 * waits, and then fails with -EIO, and a write succeeds. So the question is asked before, and again
 * after -EIO.
 * Threads: coroutine or plain thread; may suspend. */
#ifndef SK_IO_TTY_H
#define SK_IO_TTY_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <skua/time.h>

#include "io/op.h"

/* Whether fd may be the terminal that controls this process: one without costs its pipes nothing. */
bool sk_tty_is_there(void);

/* 0: nothing stands in the way of reading, or writing, fd. 1: something did; the process was stopped, and has
 * been continued, or a handler of the program's has run. -EIO: the program ignores the signal, or nothing
 * could continue the process. Other negative errno: the wait for this answer has ended. */
int sk_tty_await(int fd, bool is_write);

/* io/tty_write.c. Writes to a terminal without holding the caller's worker: how much it took, 1 byte or
 * more, or a negative errno as of sk_op_run. -ENOTTY: fd is no terminal, or is O_NONBLOCK, so that an
 * operation does as well; nothing was done. */
ssize_t sk_tty_write(struct sk_op_life *life, int fd, const struct iovec *v, int n, skua_time dl);

#endif
