/* io/op_file.c: several at a time at one file's own position. Each byte is read or written once, and
 * calls stay whole, as with read(2) and write(2). */
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <skua/skua.h>

#include "io/fd.h"
#include "runtime/base/sys.h"
#include "tests/unit/io/io_test.h"

enum { WRITERS = 8, LINES = 2000, PIECE = 100 };

static const unsigned worker_counts[] = {1, 2, 8};

/* ---- Writers: line `n` of writer `who` is "who n ======...\n", 20 to 120 bytes. */

static size_t print_line(char *line, int who, int n)
{
    int head = sprintf(line, "%02d %06d ", who, n);
    int len = 20 + (who * 31 + n * 7) % 100;
    memset(line + head, '=', (size_t)(len - head));
    line[len] = '\n';
    return (size_t)len + 1;
}

static int line_count(void)
{
    return (int)skt_scaled(LINES);
}

/* Every line of `writers` writers is there, once, whole, and in its writer's order. */
static void check_lines(int fd, int writers)
{
    int next[WRITERS + 2] = {0}, who, n;
    char line[160], wanted[160];
    FILE *f = fdopen(dup(fd), "r");
    SKT_TRUE(f != NULL);
    rewind(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        SKT_EQ(sscanf(line, "%d %d", &who, &n), 2);
        SKT_TRUE(who >= 0 && who < writers);
        SKT_EQ(n, next[who]);
        size_t len = print_line(wanted, who, n);
        SKT_EQ(strlen(line), len);
        SKT_MEM_EQ(line, wanted, len);
        next[who]++;
    }
    for (who = 0; who < writers; who++)
        SKT_EQ(next[who], line_count());
    fclose(f);
}

enum how { WRITE_FULL, WRITEV, HOWS };

struct writer {
    int fd, who;
    enum how how;
};

static int write_lines(void *arg)
{
    const struct writer *w = arg;
    char line[160];
    for (int n = 0; n < line_count(); n++) {
        size_t len = print_line(line, w->who, n), cut = len / 3;
        struct iovec v[2] = {{line, cut}, {line + cut, len - cut}};
        if (w->how == WRITEV)
            SKT_EQ(skua_writev(w->fd, v, 2, SKUA_NEVER), (ssize_t)len);
        else
            SKT_EQ(skua_write_full(w->fd, line, len, NULL, SKUA_NEVER), 0);
    }
    return 0;
}

static void *write_lines_plainly(void *arg)
{
    const struct writer *w = arg;
    char line[160];
    for (int n = 0; n < line_count(); n++) {
        size_t len = print_line(line, w->who, n);
        SKT_EQ(write(w->fd, line, len), (ssize_t)len);
    }
    return NULL;
}

struct crowd {
    int fds[WRITERS];
    enum how how;
};

static int spawn_writers(void *arg)
{
    const struct crowd *c = arg;
    struct writer w[WRITERS];
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writer){c->fds[i], i, c->how};
        SKT_EQ(skua_spawn(&s, write_lines, &w[i]), 0);
    }
    return skua_scope_close(&s, SKUA_NEVER);
}

static int open_temporary(int flags)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
    SKT_GE(fd, 0);
    return fd;
}

/* All on one descriptor, or each on a copy of its own. */
static void run_writers(int fd, bool copies, enum how how, unsigned workers)
{
    struct crowd c = {.how = how};
    for (int i = 0; i < WRITERS; i++)
        c.fds[i] = copies ? dup(fd) : fd;
    io_run(spawn_writers, &c, workers);
    for (int i = 0; i < WRITERS && copies; i++)
        close(c.fds[i]);
}

SKT_TEST(op_file, writers)
{
    for (int i = 0; i < 3; i++) {
        for (int how = 0; how < HOWS; how++) {
            int fd = open_temporary(0);
            run_writers(fd, false, (enum how)how, worker_counts[i]);
            check_lines(fd, WRITERS);
            close(fd);
        }
    }
}

SKT_TEST(op_file, writers_on_copies)
{
    for (int i = 0; i < 3; i++) {
        int fd = open_temporary(i == 1 ? O_APPEND : 0);
        run_writers(fd, true, WRITE_FULL, worker_counts[i]);
        check_lines(fd, WRITERS);
        close(fd);
    }
}

/* Beside a plain thread of this process, and another process. */
SKT_TEST(op_file, writers_beside_others)
{
    for (int i = 0; i < 3; i++) {
        int fd = open_temporary(0);
        struct writer plain = {fd, WRITERS, WRITE_FULL}, other = {fd, WRITERS + 1, WRITE_FULL};
        pthread_t thread;
        pid_t child = fork();
        SKT_GE(child, 0);
        if (child == 0) {
            write_lines_plainly(&other);
            _exit(0);
        }
        SKT_EQ(pthread_create(&thread, NULL, write_lines_plainly, &plain), 0);
        run_writers(fd, false, WRITE_FULL, worker_counts[i]);
        SKT_EQ(pthread_join(thread, NULL), 0);
        SKT_EQ(waitpid(child, NULL, 0), child);
        check_lines(fd, WRITERS + 2);
        close(fd);
    }
}

/* A plain thread's calls of skua_write while the runtime runs. */
static void *write_by_skua(void *arg)
{
    (void)write_lines(arg);
    return NULL;
}

static int writers_and_thread(void *arg)
{
    const struct crowd *c = arg;
    struct writer plain = {c->fds[0], WRITERS, WRITE_FULL};
    pthread_t thread;
    SKT_EQ(pthread_create(&thread, NULL, write_by_skua, &plain), 0);
    SKT_EQ(spawn_writers(arg), 0);
    pthread_join(thread, NULL); /* it needs no worker */
    return 0;
}

SKT_TEST(op_file, writers_in_plain_threads)
{
    for (int i = 0; i < 3; i++) {
        struct crowd c = {.how = WRITE_FULL};
        int fd = open_temporary(0);
        for (int j = 0; j < WRITERS; j++)
            c.fds[j] = fd;
        io_run(writers_and_thread, &c, worker_counts[i]);
        check_lines(fd, WRITERS + 1);
        close(fd);
    }
}

/* What was a pipe, or a socket of skua's, is a file now, and nobody has told skua. */
static int swap_body(void *arg)
{
    int fds[2], fd = *(int *)arg;
    struct crowd c = {.how = WRITE_FULL};
    io_pipe(fds);
    SKT_EQ(skua_write(fds[1], "x", 1, SKUA_NEVER), 1);
    sk_fd_set_hint(fds[1], SK_FD_STREAM);
    SKT_EQ(dup2(fd, fds[1]), fds[1]);
    for (int i = 0; i < WRITERS; i++)
        c.fds[i] = fds[1];
    SKT_EQ(spawn_writers(&c), 0);
    close(fds[0]);
    close(fds[1]);
    return 0;
}

SKT_TEST(op_file, number_becomes_a_file)
{
    int fd = open_temporary(0);
    io_run(swap_body, &fd, 2);
    check_lines(fd, WRITERS);
    close(fd);
}

/* ---- Readers: a file of pieces of 100 bytes, of which many lie across two pages. */

static struct {
    int fds[WRITERS];
    int how;
    int pieces;
    _Atomic(int) *x_seen;
} reading;

static ssize_t read_piece(int fd, char *piece)
{
    struct iovec v[2] = {{piece, 33}, {piece + 33, PIECE - 33}};
    size_t done;
    switch (reading.how) {
    case 0:
        return skua_read(fd, piece, PIECE, SKUA_NEVER);
    case 1:
        return skua_readv(fd, v, 2, SKUA_NEVER);
    default:
        SKT_TRUE(skua_read_full(fd, piece, PIECE, &done, SKUA_NEVER) <= 0);
        return (ssize_t)done;
    }
}

static int read_pieces(void *arg)
{
    char piece[PIECE + 1];
    ssize_t n;
    while ((n = read_piece(*(int *)arg, piece)) > 0) {
        SKT_EQ(n, PIECE);
        piece[n] = '\0';
        int number = atoi(piece);
        SKT_TRUE(number >= 0 && number < reading.pieces);
        for (int i = 8; i < PIECE; i++)
            SKT_EQ(piece[i], 'a' + number % 26); /* of one piece only */
        SKT_EQ(sk_add_relaxed(&reading.x_seen[number], 1), 0);
    }
    SKT_EQ(n, 0);
    return 0;
}

static int spawn_readers(void *arg)
{
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = 0; i < WRITERS; i++)
        SKT_EQ(skua_spawn(&s, read_pieces, &reading.fds[i]), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

static int make_pieces(int pieces)
{
    char piece[PIECE];
    int fd = open_temporary(0);
    FILE *f = fdopen(dup(fd), "w");
    for (int i = 0; i < pieces; i++) {
        memset(piece, 'a' + i % 26, PIECE);
        memcpy(piece, (char[9]){0}, 8);
        sprintf(piece, "%07d", i);
        SKT_EQ(fwrite(piece, PIECE, 1, f), 1);
    }
    fclose(f);
    return fd;
}

static void run_readers(int fd, bool copies, int how, unsigned workers)
{
    reading.how = how;
    reading.x_seen = calloc((size_t)reading.pieces, sizeof(*reading.x_seen));
    SKT_EQ(fsync(fd), 0);
    SKT_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    SKT_EQ(lseek(fd, 0, SEEK_SET), 0);
    for (int i = 0; i < WRITERS; i++)
        reading.fds[i] = copies ? dup(fd) : fd;
    io_run(spawn_readers, NULL, workers);
    for (int i = 0; i < reading.pieces; i++)
        SKT_EQ(sk_load_relaxed(&reading.x_seen[i]), 1);
    for (int i = 0; i < WRITERS && copies; i++)
        close(reading.fds[i]);
    free(reading.x_seen);
}

SKT_TEST(op_file, readers)
{
    reading.pieces = (int)skt_scaled(WRITERS * LINES);
    int fd = make_pieces(reading.pieces);
    for (int i = 0; i < 3; i++)
        for (int how = 0; how < 3; how++)
            run_readers(fd, how == i, how, worker_counts[i]);
    close(fd);
}

/* ---- A call that waits in the kernel for as long as the test wants. */

static struct {
    int fd; /* calls on it are held */
    sem_t may_go;
    _Atomic(int) x_inside, x_calls;
    ssize_t (*write)(int fd, const void *buf, size_t n);
} held;

static ssize_t held_write(int fd, const void *buf, size_t n)
{
    if (fd == held.fd) {
        sk_add_relaxed(&held.x_calls, 1);
        sk_add_relaxed(&held.x_inside, 1);
        while (sem_wait(&held.may_go) < 0)
            ;
        sk_add_relaxed(&held.x_inside, -1);
    }
    return held.write(fd, buf, n);
}

static void hold_begin(void)
{
    held.fd = open_temporary(0);
    held.write = sk_sys.write;
    sem_init(&held.may_go, 0, 0);
    sk_store_relaxed(&held.x_calls, 0);
    sk_sys.write = held_write;
}

static void hold_end(void)
{
    sk_sys.write = held.write;
    sem_destroy(&held.may_go);
}

static void until_inside(int count)
{
    while (sk_load_relaxed(&held.x_inside) != count)
        SKT_EQ(skua_sleep(SKUA_MS(1)), 0);
}

struct one {
    const char *text;
    skua_time dl;
    ssize_t rc;
    _Atomic(bool) x_begun;
    skua_task *task;
};

static int write_one(void *arg)
{
    struct one *o = arg;
    sk_store_relaxed(&o->x_begun, true);
    o->rc = skua_write(held.fd, o->text, strlen(o->text), o->dl);
    return 0;
}

static void spawn_one(skua_scope *s, struct one *o, const char *text, skua_time dl)
{
    *o = (struct one){.text = text, .dl = dl, .rc = 99};
    SKT_EQ(skua_spawn_opts(s, write_one, o, NULL, &o->task), 0);
    while (!sk_load_relaxed(&o->x_begun))
        skua_yield();
}

static void join_one(struct one *o, ssize_t rc)
{
    SKT_EQ(skua_join(o->task, NULL, SKUA_NEVER), 0);
    SKT_EQ(o->rc, rc);
    skua_task_unref(o->task);
}

static void check_text(int fd, const char *text)
{
    char buf[64] = "";
    SKT_EQ(pread(fd, buf, sizeof(buf), 0), (ssize_t)strlen(text));
    SKT_MEM_EQ(buf, text, strlen(text));
}

/* One runs, others stand behind it; what ends their waits ends those that stand. */
static int ends_body(void *arg)
{
    struct one first, late, gone, now, last;
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    spawn_one(&s, &first, "first ", SKUA_NEVER);
    until_inside(1);
    spawn_one(&s, &late, "late ", skua_in(SKUA_MS(20)));
    spawn_one(&s, &gone, "gone ", SKUA_NEVER);
    spawn_one(&s, &now, "now ", SKUA_NOW);
    spawn_one(&s, &last, "last ", SKUA_NEVER);
    join_one(&late, -ETIMEDOUT);
    SKT_EQ(skua_cancel(gone.task), 1);
    join_one(&gone, -ECANCELED);
    SKT_EQ(skua_cancel(first.task), 1); /* it runs: its effect is reported */
    SKT_EQ(sk_load_relaxed(&held.x_calls), 1);
    for (int i = 0; i < 3; i++)
        sem_post(&held.may_go);
    join_one(&first, 6);
    join_one(&now, 4);
    join_one(&last, 5);
    check_text(held.fd, "first now last ");
    SKT_EQ(sk_load_relaxed(&held.x_calls), 3);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(skua_close(held.fd), 0);
    return 0;
}

SKT_TEST(op_file, cancel_and_deadline)
{
    for (int i = 0; i < 3; i++) {
        hold_begin();
        io_run(ends_body, NULL, worker_counts[i]);
        hold_end();
    }
}

static int close_it(void *arg)
{
    *(int *)arg = skua_close(held.fd);
    return 0;
}

/* skua_close ends those that stand, and waits for the one that runs: the number is not free before. */
static int close_body(void *arg)
{
    struct one first, second, third;
    int closed = 99, copy = dup(held.fd);
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    spawn_one(&s, &first, "first ", SKUA_NEVER);
    until_inside(1);
    spawn_one(&s, &second, "second ", SKUA_NEVER);
    spawn_one(&s, &third, "third ", SKUA_NOW);
    SKT_EQ(skua_spawn(&s, close_it, &closed), 0);
    join_one(&second, -ECANCELED);
    join_one(&third, -ECANCELED);
    SKT_EQ(closed, 99);
    SKT_GE(fcntl(held.fd, F_GETFD), 0);
    sem_post(&held.may_go);
    join_one(&first, 6);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(closed, 0);
    SKT_EQ(sk_load_relaxed(&held.x_calls), 1);
    check_text(copy, "first ");
    close(copy);
    return 0;
}

SKT_TEST(op_file, close)
{
    for (int i = 0; i < 3; i++) {
        hold_begin();
        io_run(close_body, NULL, worker_counts[i]);
        hold_end();
    }
}

static void *write_one_in_thread(void *arg)
{
    (void)write_one(arg);
    return NULL;
}

static int close_thread_body(void *arg)
{
    struct one one = {.text = "thread", .dl = SKUA_NEVER};
    int closed = 99, copy = dup(held.fd);
    pthread_t thread;
    skua_scope s;
    (void)arg;
    SKT_EQ(pthread_create(&thread, NULL, write_one_in_thread, &one), 0);
    until_inside(1);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, close_it, &closed), 0);
    for (int i = 0; i < 10; i++)
        skua_yield();
    SKT_EQ(closed, 99);
    sem_post(&held.may_go);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    SKT_EQ(closed, 0);
    pthread_join(thread, NULL);
    SKT_EQ(one.rc, 6);
    check_text(copy, "thread");
    close(copy);
    return 0;
}

SKT_TEST(op_file, close_waits_for_a_plain_thread)
{
    for (int i = 0; i < 3; i++) {
        hold_begin();
        io_run(close_thread_body, NULL, worker_counts[i]);
        hold_end();
    }
}

/* ---- Threads of its own. */

static int wait_for_post(void *arg)
{
    sem_t *posted = arg;
    while (sem_wait(posted) < 0)
        ;
    return 7;
}

struct call {
    sem_t posted;
    int rc;
};

static int block_for_post(void *arg)
{
    struct call *c = arg;
    c->rc = skua_block(wait_for_post, &c->posted, SKUA_NEVER);
    return 0;
}

/* All that skua_block may have waits for a coroutine that writes a file. */
static int full_body(void *arg)
{
    struct call c[3];
    skua_scope s;
    int fd = open_temporary(0);
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    for (int i = 0; i < 3; i++) {
        sem_init(&c[i].posted, 0, 0);
        SKT_EQ(skua_spawn(&s, block_for_post, &c[i]), 0);
    }
    skua_yield();
    SKT_EQ(skua_write(fd, "x", 1, SKUA_NEVER), 1);
    SKT_EQ(skua_close(fd), 0);
    for (int i = 0; i < 3; i++)
        sem_post(&c[i].posted);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    for (int i = 0; i < 3; i++) {
        SKT_EQ(c[i].rc, 7);
        sem_destroy(&c[i].posted);
    }
    return 0;
}

SKT_TEST(op_file, skua_block_is_full)
{
    for (int i = 0; i < 3; i++) {
        skua_config config = SKUA_CONFIG_INIT;
        config.workers = worker_counts[i];
        config.block_threads = 1;
        SKT_EQ(skua_run(full_body, NULL, &config), 0);
    }
}

static int (*create_thread)(unsigned long *thread, void *(*fn)(void *), void *arg);

static int refuse_thread(unsigned long *thread, void *(*fn)(void *), void *arg)
{
    (void)thread, (void)fn, (void)arg;
    return -EAGAIN;
}

static int no_thread_body(void *arg)
{
    int fd = *(int *)arg;
    create_thread = sk_sys.thread_create;
    sk_sys.thread_create = refuse_thread;
    SKT_EQ(skua_write(fd, "abc", 3, SKUA_NEVER), 3);
    SKT_EQ(lseek(fd, 0, SEEK_SET), 0);
    char buf[4];
    SKT_EQ(skua_read(fd, buf, 4, SKUA_NEVER), 3);
    SKT_MEM_EQ(buf, "abc", 3);
    sk_sys.thread_create = create_thread;
    return 0;
}

SKT_TEST(op_file, no_thread)
{
    int fd = open_temporary(0);
    io_run(no_thread_body, &fd, 1);
    close(fd);
}
