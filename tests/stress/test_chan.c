/* Senders and receivers, cancelled, out of time, and closed under: no element is lost, none comes
 * twice, none is torn, and those of one sender come in order.
 * Method: each element is its sender's number and its own, and bytes that follow from both. A sender
 * notes what was taken, and sends what was not again, as the next: had it been taken all the same, it
 * would come twice. Receivers count what they get.
 * Both are lives that are cancelled every few microseconds and begin anew, in coroutines, or plain
 * threads. At the end what was received is what was sent. */
#include <pthread.h>

#include "tests/stress/lives.h"
#include "tests/stress/stress.h"

enum {
    SENDERS = 6,
    RECEIVERS = 6,
    THREADS = 2, /* of each of them */
    BATCH_MAX = 9,
    ELEM_MAX = 256,
};

struct element {
    uint32_t sender, number;
};

struct run;

struct party {
    struct run *run;
    uint32_t number;
    uint64_t random, life_random;
    uint32_t next;              /* sender: the number of the next element */
    uint32_t last[SENDERS + 1]; /* receiver: the last number from each sender, + 1 */
    unsigned char buffer[BATCH_MAX * ELEM_MAX];
};

struct run {
    skua_chan *chan;
    size_t elem;
    uint32_t each;     /* elements per sender */
    uint32_t close_at; /* a sender that comes so far closes the channel; 0: after all */
    _Atomic(unsigned char) *sent, *got;
    _Atomic(uint32_t) ended_early;
    struct party senders[SENDERS], receivers[RECEIVERS];
};

static void write_element(const struct party *p, unsigned char *at, uint32_t number)
{
    struct element e = {p->number, number};
    for (size_t i = sizeof(e); i < p->run->elem; i++)
        at[i] = (unsigned char)(e.sender * 17 + e.number * 3 + i);
    memcpy(at, &e, sizeof(e));
}

static void take_element(struct party *p, const unsigned char *at)
{
    struct element e;
    memcpy(&e, at, sizeof(e));
    SKT_LT(e.sender, SENDERS);
    SKT_LT(e.number, p->run->each);
    for (size_t i = sizeof(e); i < p->run->elem; i++)
        SKT_EQ(at[i], (unsigned char)(e.sender * 17 + e.number * 3 + i));
    if (e.number < p->last[e.sender])
        SKT_FAIL("of sender %u, %u came after %u", e.sender, e.number, p->last[e.sender] - 1);
    p->last[e.sender] = e.number + 1;
    SKT_EQ(atomic_fetch_add(&p->run->got[e.sender * p->run->each + e.number], 1), 0);
}

static void note_failure(struct run *r, ssize_t rc)
{
    SKT_TRUE(rc == -EAGAIN || rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EPIPE);
    atomic_fetch_add(&r->ended_early, 1);
}

/* One call; false: the channel is closed, or all is sent. */
static bool send_some(struct party *p)
{
    struct run *r = p->run;
    uint32_t random = st_random(&p->random), n = random % 3 ? 1 : 1 + random / 3 % BATCH_MAX;
    if (n > r->each - p->next)
        n = r->each - p->next;
    if (n == 0)
        return false;
    for (uint32_t i = 0; i < n; i++)
        write_element(p, p->buffer + i * r->elem, p->next + i);
    skua_time dl = lives_deadline(&p->random);
    ssize_t rc = n == 1 ? skua_chan_send(r->chan, p->buffer, dl)
                        : skua_chan_send_n(r->chan, p->buffer, n, dl);
    memset(p->buffer, 0xEE, n * r->elem);
    ssize_t went = rc < 0 ? 0 : n == 1 ? 1 : rc;
    if (rc < 0)
        note_failure(r, rc);
    for (ssize_t i = 0; i < went; i++)
        atomic_store(&r->sent[p->number * r->each + p->next + (uint32_t)i], 1);
    p->next += (uint32_t)went;
    if (r->close_at != 0 && p->next >= r->close_at)
        (void)skua_chan_close(r->chan);
    return rc != -EPIPE;
}

static bool recv_some(struct party *p)
{
    struct run *r = p->run;
    uint32_t random = st_random(&p->random), n = random % 3 ? 1 : 1 + random / 3 % BATCH_MAX;
    skua_time dl = lives_deadline(&p->random);
    memset(p->buffer, 0xEE, n * r->elem);
    ssize_t rc = n == 1 ? skua_chan_recv(r->chan, p->buffer, dl)
                        : skua_chan_recv_n(r->chan, p->buffer, n, dl);
    if (rc < 0)
        note_failure(r, rc);
    ssize_t came = rc < 0 ? 0 : n == 1 ? 1 : rc;
    for (ssize_t i = 0; i < came; i++)
        take_element(p, p->buffer + (size_t)i * r->elem);
    for (size_t i = (size_t)came * r->elem; i < n * r->elem; i++)
        SKT_EQ(p->buffer[i], 0xEE); /* nothing was written that was not reported */
    return rc != -EPIPE;
}

static int live_sending(void *arg)
{
    struct party *p = arg;
    while (send_some(p))
        if (skua_cancelled() && st_random(&p->random) % 4 == 0)
            return LIVES_GO_ON;
    return LIVES_OVER;
}

static int live_receiving(void *arg)
{
    struct party *p = arg;
    while (recv_some(p))
        if (skua_cancelled() && st_random(&p->random) % 4 == 0)
            return LIVES_GO_ON;
    return LIVES_OVER;
}

static int keep_sending(void *arg)
{
    struct party *p = arg;
    return lives_run(live_sending, p, &p->life_random);
}

static int keep_receiving(void *arg)
{
    struct party *p = arg;
    return lives_run(live_receiving, p, &p->life_random);
}

static void *send_in_thread(void *arg)
{
    while (send_some(arg))
        continue;
    return NULL;
}

static void *recv_in_thread(void *arg)
{
    while (recv_some(arg))
        continue;
    return NULL;
}

/* ---- a run ---- */

static void open_run(struct run *r)
{
    const size_t count = (size_t)SENDERS * r->each;
    r->sent = calloc(count, 1);
    r->got = calloc(count, 1);
    for (uint32_t i = 0; i < SENDERS; i++)
        r->senders[i] = (struct party){
            .run = r, .number = i, .random = st_seed(i), .life_random = st_seed(100 + i)};
    for (uint32_t i = 0; i < RECEIVERS; i++)
        r->receivers[i] = (struct party){
            .run = r, .number = i, .random = st_seed(200 + i), .life_random = st_seed(300 + i)};
}

static void close_run(struct run *r)
{
    uint64_t sent = 0;
    for (uint32_t i = 0; i < SENDERS * r->each; i++) {
        sent += atomic_load(&r->sent[i]);
        if (atomic_load(&r->sent[i]) != atomic_load(&r->got[i]))
            SKT_FAIL("element %u of sender %u: sent %d times, received %d times", i % r->each,
                     i / r->each, atomic_load(&r->sent[i]), atomic_load(&r->got[i]));
    }
    SKT_GE(sent, r->close_at != 0 ? r->close_at : (uint64_t)SENDERS * r->each);
    SKT_EQ(skua_chan_len(r->chan), 0u);
    skua_chan_unref(r->chan);
    free((void *)r->sent);
    free((void *)r->got);
}

static int run_all(void *arg)
{
    struct run *r = arg;
    skua_scope sending, receiving;
    pthread_t threads[2 * THREADS];
    open_run(r);
    SKT_EQ(skua_scope_open(&receiving, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = THREADS; i < RECEIVERS; i++)
        SKT_EQ(skua_spawn(&receiving, keep_receiving, &r->receivers[i]), 0);
    SKT_EQ(skua_scope_open(&sending, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (int i = THREADS; i < SENDERS; i++)
        SKT_EQ(skua_spawn(&sending, keep_sending, &r->senders[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        SKT_EQ(pthread_create(&threads[i], NULL, send_in_thread, &r->senders[i]), 0);
        SKT_EQ(pthread_create(&threads[THREADS + i], NULL, recv_in_thread, &r->receivers[i]), 0);
    }
    SKT_EQ(skua_scope_close(&sending, SKUA_NEVER), 0);
    for (int i = 0; i < THREADS; i++)
        while (pthread_tryjoin_np(threads[i], NULL) != 0)
            skua_sleep(SKUA_US(200));
    SKT_EQ(skua_chan_close(r->chan), r->close_at != 0 ? -EPIPE : 0);
    SKT_EQ(skua_scope_close(&receiving, SKUA_NEVER), 0);
    for (int i = 0; i < THREADS; i++)
        while (pthread_tryjoin_np(threads[THREADS + i], NULL) != 0)
            skua_sleep(SKUA_US(200));
    close_run(r);
    return 0;
}

/* How many calls ended early. */
static uint64_t run_with(unsigned workers, size_t capacity, unsigned flags, bool close_early)
{
    static struct run r;
    uint64_t ended = 0;
    for (size_t elem = 8; elem <= ELEM_MAX; elem = elem == 8 ? 24 : elem == 24 ? 256 : 1000) {
        memset(&r, 0, sizeof(r));
        r.elem = elem;
        r.each = (uint32_t)skt_scaled(6000);
        r.close_at = close_early ? r.each / 2 + 1 : 0;
        SKT_EQ(skua_chan_new(&r.chan, elem, capacity, flags), 0);
        st_run(run_all, &r, workers);
        ended += atomic_load(&r.ended_early);
    }
    return ended;
}

static uint64_t run_kinds(unsigned workers, bool close_early)
{
    uint64_t ended = run_with(workers, 0, 0, close_early);
    ended += run_with(workers, 1, 0, close_early);
    ended += run_with(workers, 5, 0, close_early);
    ended += run_with(workers, 64, 0, close_early);
    return ended + run_with(workers, 0, SKUA_CHAN_UNBOUNDED, close_early);
}

/* Until enough calls have ended early: a race, and not a walk. */
static void race(unsigned workers)
{
    uint64_t ended = 0;
    for (skua_time end = st_patience(); ended <= skt_scaled(1000) && skua_now() < end;)
        ended += run_kinds(workers, false) + run_kinds(workers, true);
    SKT_GT(ended, skt_scaled(1000));
}

SKT_TEST(stress, chan_on_one_worker)
{
    race(1);
}

SKT_TEST(stress, chan_on_two_workers)
{
    race(2);
}

SKT_TEST(stress, chan_on_eight_workers)
{
    race(8);
}

/* ---- A close under load: whoever waits is let go, however often. */

struct closing {
    skua_chan *chan;
    _Atomic(uint64_t) sent, got;
};

static int send_until_closed(void *arg)
{
    struct closing *c = arg;
    uint64_t word = 1;
    while (skua_chan_send(c->chan, &word, SKUA_NEVER) == 0)
        atomic_fetch_add(&c->sent, 1);
    return 0;
}

static int recv_until_closed(void *arg)
{
    struct closing *c = arg;
    uint64_t word;
    while (skua_chan_recv(c->chan, &word, SKUA_NEVER) == 0)
        atomic_fetch_add(&c->got, word);
    return 0;
}

static int close_often(void *arg)
{
    (void)arg;
    uint64_t random = st_seed(5);
    for (uint64_t round = 0; round < skt_scaled(600); round++) {
        struct closing c = {.sent = 0};
        skua_scope s;
        SKT_EQ(skua_chan_new(&c.chan, 8, round % 4, 0), 0);
        SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
        for (int i = 0; i < 4; i++) {
            SKT_EQ(skua_spawn(&s, send_until_closed, &c), 0);
            SKT_EQ(skua_spawn(&s, recv_until_closed, &c), 0);
        }
        for (uint32_t i = st_random(&random) % 40; i > 0; i--)
            skua_yield();
        SKT_EQ(skua_chan_close(c.chan), 0);
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        SKT_EQ(atomic_load(&c.got), atomic_load(&c.sent));
        skua_chan_unref(c.chan);
    }
    return 0;
}

SKT_TEST(stress, chan_closed_often)
{
    st_run(close_often, NULL, 1);
    st_run(close_often, NULL, 2);
    st_run(close_often, NULL, 8);
}
