/* A plain thread comes in the middle of what a worker that is alone does by plain moves
 * (runtime/solo.h): many short runtimes, one arrival each.
 * Method: two coroutines pass numbers by rendezvous. After a random while a thread comes that takes
 * numbers too, or sends some, or cancels the receiver and takes the rest. What was sent is what was
 * received. */
#include <pthread.h>

#include "tests/stress/stress.h"

enum kind { TAKES, SENDS, CANCELS, KINDS };

struct meeting {
    enum kind kind;
    uint32_t spins;
    skua_chan *chan;
    skua_task *receiver;
    _Atomic(uint64_t) sent, received;
    _Atomic(uint32_t) x_begun;
    pthread_t thread;
};

enum { NUMBERS = 400, STRANGERS_NUMBERS = 20 };

static void send_number(struct meeting *m, uint64_t number)
{
    SKT_EQ(skua_chan_send(m->chan, &number, SKUA_NEVER), 0);
    atomic_fetch_add(&m->sent, number);
}

static int send_all(void *arg)
{
    for (uint64_t i = 1; i <= NUMBERS; i++)
        send_number(arg, i);
    return 0;
}

static int receive_all(void *arg)
{
    struct meeting *m = arg;
    uint64_t number;
    int rc;
    atomic_store(&m->x_begun, 1);
    while ((rc = skua_chan_recv(m->chan, &number, SKUA_NEVER)) == 0)
        atomic_fetch_add(&m->received, number);
    SKT_TRUE(rc == -EPIPE || (rc == -ECANCELED && m->kind == CANCELS));
    return 0;
}

static void *come(void *arg)
{
    struct meeting *m = arg;
    while (atomic_load(&m->x_begun) == 0)
        __builtin_ia32_pause();
    for (uint32_t i = 0; i < m->spins; i++)
        __builtin_ia32_pause();
    if (m->kind == CANCELS)
        (void)skua_cancel(m->receiver);
    if (m->kind == SENDS)
        for (uint64_t i = 0; i < STRANGERS_NUMBERS; i++)
            send_number(m, 1000 + i);
    else
        receive_all(m);
    return NULL;
}

static int meet(void *arg)
{
    struct meeting *m = arg;
    skua_scope sending, receiving;
    SKT_EQ(skua_scope_open(&receiving, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn_opts(&receiving, receive_all, m, NULL, &m->receiver), 0);
    SKT_EQ(skua_scope_open(&sending, SKUA_COLLECT, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&sending, send_all, m), 0);
    SKT_EQ(pthread_create(&m->thread, NULL, come, m), 0);
    SKT_EQ(skua_scope_close(&sending, SKUA_NEVER), 0);
    while (m->kind == SENDS && pthread_tryjoin_np(m->thread, NULL) != 0)
        skua_sleep(SKUA_US(50));
    SKT_EQ(skua_chan_close(m->chan), 0);
    SKT_EQ(skua_scope_close(&receiving, SKUA_NEVER), 0);
    while (m->kind != SENDS && pthread_tryjoin_np(m->thread, NULL) != 0)
        skua_sleep(SKUA_US(50));
    skua_task_unref(m->receiver);
    SKT_EQ(atomic_load(&m->received), atomic_load(&m->sent));
    return 0;
}

SKT_TEST(stress, stranger_comes)
{
    uint64_t random = st_seed(11);
    for (uint64_t round = 0; round < skt_scaled(1500); round++) {
        struct meeting m = {.kind = (enum kind)(round % KINDS)};
        m.spins = st_random(&random) % 3000;
        SKT_EQ(skua_chan_new(&m.chan, sizeof(uint64_t), 0, 0), 0);
        st_run(meet, &m, 1);
        skua_chan_unref(m.chan);
    }
}
