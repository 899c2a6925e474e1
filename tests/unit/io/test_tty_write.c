/* tests/unit/io/test_tty_write.c - writing to terminals that take no more: no worker stands still. */
#include <pty.h>
#include <stdatomic.h>
#include <string.h>
#include <termios.h>

#include "tests/unit/io/io_test.h"

enum { BYTES = 3000 };

struct terminal {
    int to, from; /* the end that is written, and the other one */
};

/* Raw, so that what is read is what was written. to_master: the master is written. */
static struct terminal open_terminal(bool to_master)
{
    struct termios raw;
    int master, slave;
    memset(&raw, 0, sizeof(raw));
    cfmakeraw(&raw);
    raw.c_cflag |= CS8;
    raw.c_cc[VMIN] = 1;
    SKT_EQ(openpty(&master, &slave, NULL, &raw, NULL), 0);
    return to_master ? (struct terminal){master, slave} : (struct terminal){slave, master};
}

static void close_terminal(const struct terminal *t)
{
    close(t->to);
    close(t->from);
}

struct writer {
    int fd;
    bool by_vector;
    skua_time dl;
    size_t done;
    int rc;
};

static char text[BYTES];

static ssize_t write_some(const struct writer *w, size_t from)
{
    struct iovec v[3] = {{text + from, 0}, {text + from, 1}, {text + from + 1, BYTES - from - 1}};
    return w->by_vector ? skua_writev(w->fd, v, 3, w->dl)
                        : skua_write(w->fd, text + from, BYTES - from, w->dl);
}

static int write_text(void *arg)
{
    struct writer *w = arg;
    ssize_t rc;
    for (size_t from = 0; from < BYTES; from += (size_t)rc) {
        rc = write_some(w, from);
        SKT_GT(rc, 0);
    }
    return 0;
}

/* Until something ends it. Room may come for a while: a thread of the kernel's moves on what was
 * written. */
static int write_on_and_on(void *arg)
{
    struct writer *w = arg;
    ssize_t rc;
    while ((rc = write_some(w, 0)) > 0)
        w->done += (size_t)rc;
    w->rc = (int)rc;
    return 0;
}

/* Until it takes no more for a while: a thread of the kernel's moves on what was written. */
static size_t fill(int fd)
{
    static const char junk[4096];
    size_t filled = 0;
    int flags = fcntl(fd, F_GETFL);
    SKT_EQ(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
    for (int refused = 0; refused < 10;) {
        ssize_t n = write(fd, junk, sizeof(junk));
        refused = n > 0 ? 0 : refused + 1;
        filled += n > 0 ? (size_t)n : 0;
        if (n <= 0)
            usleep(2000);
    }
    SKT_EQ(fcntl(fd, F_SETFL, flags), 0);
    return filled;
}

static int count(void *x_count)
{
    while (skua_yield() == 0)
        atomic_fetch_add((_Atomic(uint64_t) *)x_count, 1);
    return 0;
}

/* Until the deadline others of the same worker run. */
static void wait_in_vain(skua_scope *s, struct writer *w)
{
    _Atomic(uint64_t) x_count = 0;
    skua_task *writer, *counter;
    w->dl = skua_in(SKUA_MS(50));
    SKT_EQ(skua_spawn_opts(s, count, &x_count, NULL, &counter), 0);
    SKT_EQ(skua_spawn_opts(s, write_on_and_on, w, NULL, &writer), 0);
    SKT_EQ(skua_join(writer, NULL, SKUA_NEVER), 0);
    skua_cancel(counter);
    SKT_EQ(skua_join(counter, NULL, SKUA_NEVER), 0);
    skua_task_unref(writer);
    skua_task_unref(counter);
    SKT_EQ(w->rc, -ETIMEDOUT);
    w->rc = 0;
}

static void try_in_vain(skua_scope *s, struct writer *w)
{
    skua_task *writer;
    w->dl = SKUA_NEVER;
    SKT_EQ(skua_spawn_opts(s, write_on_and_on, w, NULL, &writer), 0);
    skua_sleep(SKUA_MS(2));
    SKT_EQ(skua_cancel(writer), 1);
    SKT_EQ(skua_join(writer, NULL, SKUA_NEVER), 0);
    skua_task_unref(writer);
    SKT_EQ(w->rc, -ECANCELED);
    w->rc = 0;
}

/* What filled it, and then the text. */
static void read_text(int fd, size_t filled)
{
    static char got[BYTES];
    for (size_t n; filled > 0; filled -= n) {
        n = filled < BYTES ? filled : BYTES;
        SKT_EQ(skua_read_full(fd, got, n, NULL, SKUA_NEVER), 0);
    }
    SKT_EQ(skua_read_full(fd, got, BYTES, NULL, SKUA_NEVER), 0);
    SKT_EQ(memcmp(got, text, BYTES), 0);
}

static int body(void *arg)
{
    skua_scope s;
    (void)arg;
    for (unsigned i = 0; i < BYTES; i++)
        text[i] = (char)('a' + i % 23);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int kind = 0; kind < 4; kind++) {
        struct terminal t = open_terminal(kind % 2 != 0);
        struct writer w = {.fd = t.to, .by_vector = kind / 2 != 0};
        size_t filled = fill(t.to);
        ssize_t rc;
        while ((rc = skua_write(t.to, "j", 1, SKUA_NOW)) == 1)
            filled++;
        SKT_EQ(rc, -EAGAIN);
        wait_in_vain(&s, &w);
        try_in_vain(&s, &w);
        w.dl = SKUA_NEVER;
        skua_task *writer;
        SKT_EQ(skua_spawn_opts(&s, write_text, &w, NULL, &writer), 0);
        read_text(t.from, filled + w.done);
        SKT_EQ(skua_join(writer, NULL, SKUA_NEVER), 0);
        skua_task_unref(writer);
        SKT_EQ(fcntl(t.to, F_GETFL) & O_NONBLOCK, 0);
        close_terminal(&t);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: a terminal that is full ends a write at its deadline and by cancellation, holds no worker, and loses
 * nothing; so does the master of one, which cannot be opened again. */
SKT_TEST(tty_write, full)
{
    io_run(body, NULL, 1);
    io_run(body, NULL, 2);
    io_run(body, NULL, 8);
}

static int close_body(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        struct terminal t = open_terminal(kind != 0);
        struct writer w = {.fd = t.to};
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        (void)fill(t.to);
        w.dl = SKUA_NEVER;
        skua_task *writer;
        SKT_EQ(skua_spawn_opts(&s, write_on_and_on, &w, NULL, &writer), 0);
        skua_sleep(SKUA_MS(2));
        SKT_EQ(skua_close(t.to), 0);
        SKT_EQ(skua_join(writer, NULL, SKUA_NEVER), 0);
        skua_task_unref(writer);
        SKT_TRUE(w.rc == -ECANCELED || w.rc == -EBADF);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        close(t.from);
    }
    return 0;
}

/* Goal: skua_close ends it. */
SKT_TEST(tty_write, closed)
{
    io_run(close_body, NULL, 1);
    io_run(close_body, NULL, 2);
    io_run(close_body, NULL, 8);
}
