/* tests/unit/sync/test_select_cases.c - cases that are no channels, and cases by the thousand. */
#include <poll.h>
#include <skua/future.h>
#include <stdlib.h>
#include <unistd.h>

#include "runtime/base/mem.h"
#include "tests/unit/sync/chan_test.h"

/* ---- futures, tasks, descriptors ---- */

enum outcome { SET, FAIL, CANCEL };

struct promise {
    skua_future *future;
    enum outcome how;
    int yields;
};

static int keep_promise(void *arg)
{
    struct promise *p = arg;
    uint64_t word = 12;
    for (int i = 0; i < p->yields; i++)
        skua_yield();
    if (p->how == SET)
        return skua_future_set(p->future, &word);
    return p->how == FAIL ? skua_future_fail(p->future, -EAGAIN) : skua_future_cancel(p->future);
}

/* Goal: a future's case is ready once it is settled, before or during the wait, and res is what get
 * returns; a failure that looks like "not yet" is one all the same. */
RT_TEST(select, future)
{
    const int expected[] = {0, -EAGAIN, -ECANCELED};
    for (int yields = 0; yields < 8; yields += 7) {
        for (enum outcome how = SET; how <= CANCEL; how++) {
            struct promise p = {.how = how, .yields = yields};
            skua_chan *c = ct_new(CT_ONE, 8);
            uint64_t word = 0;
            skua_scope s;
            SKT_EQ(skua_future_new(&p.future, 8), 0);
            skua_case v[2] = {ct_to_recv(c, &word),
                              {.op = SKUA_FUTURE, .obj = p.future, .val = &word}};
            SKT_EQ(skua_select(v, 2, 0, SKUA_NOW), -EAGAIN);
            SKT_EQ(skua_select(v, 2, 0, skua_in(SKUA_US(100))), -ETIMEDOUT);
            ct_open(&s);
            SKT_EQ(skua_spawn(&s, keep_promise, &p), 0);
            SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), 1);
            SKT_EQ(v[1].res, expected[how]);
            SKT_EQ(word, how == SET ? 12 : 0);
            SKT_EQ(skua_select(v, 2, 0, SKUA_NOW), 1); /* it stays settled */
            SKT_EQ(skua_chan_send(c, &word, SKUA_NOW), 0);
            SKT_EQ(skua_chan_len(c), 1u);
            SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
            skua_future_unref(p.future);
            skua_chan_unref(c);
        }
    }
}

static int end_with(void *arg)
{
    for (int i = 0; i < 5; i++)
        skua_yield();
    return *(int *)arg;
}

static int select_self(void *arg)
{
    (void)arg;
    skua_case v = {.op = SKUA_TASK, .obj = skua_self()};
    SKT_EQ(skua_select(&v, 1, 0, SKUA_NEVER), -EDEADLK);
    skua_chan *closed;
    SKT_EQ(skua_chan_new(&closed, 0, 0, 0), 0);
    SKT_EQ(skua_chan_close(closed), 0);
    skua_case both[] = {{.op = SKUA_RECV, .obj = closed}, v};
    SKT_EQ(skua_select(both, 2, SKUA_SELECT_ORDERED, SKUA_NEVER), -EDEADLK);
    SKT_EQ(skua_select(both, 2, 0, SKUA_NOW), -EDEADLK);
    skua_chan_unref(closed);
    return 0;
}

/* Goal: a task's case is ready once it has ended, with its result; not one's own. */
RT_TEST(select, task)
{
    int result = 0, seven = 7;
    skua_task *task;
    skua_scope s;
    skua_chan *c = ct_new(CT_RENDEZVOUS, 8);
    uint64_t word;
    ct_open(&s);
    SKT_EQ(skua_spawn_opts(&s, end_with, &seven, NULL, &task), 0);
    skua_case v[2] = {{.op = SKUA_TASK, .obj = task, .val = &result}, ct_to_recv(c, &word)};
    SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), 0);
    SKT_TRUE(v[0].res == 0 && result == 7);
    v[0].val = NULL;
    SKT_EQ(skua_select(v, 2, SKUA_SELECT_ORDERED, SKUA_NOW), 0);
    SKT_EQ(skua_spawn(&s, select_self, NULL), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    skua_task_unref(task);
    skua_chan_unref(c);
}

/* Goal: a descriptor's case is ready when poll(2) says so, with revents. (What comes while a select
 * waits: tests/unit/io/test_select_fd.c.) */
RT_TEST(select, descriptor)
{
    int fds[2];
    SKT_EQ(pipe(fds), 0);
    skua_case v[2] = {{.op = SKUA_FD, .fd = fds[0], .events = POLLIN},
                      {.op = SKUA_FD, .fd = fds[1], .events = POLLIN}};
    SKT_EQ(skua_select(v, 2, 0, SKUA_NOW), -EAGAIN);
    SKT_EQ(skua_select(v, 2, 0, skua_in(SKUA_US(100))), -ETIMEDOUT);
    v[1].events = POLLOUT;
    SKT_EQ(skua_select(v, 2, 0, SKUA_NEVER), 1);
    SKT_EQ(v[1].res, POLLOUT);
    SKT_EQ(write(fds[1], "x", 1), 1);
    SKT_EQ(skua_select(v, 2, SKUA_SELECT_ORDERED, SKUA_NEVER), 0);
    SKT_EQ(v[0].res, POLLIN);
    close(fds[0]);
    close(fds[1]);
    SKT_EQ(skua_select(v, 1, 0, SKUA_NEVER), 0);
    SKT_EQ(v[0].res, -EBADF);
}

/* ---- many cases ---- */

enum { MANY = 1500 };

struct many {
    skua_chan **chan;
    int which;
};

static int send_among_many(void *arg)
{
    struct many *m = arg;
    uint64_t word = (uint64_t)m->which;
    skua_yield();
    SKT_EQ(skua_chan_send(m->chan[m->which], &word, SKUA_NEVER), 0);
    return 0;
}

/* Goal: cases by the thousand, channels of all kinds, some twice. */
RT_TEST(select, many)
{
    skua_chan **c = calloc(MANY, sizeof(skua_chan *));
    skua_case *v = calloc(MANY, sizeof(skua_case));
    uint64_t word = 0;
    for (int i = 0; i < MANY; i++) {
        c[i] = i % 7 == 6 ? skua_chan_ref(c[i / 2]) : ct_new((unsigned)i % CT_KINDS, 8);
        v[i] = i % 11 == 0 ? (skua_case){.op = SKUA_SKIP} : ct_to_recv(c[i], &word);
    }
    for (int i = 1; i < MANY; i += 97) {
        struct many m = {c, i};
        skua_scope s;
        if (v[i].op == SKUA_SKIP)
            continue;
        ct_open(&s);
        SKT_EQ(skua_spawn(&s, send_among_many, &m), 0);
        int k = skua_select(v, MANY, 0, SKUA_NEVER);
        SKT_GE(k, 0);
        SKT_PTR_EQ(c[k], c[i]);
        SKT_EQ(word, (uint64_t)i);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
    for (int i = 0; i < MANY; i++)
        skua_chan_unref(c[i]);
    free(c);
    free(v);
}

/* Goal: no memory for many cases is an error, and nothing was done. */
SKT_TEST(select, no_memory)
{
    uint64_t word = 0;
    skua_chan *c = ct_new(CT_ONE, 8);
    skua_case v[17];
    for (int i = 0; i < 17; i++)
        v[i] = ct_to_send(c, &word);
    sk_mem_fail_after(1);
    SKT_EQ(skua_select(v, 17, 0, SKUA_NOW), -ENOMEM);
    SKT_EQ(skua_chan_len(c), 0u);
    sk_mem_fail_after(1);
    SKT_GE(skua_select(v, 16, 0, SKUA_NOW), 0); /* few need none */
    sk_mem_fail_after(0);
    SKT_EQ(skua_chan_len(c), 1u);
    skua_chan_unref(c);
}
