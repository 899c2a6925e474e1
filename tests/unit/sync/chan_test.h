/* tests/unit/sync/chan_test.h - what the tests of channels and select share: the kinds of channels. */
#ifndef CHAN_TEST_H
#define CHAN_TEST_H

#include <skua/chan.h>

#include "tests/unit/runtime/rt_test.h"

enum ct_kind { CT_RENDEZVOUS, CT_ONE, CT_THREE, CT_MANY, CT_UNBOUNDED, CT_KINDS };

enum { CT_MANY_CAP = 64, CT_UNBOUNDED_FILL = 5000, CT_FILLER = 1000 };

#define CT_EACH(kind) for (enum ct_kind kind = CT_RENDEZVOUS; kind < CT_KINDS; kind++)

static inline size_t ct_cap(enum ct_kind kind)
{
    const size_t caps[CT_KINDS] = {0, 1, 3, CT_MANY_CAP, SIZE_MAX};
    return caps[kind];
}

/* How many elements ct_fill puts in. */
static inline uint64_t ct_room(enum ct_kind kind)
{
    return kind == CT_UNBOUNDED ? CT_UNBOUNDED_FILL : ct_cap(kind);
}

static inline skua_chan *ct_new(enum ct_kind kind, size_t elem)
{
    skua_chan *c = NULL;
    bool unbounded = kind == CT_UNBOUNDED;
    SKT_EQ(
        skua_chan_new(&c, elem, unbounded ? 0 : ct_cap(kind), unbounded ? SKUA_CHAN_UNBOUNDED : 0),
        0);
    return c;
}

/* With CT_FILLER, CT_FILLER + 1, … of 8 bytes. */
static inline void ct_fill(skua_chan *c, enum ct_kind kind)
{
    for (uint64_t i = CT_FILLER; i < CT_FILLER + ct_room(kind); i++)
        SKT_EQ(skua_chan_send(c, &i, SKUA_NOW), 0);
}

static inline void ct_fill_rest(skua_chan *c)
{
    uint64_t word = 0;
    while (skua_chan_send(c, &word, SKUA_NOW) == 0)
        continue;
}

static inline void ct_open(skua_scope *s)
{
    SKT_EQ(skua_scope_open(s, SKUA_COLLECT, SKUA_NEVER), 0);
}

static inline skua_case ct_to_recv(skua_chan *c, uint64_t *v)
{
    return (skua_case){.op = SKUA_RECV, .obj = c, .val = v, .res = 1};
}

static inline skua_case ct_to_send(skua_chan *c, uint64_t *v)
{
    return (skua_case){.op = SKUA_SEND, .obj = c, .val = v, .res = 1};
}

/* Coroutines that wait on one channel, and how their calls have ended. */
struct ct_waiters {
    skua_chan *chan;
    _Atomic(int) ended[200]; /* by -errno; [0]: success */
};

static inline void ct_count(struct ct_waiters *w, int rc)
{
    SKT_TRUE(rc <= 0 && rc > -200);
    atomic_fetch_add(&w->ended[-rc], 1);
}

static inline int ct_recv_one(void *arg)
{
    struct ct_waiters *w = arg;
    uint64_t word;
    ct_count(w, skua_chan_recv(w->chan, &word, SKUA_NEVER));
    return 0;
}

static inline int ct_send_one(void *arg)
{
    struct ct_waiters *w = arg;
    uint64_t word = 1;
    ct_count(w, skua_chan_send(w->chan, &word, SKUA_NEVER));
    return 0;
}

#endif
