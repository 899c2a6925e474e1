/* tests/unit/sync/go_test.h - what test_go_chan.c and test_go_select.c share: Go's channels in the
 * public interface's words. */
#ifndef GO_TEST_H
#define GO_TEST_H

#include "tests/unit/runtime/rt_test.h"

static inline skua_chan *new_chan(size_t elem_size, size_t capacity)
{
    skua_chan *c = NULL;
    SKT_EQ(skua_chan_new(&c, elem_size, capacity, 0), 0);
    SKT_NOT_NULL(c);
    return c;
}

static inline void open_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
}

static inline void spawn(skua_scope *s, int (*fn)(void *), void *arg)
{
    SKT_EQ(skua_spawn(s, fn, arg), 0);
}

static inline void close_scope(skua_scope *s)
{
    SKT_EQ(skua_scope_close(s, SKUA_NEVER), 0);
}

static inline skua_case send_case(skua_chan *c, void *v)
{
    return (skua_case){.op = SKUA_SEND, .obj = c, .val = v, .res = 1};
}

static inline skua_case recv_case(skua_chan *c, void *v)
{
    return (skua_case){.op = SKUA_RECV, .obj = c, .val = v, .res = 1};
}

static inline skua_time soon(void)
{
    return skua_in(SKUA_MS(2));
}

static inline void send_int(skua_chan *c, int v)
{
    SKT_EQ(skua_chan_send(c, &v, SKUA_NEVER), 0);
}

static inline int recv_int(skua_chan *c)
{
    int v = -1;
    SKT_EQ(skua_chan_recv(c, &v, SKUA_NEVER), 0);
    return v;
}

/* Tries until somebody waits at the other end; each time before it finds nobody. */
static inline bool tried(int rc)
{
    SKT_TRUE(rc == 0 || rc == -EAGAIN);
    return rc == 0;
}

static inline int select_one(skua_case c, skua_time dl)
{
    int i = skua_select(&c, 1, 0, dl);
    return i < 0 ? i : c.res;
}

#endif
