/* Descriptors as one of the things that a wait waits for. */
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "tests/unit/io/io_test.h"
#include "tests/unit/io/watch.h"

enum { PATIENCE_S = 60 };

static void run(int (*body)(void *), void *arg)
{
    static const unsigned workers[] = {1, 2, 8};
    for (int i = 0; i < 3; i++)
        io_run(body, arg, workers[i]);
}

/* The same as a plain thread. */
static void run_in_thread(int (*body)(void *), void *arg)
{
    static const unsigned workers[] = {1, 2, 8};
    for (int i = 0; i < 3; i++) {
        skua_config config = SKUA_CONFIG_INIT;
        config.workers = workers[i];
        SKT_EQ(skua_start(&config), 0);
        SKT_EQ(body(arg), 0);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
    }
}

static void close_pair(int fds[2])
{
    SKT_EQ(skua_close(fds[0]), 0);
    SKT_EQ(skua_close(fds[1]), 0);
}

/* Goal: what poll(2) says, at once. */
static int now_body(void *arg)
{
    int fds[2];
    (void)arg;
    io_pair(fds);
    SKT_EQ(sk_driver_poll_now(fds[0], POLLIN), 0);
    SKT_EQ(sk_driver_poll_now(fds[0], POLLOUT), POLLOUT);
    SKT_EQ(write(fds[1], "a", 1), 1);
    SKT_EQ(sk_driver_poll_now(fds[0], POLLIN), POLLIN);
    SKT_EQ(sk_driver_poll_now(fds[0], POLLIN | POLLOUT), POLLIN | POLLOUT);
    SKT_EQ(skua_close(fds[1]), 0);
    SKT_EQ(sk_driver_poll_now(fds[0], 0), POLLHUP);
    SKT_EQ(sk_driver_poll_now(fds[0], POLLRDHUP), POLLHUP | POLLRDHUP);
    SKT_EQ(sk_driver_poll_now(fds[1], POLLIN), -EBADF);
    SKT_EQ(sk_driver_poll_now(-1, POLLIN), -EBADF);
    SKT_EQ(skua_close(fds[0]), 0);
    return 0;
}

SKT_TEST(poll, now)
{
    now_body(NULL);
    io_run(now_body, NULL, 2);
}

static void open_pairs(int *fds, int *peers, int n)
{
    for (int i = 0; i < n; i++) {
        int pair[2];
        io_pair(pair);
        fds[i] = pair[0];
        peers[i] = pair[1];
    }
}

/* Goal: nothing comes: the wait ends by its deadline, disarm says 0, and nothing is left. */
static int nothing_body(void *arg)
{
    int fds[WATCH_MOST], peers[WATCH_MOST], results[WATCH_MOST];
    (void)arg;
    open_pairs(fds, peers, WATCH_MOST);
    for (int n = 0; n <= WATCH_MOST; n++) {
        skua_time dl = skua_in(SKUA_MS(2));
        SKT_EQ(watch_all(fds, n, POLLIN, dl, results), -ETIMEDOUT);
        SKT_GE(skua_now(), dl);
        for (int i = 0; i < n; i++)
            SKT_EQ(results[i], 0);
        for (int i = 0; i < WATCH_MOST; i++)
            SKT_FALSE(watch_is_listed(fds[i]));
    }
    for (int i = 0; i < WATCH_MOST; i++) {
        SKT_EQ(skua_close(fds[i]), 0);
        SKT_EQ(skua_close(peers[i]), 0);
    }
    return 0;
}

SKT_TEST(poll, nothing)
{
    run(nothing_body, NULL);
    run_in_thread(nothing_body, NULL);
}

/* Goal: what is ready when it is armed ends the wait; it says which, and takes nothing away. */
static int ready_body(void *arg)
{
    int fds[3], peers[3], results[3];
    char byte;
    (void)arg;
    open_pairs(fds, peers, 3);
    for (int round = 0; round < 30; round++) {
        int ready = round % 3;
        SKT_EQ(write(peers[ready], "a", 1), 1);
        SKT_EQ(watch_all(fds, 3, POLLIN, skua_in(SKUA_S(PATIENCE_S)), results), 0);
        for (int i = 0; i < 3; i++)
            SKT_EQ(results[i], i == ready ? POLLIN : 0);
        SKT_EQ(read(fds[ready], &byte, 1), 1);
    }
    SKT_EQ(watch_all(fds, 3, POLLOUT, SKUA_NEVER, results), 0);
    SKT_EQ(skua_close(peers[1]), 0);
    SKT_EQ(watch_all(fds, 3, 0, SKUA_NEVER, results), 0);
    SKT_EQ(results[1], POLLHUP);
    SKT_EQ(skua_close(fds[1]), 0);
    for (int i = 0; i < 3; i += 2) {
        SKT_EQ(skua_close(fds[i]), 0);
        SKT_EQ(skua_close(peers[i]), 0);
    }
    return 0;
}

SKT_TEST(poll, ready)
{
    run(ready_body, NULL);
    run_in_thread(ready_body, NULL);
}

struct pair {
    int fds[2];
    int result, rc;
    skua_time dl;
    _Atomic(bool) x_waits;
};

static int watch_pair(void *arg)
{
    struct pair *p = arg;
    p->rc = watch_one(p->fds[0], POLLIN, p->dl, &p->result);
    return 0;
}

static void await_listed(int fd)
{
    for (skua_time end = skua_in(SKUA_S(PATIENCE_S)); !watch_is_listed(fd);) {
        SKT_LT(skua_now(), end);
        SKT_EQ(skua_sleep(SKUA_US(50)), 0);
    }
}

/* Goal: what comes later wakes it, from a coroutine on any worker. */
static int later_body(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++) {
        skua_scope s;
        struct pair p = {.dl = SKUA_NEVER};
        io_pair(p.fds);
        SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, watch_pair, &p), 0);
        if (round % 2)
            await_listed(p.fds[0]);
        SKT_EQ(skua_write(p.fds[1], "a", 1, SKUA_NEVER), 1);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(p.rc, 0);
        SKT_EQ(p.result, POLLIN);
        close_pair(p.fds);
    }
    return 0;
}

SKT_TEST(poll, later)
{
    run(later_body, NULL);
}

static void *watch_in_thread(void *arg)
{
    (void)watch_pair(arg);
    return NULL;
}

/* Goal: the same for plain threads; and stop ends their waits. */
static int thread_body(void *arg)
{
    struct pair *p = arg;
    await_listed(p->fds[0]);
    SKT_EQ(skua_write(p->fds[1], "a", 1, SKUA_NEVER), 1);
    return 0;
}

SKT_TEST(poll, threads)
{
    for (int round = 0; round < 20; round++) {
        struct pair p = {.dl = SKUA_NEVER};
        pthread_t thread;
        skua_config config = SKUA_CONFIG_INIT;
        bool is_stopped = round % 2;
        config.workers = 1 + (unsigned)round % 4;
        io_pair(p.fds);
        SKT_EQ(skua_start(&config), 0);
        SKT_EQ(pthread_create(&thread, NULL, watch_in_thread, &p), 0);
        if (is_stopped)
            await_listed(p.fds[0]);
        else
            SKT_EQ(skua_call(thread_body, &p, SKUA_NEVER), 0);
        if (!is_stopped)
            pthread_join(thread, NULL);
        SKT_EQ(skua_stop(SKUA_NEVER), 0);
        if (is_stopped)
            pthread_join(thread, NULL);
        SKT_EQ(p.rc, is_stopped ? -ESHUTDOWN : 0);
        SKT_EQ(p.result, is_stopped ? 0 : POLLIN);
        p.dl = skua_in(SKUA_MS(1));
        (void)watch_pair(&p); /* without a runtime nobody could watch it */
        SKT_EQ(p.result, -ESHUTDOWN);
        close_pair(p.fds);
    }
}

/* Goal: skua_close ends it, says so, and goes on once it is disarmed; the number may then be used
 * again. */
static int close_body(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++) {
        skua_scope s;
        struct pair p = {.dl = SKUA_NEVER};
        io_pair(p.fds);
        SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, watch_pair, &p), 0);
        await_listed(p.fds[0]);
        SKT_EQ(skua_close(p.fds[0]), 0);
        SKT_FALSE(watch_is_listed(p.fds[0]));
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(p.rc, 0);
        SKT_EQ(p.result, -ECANCELED);
        SKT_EQ(skua_close(p.fds[1]), 0);
    }
    return 0;
}

SKT_TEST(poll, closed)
{
    run(close_body, NULL);
}

/* Goal: what is armed again means the same descriptor, though the number is another's meanwhile. */
static int again_body(void *arg)
{
    struct watch_set set;
    int fds[2], others[2], result, number;
    (void)arg;
    io_pair(fds);
    number = fds[0];
    watch_init(&set, fds, 1, POLLIN);
    for (int i = 0; i < 3; i++) {
        SKT_EQ(watch_once_all(&set, skua_in(SKUA_MS(1)), &result), -ETIMEDOUT);
        SKT_EQ(result, 0);
    }
    SKT_EQ(skua_close(fds[0]), 0);
    io_pair(others);
    SKT_EQ(others[0], number);
    SKT_EQ(write(others[1], "a", 1), 1);
    for (int i = 0; i < 3; i++) {
        SKT_EQ(watch_once_all(&set, SKUA_NEVER, &result), 0);
        SKT_EQ(result, -ECANCELED);
        SKT_FALSE(watch_is_listed(number));
    }
    SKT_EQ(watch_one(number, POLLIN, SKUA_NEVER, &result), 0); /* a new one means the new one */
    SKT_EQ(result, POLLIN);
    close_pair(others);
    SKT_EQ(skua_close(fds[1]), 0);
    return 0;
}

SKT_TEST(poll, again)
{
    run(again_body, NULL);
    run_in_thread(again_body, NULL);
}

/* Goal: a number that is no descriptor is an error of that one. */
static int bad_body(void *arg)
{
    struct pair p = {.dl = SKUA_NEVER};
    int fds[2], results[2];
    (void)arg;
    io_pair(p.fds);
    SKT_EQ(close(p.fds[0]), 0);
    (void)watch_pair(&p);
    SKT_EQ(p.result, -EBADF);
    fds[0] = p.fds[1];
    fds[1] = -1;
    (void)watch_all(fds, 2, POLLIN, SKUA_NEVER, results);
    SKT_EQ(results[1], -EBADF);
    SKT_FALSE(watch_is_listed(fds[0]));
    SKT_EQ(skua_close(p.fds[1]), 0);
    return 0;
}

SKT_TEST(poll, bad)
{
    run(bad_body, NULL);
    run_in_thread(bad_body, NULL);
}

/* Goal: a cancellation ends the wait, not the disarming of it. */
static int cancel_body(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++) {
        skua_scope s;
        struct pair p = {.dl = SKUA_NEVER};
        io_pair(p.fds);
        SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn(&s, watch_pair, &p), 0);
        await_listed(p.fds[0]);
        skua_scope_cancel(&s);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), -ECANCELED);
        SKT_EQ(p.rc, -ECANCELED);
        SKT_EQ(p.result, 0);
        SKT_FALSE(watch_is_listed(p.fds[0]));
        close_pair(p.fds);
    }
    return 0;
}

SKT_TEST(poll, cancelled)
{
    run(cancel_body, NULL);
}

struct far {
    int fds[2];
    _Atomic(bool) x_armed;
    skua_event go;
    unsigned armed_on, disarmed_on;
    int result;
};

/* Armed, and then the wait is another's to end: as when a select's channel is ready. */
static int arm_and_move(void *arg)
{
    struct far *f = arg;
    struct sk_driver_poll poll = {.bound = 0};
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    SKT_EQ(sk_wait_begin(&wait, SKUA_NEVER, 0), 0);
    SKT_EQ(sk_driver_poll_arm(&poll, f->fds[0], POLLIN, &waiter), 0);
    f->armed_on = skua_worker();
    (void)sk_wait_abandon(&wait); /* it need not wait */
    atomic_store(&f->x_armed, true);
    SKT_EQ(skua_event_wait(&f->go, SKUA_NEVER), 0);
    f->disarmed_on = skua_worker();
    f->result = sk_driver_poll_disarm(&poll);
    return 0;
}

static void await_parked(struct far *f, skua_task *task)
{
    for (skua_time end = skua_in(SKUA_S(PATIENCE_S));
         !atomic_load(&f->x_armed) ||
         (atomic_load(&task->x_wait) & SK_WAIT_STATE_MASK) != SK_WAIT_WAITING;) {
        SKT_LT(skua_now(), end);
        SKT_EQ(skua_sleep(SKUA_US(50)), 0);
    }
}

/* Goal: it is disarmed on another worker than armed it, before and after an event. With
 * SKUA_CHAOS=migrate it always is; there that is what this test waits for. */
static int far_body(void *arg)
{
    int moved = 0;
    (void)arg;
    for (int round = 0; round < 100; round++) {
        skua_scope s;
        struct far f = {.go = SKUA_EVENT_INIT};
        bool has_event = round % 2;
        io_pair(f.fds);
        SKT_EQ(skua_scope_open(&s, 0, SKUA_NEVER), 0);
        skua_task *task;
        SKT_EQ(skua_spawn_opts(&s, arm_and_move, &f, NULL, &task), 0);
        await_listed(f.fds[0]);
        if (round % 4 < 2) /* it is sure to wait, and so to move */
            await_parked(&f, task);
        if (has_event) {
            SKT_EQ(write(f.fds[1], "a", 1), 1);
            for (int i = 0; i < round / 10; i++)
                skua_yield();
        }
        skua_event_set(&f.go);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        skua_task_unref(task);
        moved += f.armed_on != f.disarmed_on;
        SKT_TRUE(has_event ? f.result == POLLIN || f.result == 0 : f.result == 0);
        SKT_FALSE(watch_is_listed(f.fds[0]));
        close_pair(f.fds);
    }
    const char *chaos = getenv("SKUA_CHAOS");
    if (skua_workers() > 1 && chaos != NULL && strcmp(chaos, "migrate") == 0)
        SKT_GT(moved, 0);
    return 0;
}

SKT_TEST(poll, far)
{
    run(far_body, NULL);
}

/* ---- data of another kind ---- */

struct urgent {
    int fd;
    short events;
    bool by_select;
};

static int await_urgent(void *arg)
{
    const struct urgent *u = arg;
    skua_case k = {.op = SKUA_FD, .fd = u->fd, .events = u->events};
    if (!u->by_select)
        return skua_poll(u->fd, u->events, skua_in(SKUA_S(PATIENCE_S)));
    int rc = skua_select(&k, 1, 0, skua_in(SKUA_S(PATIENCE_S)));
    return rc < 0 ? rc : k.res;
}

/* Goal: urgent data ends the wait, and ordinary data does not, though it wakes: as with poll(2). Not so
 * with a poll of a ring, which sleeps on if it is asked for POLLPRI alone. */
static int urgent_body(void *arg)
{
    (void)arg;
    for (int i = 0; i < 4; i++) {
        int fds[2], result = 0;
        skua_scope s;
        skua_task *task;
        io_tcp_pair(fds);
        struct urgent u = {fds[0], i % 2 ? POLLPRI | POLLRDBAND : POLLPRI, i / 2};
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        SKT_EQ(skua_spawn_opts(&s, await_urgent, &u, NULL, &task), 0);
        await_listed(fds[0]);
        SKT_EQ(send(fds[1], "ordinary", 8, 0), 8);
        SKT_EQ(skua_sleep(SKUA_MS(2)), 0);
        SKT_EQ(send(fds[1], "!", 1, MSG_OOB), 1);
        SKT_EQ(skua_join(task, &result, SKUA_NEVER), 0);
        SKT_EQ(result, POLLPRI);
        skua_task_unref(task);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(skua_close(fds[0]), 0);
        SKT_EQ(skua_close(fds[1]), 0);
    }
    return 0;
}

SKT_TEST(poll, urgent)
{
    run(urgent_body, NULL);
}
