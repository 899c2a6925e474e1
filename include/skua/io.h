/* skua/io.h - reading, writing, polling and closing of any descriptor.
 * A descriptor needs no O_NONBLOCK, and its flags are not changed. A call returns only when the
 * kernel is done with the caller's buffer, and what has taken effect is never lost: where bytes
 * came before a deadline or a cancellation, they are what is returned. No write ends the process by
 * SIGPIPE or SIGXFSZ (<skua/runtime.h>).
 * Regular files and block devices always count as ready: a call on one waits for the disk, but for
 * no deadline and no cancellation. Who copies much asks skua_cancelled now and then.
 * At a file's own position (all calls but skua_pread and skua_pwrite) the calls of any number of
 * coroutines, threads and processes are as those of read(2) and write(2): each byte is read or written
 * once, and no call comes between the parts of another. A thread of a pool makes them, one at a time
 * for each descriptor; while a call waits for its turn, a deadline, a cancellation and skua_close end
 * it. skua_pread and skua_pwrite are faster, and need no turn.
 * A plain thread's calls need no worker: SKUA_NOW and deadlines hold whatever coroutines do. From its
 * first call until it ends, or calls skua_stop, the thread has two descriptors and a small ring: a call
 * that cannot have them says -EMFILE, -ENFILE, -ENOMEM or -ENOTSUP.
 * On the terminal that controls the process: job control is as for read(2) and write(2). A read in the
 * background stops the process by SIGTTIN, a write by SIGTTOU if the terminal has TOSTOP, and goes on in
 * the foreground; it fails with -EIO where the program ignores or blocks the signal. SKUA_NOW too.
 * A function that must not wait (a timer's, a done callback) gets -EPERM, with SKUA_NOW too.
 * For the meaning of dl see <skua/time.h>. */
#ifndef SKUA_IO_H
#define SKUA_IO_H

#include <poll.h> /* POLLIN ..., for skua_poll */
#include <sys/types.h>
#include <sys/uio.h>

#include <skua/base.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

/** Reads 1..n bytes from fd into buf.
 * buf       caller-owned, n bytes; the kernel may write to it until this returns.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   bytes read; 0 at end of file; -EAGAIN, -ETIMEDOUT, -ECANCELED (if data won the race,
 *           the data is returned instead); any other negative errno as the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_READ; of a file, read(2). */
SKUA_API ssize_t skua_read(int fd, void *buf, size_t n, skua_time dl);

/** Writes 1..n bytes from buf to fd.
 * buf       caller-owned, n bytes, unchanged until this returns.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   bytes written; -EAGAIN, -ETIMEDOUT, -ECANCELED (if bytes were taken, their number is
 *           returned instead); any other negative errno as the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_WRITE; to a file,
 *           write(2). */
SKUA_API ssize_t skua_write(int fd, const void *buf, size_t n, skua_time dl);

/** As skua_read, at an offset; the file's position stays.
 * off       bytes from the start of the file, not negative.
 * returns   as skua_read; -ESPIPE where fd cannot seek.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_READ. */
SKUA_API ssize_t skua_pread(int fd, void *buf, size_t n, off_t off, skua_time dl);

/** As skua_write, at an offset; the file's position stays.
 * off       bytes from the start of the file, not negative.
 * returns   as skua_write; -ESPIPE where fd cannot seek.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_WRITE. */
SKUA_API ssize_t skua_pwrite(int fd, const void *buf, size_t n, off_t off, skua_time dl);

/** As skua_read, into several buffers, each filled before the next.
 * v, n      n buffers, 0..1024 (IOV_MAX); both the array and the buffers stay until this returns.
 * returns   as skua_read.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_READV; of a file,
 *           readv(2). */
SKUA_API ssize_t skua_readv(int fd, const struct iovec *v, int n, skua_time dl);

/** As skua_write, from several buffers in order.
 * v, n      n buffers, 0..1024 (IOV_MAX); both the array and the buffers stay until this returns.
 * returns   as skua_write.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_WRITEV; to a
 *           file, writev(2). */
SKUA_API ssize_t skua_writev(int fd, const struct iovec *v, int n, skua_time dl);

/** Reads until buf is full.
 * buf       caller-owned, n bytes.
 * done      NULL, or written with the bytes that are in buf, on failure too.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER, for the whole.
 * returns   0: n bytes were read; -EPIPE: the end of the file came first; otherwise a failure as of
 *           skua_read. After skua_close it never goes on with another file that has got the number.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_READ, repeated. */
SKUA_API int skua_read_full(int fd, void *buf, size_t n, size_t *done, skua_time dl);

/** Writes all of buf.
 * buf       caller-owned, n bytes, unchanged until this returns.
 * done      NULL, or written with the bytes that were taken, on failure too.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER, for the whole.
 * returns   0: all n bytes were taken; otherwise a failure as of skua_write. After skua_close it
 *           never goes on with another file that has got the number.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_WRITE, as often as it
 *           takes. */
SKUA_API int skua_write_full(int fd, const void *buf, size_t n, size_t *done, skua_time dl);

/** Waits until fd is ready: how a library that does its own non-blocking I/O waits.
 * events    POLLIN, POLLOUT ... of poll(2).
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   what is ready, as poll's revents (POLLERR and POLLHUP come unasked); -EAGAIN,
 *           -ETIMEDOUT, -ECANCELED, or another negative errno as the kernel gave it.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_POLL_ADD. */
SKUA_API int skua_poll(int fd, short events, skua_time dl);

/** Cancels what is in flight on fd, which then returns -ECANCELED (or its effect), waits for it,
 * and closes fd. It sees neither cancellation nor deadlines. It does not call shutdown: copies of a
 * socket that other processes hold live on. A close(2) that may wait (a socket that lingers, a file, a
 * terminal) is made by a thread of a pool, and other coroutines go on meanwhile.
 * returns   0; a negative errno as close(2) gave it: fd is closed all the same, but for -EBADF;
 *           -EPERM: in a callback that must not wait, with operations in flight: nothing was done.
 *           In such a callback a close(2) that may wait is left to a thread, and 0 is returned at once.
 * suspends  may.   from  coroutine or plain thread.   source  IORING_OP_ASYNC_CANCEL, close(2). */
SKUA_API int skua_close(int fd);

SKUA_EXTERN_C_END

#endif
