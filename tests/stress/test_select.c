/* Selects by the hundred over the same few channels, sending, receiving or both, cancelled and out of
 * time: every element that one has sent another has received, once; nobody waits for ever.
 * Method: as in test_chan.c: a number that was not taken is sent again; what the calls say is noted,
 * and compared at the end. A coroutine that all wait for in vain would keep its scope open: the test's time limit. */
#include "tests/stress/lives.h"
#include "tests/stress/stress.h"

enum { CHANNELS = 3, CROWD = 1000 };

struct load {
    skua_chan *chan[CHANNELS];
    uint32_t total;           /* numbers 0 … total - 1 are sent */
    _Atomic(uint32_t) x_next; /* the next one */
    _Atomic(uint32_t) x_sent;
    _Atomic(unsigned char) *sent, *got;
    bool impatient;
};

struct party {
    struct load *load;
    uint64_t random, life_random;
    bool has_number; /* which was not taken yet */
    uint32_t number;
};

static skua_time deadline(struct party *p)
{
    return p->load->impatient ? lives_deadline(&p->random) : SKUA_NEVER;
}

static void take(struct load *l, uint32_t number)
{
    SKT_LT(number, l->total);
    SKT_EQ(atomic_fetch_add(&l->got[number], 1), 0);
}

static void note_sent(struct party *p)
{
    SKT_EQ(atomic_fetch_add(&p->load->sent[p->number], 1), 0);
    atomic_fetch_add(&p->load->x_sent, 1);
    p->has_number = false;
}

/* False: all numbers have been used. */
static bool have_number(struct party *p)
{
    if (!p->has_number)
        p->number = atomic_fetch_add(&p->load->x_next, 1);
    p->has_number = p->number < p->load->total;
    return p->has_number;
}

static void expect_end(int k)
{
    SKT_TRUE(k == -EAGAIN || k == -ETIMEDOUT || k == -ECANCELED);
}

/* One select that sends the number on any channel. False: there is none. */
static bool send_one(struct party *p)
{
    struct load *l = p->load;
    skua_case v[CHANNELS];
    if (!have_number(p))
        return false;
    for (int i = 0; i < CHANNELS; i++)
        v[i] = (skua_case){.op = SKUA_SEND, .obj = l->chan[i], .val = &p->number};
    int k = skua_select(v, CHANNELS, p->number % 5 == 0 ? SKUA_SELECT_ORDERED : 0, deadline(p));
    if (k < 0) {
        expect_end(k);
        return true;
    }
    SKT_EQ(v[k].res, 0); /* they are closed when all is sent */
    note_sent(p);
    return true;
}

/* One select that receives from any. False: they are closed, all of them, and empty. */
static bool recv_one(struct party *p)
{
    struct load *l = p->load;
    skua_case v[CHANNELS];
    uint32_t number = UINT32_MAX, closed = 0;
    for (int i = 0; i < CHANNELS; i++)
        v[i] = (skua_case){.op = SKUA_RECV, .obj = l->chan[i], .val = &number};
    while (closed < CHANNELS) {
        int k = skua_select(v, CHANNELS, 0, deadline(p));
        if (k < 0) {
            expect_end(k);
            SKT_EQ(number, UINT32_MAX);
            return true;
        }
        if (v[k].res == 0) {
            take(l, number);
            return true;
        }
        SKT_EQ(v[k].res, -EPIPE);
        v[k].op = SKUA_SKIP;
        closed++;
    }
    return false;
}

/* Sends on one channel or receives from the others, whatever comes: two such selects face each
 * other. */
static bool do_either(struct party *p)
{
    struct load *l = p->load;
    skua_case v[CHANNELS];
    uint32_t got = UINT32_MAX;
    if (!have_number(p))
        return false;
    uint32_t out = st_random(&p->random) % CHANNELS;
    for (uint32_t i = 0; i < CHANNELS; i++)
        v[i] = (skua_case){.op = i == out ? SKUA_SEND : SKUA_RECV,
                           .obj = l->chan[i],
                           .val = i == out ? &p->number : &got};
    int k = skua_select(v, CHANNELS, 0, deadline(p));
    if (k < 0) {
        expect_end(k);
        return true;
    }
    SKT_EQ(v[k].res, 0);
    if (k == (int)out)
        note_sent(p);
    else
        take(l, got);
    return true;
}

static int live(struct party *p, bool (*step)(struct party *))
{
    while (step(p))
        if (skua_cancelled() && st_random(&p->random) % 4 == 0)
            return LIVES_GO_ON;
    return LIVES_OVER;
}

static int live_sending(void *arg)
{
    return live(arg, send_one);
}

static int live_receiving(void *arg)
{
    return live(arg, recv_one);
}

static int live_either(void *arg)
{
    return live(arg, do_either);
}

static int keep_sending(void *arg)
{
    struct party *p = arg;
    return p->load->impatient ? lives_run(live_sending, p, &p->life_random)
                              : live_sending(p) - LIVES_OVER;
}

static int keep_receiving(void *arg)
{
    struct party *p = arg;
    return p->load->impatient ? lives_run(live_receiving, p, &p->life_random)
                              : live_receiving(p) - LIVES_OVER;
}

static int keep_either(void *arg)
{
    struct party *p = arg;
    return lives_run(live_either, p, &p->life_random);
}

/* ---- a run ---- */

struct run {
    const size_t *caps; /* CHANNELS of them; SIZE_MAX: unbounded */
    uint32_t senders, receivers, either, total;
    bool impatient;
};

static void open_load(struct load *l, const struct run *r)
{
    *l = (struct load){.total = r->total, .impatient = r->impatient};
    l->sent = calloc(r->total, 1);
    l->got = calloc(r->total, 1);
    for (int i = 0; i < CHANNELS; i++)
        SKT_EQ(skua_chan_new(&l->chan[i], sizeof(uint32_t), r->caps[i],
                             r->caps[i] == SIZE_MAX ? SKUA_CHAN_UNBOUNDED : 0),
               0);
}

static void close_load(struct load *l)
{
    for (uint32_t i = 0; i < l->total; i++)
        if (atomic_load(&l->sent[i]) != atomic_load(&l->got[i]))
            SKT_FAIL("%u: sent %d times, received %d times", i, atomic_load(&l->sent[i]),
                     atomic_load(&l->got[i]));
    for (int i = 0; i < CHANNELS; i++)
        skua_chan_unref(l->chan[i]);
    free((void *)l->sent);
    free((void *)l->got);
}

static void spawn_some(skua_scope *s, uint32_t n, int (*fn)(void *), struct load *l,
                       struct party **next)
{
    for (; n > 0; n--, ++*next) {
        uint64_t number = (uint64_t)(uintptr_t)*next / sizeof(struct party);
        **next = (struct party){l, st_seed(number), st_seed(~number), false, 0};
        SKT_EQ(skua_spawn(s, fn, *next), 0);
    }
}

static int run_all(void *arg)
{
    const struct run *r = arg;
    struct load l;
    skua_scope sending, receiving;
    struct party *parties = calloc(r->senders + r->receivers + r->either, sizeof(*parties));
    struct party *next = parties;
    open_load(&l, r);
    SKT_EQ(skua_scope_open(&receiving, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    spawn_some(&receiving, r->receivers, keep_receiving, &l, &next);
    SKT_EQ(skua_scope_open(&sending, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    spawn_some(&sending, r->senders, keep_sending, &l, &next);
    spawn_some(&sending, r->either, keep_either, &l, &next);
    SKT_EQ(skua_scope_close(&sending, SKUA_NEVER), 0);
    for (int i = 0; i < CHANNELS; i++)
        SKT_EQ(skua_chan_close(l.chan[i]), 0);
    SKT_EQ(skua_scope_close(&receiving, SKUA_NEVER), 0);
    SKT_EQ(atomic_load(&l.x_sent), r->total);
    close_load(&l);
    free(parties);
    return 0;
}

static const size_t all_caps[][CHANNELS] = {
    {0, 0, 0}, {1, 1, 1}, {0, 1, SIZE_MAX}, {4, 0, 64}, {3, 3, 3}};

static void run_every(unsigned workers, struct run r)
{
    for (size_t i = 0; i < sizeof(all_caps) / sizeof(all_caps[0]); i++) {
        r.caps = all_caps[i];
        st_run(run_all, &r, workers);
    }
}

/* A few, cancelled and out of time. */
static void run_few(unsigned workers)
{
    uint32_t total = (uint32_t)skt_scaled(60000);
    run_every(workers, (struct run){NULL, 4, 4, 0, total, true});
    run_every(workers, (struct run){NULL, 0, 2, 5, total, true});
}

SKT_TEST(stress, select_on_one_worker)
{
    run_few(1);
}

SKT_TEST(stress, select_on_two_workers)
{
    run_few(2);
}

SKT_TEST(stress, select_on_eight_workers)
{
    run_few(8);
}

/* Goal: the load of golang/go#20351: a thousand select over the same three channels at once, and
 * none of it grows worse than their number. */
static void run_crowd(unsigned workers)
{
    uint32_t total = (uint32_t)skt_scaled(60000), crowd = (uint32_t)skt_scaled(CROWD) / 2 + 1;
    run_every(workers, (struct run){NULL, crowd, crowd, 0, total, false});
    run_every(workers, (struct run){NULL, 2, crowd, 0, total, false});
    run_every(workers, (struct run){NULL, crowd, 2, 0, total, false});
}

SKT_TEST(stress, select_crowd_on_one_worker)
{
    run_crowd(1);
}

SKT_TEST(stress, select_crowd_on_two_workers)
{
    run_crowd(2);
}

SKT_TEST(stress, select_crowd_on_eight_workers)
{
    run_crowd(8);
}
