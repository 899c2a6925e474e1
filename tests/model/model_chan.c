/* tests/model/model_chan.c - channels: what was sent is received once, or is still there; nobody
 * waits for what is there; an element brings what its sender did before. On the ring (capacity 1 and
 * 2) and by rendezvous. */
#include <errno.h>

#include <skua/chan.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

enum { ELEMENTS = 8 };

static struct {
    skua_chan *c;
    int told[ELEMENTS]; /* what the sender of each wrote before */
    int sent[ELEMENTS];
    int received[ELEMENTS];
} m;

/* ---- what threads do ---- */

/* Elements of thread t: 2 t, 2 t + 1. */
static int send_one(unsigned which, skua_time dl)
{
    uint64_t id = 2 * (unsigned)model_self() + which;
    m.told[id] = 7;
    int rc = skua_chan_send(m.c, &id, dl);
    if (rc == 0)
        m.sent[id] = 1;
    return rc;
}

static int recv_one(skua_time dl)
{
    uint64_t id = ELEMENTS;
    int rc = skua_chan_recv(m.c, &id, dl);
    if (rc < 0)
        return rc;
    model_assert(id < ELEMENTS && m.told[id] == 7);
    m.told[id] = 8; /* nobody else has it */
    m.received[id]++;
    return 0;
}

/* The only receiver: what one sender sends comes in its order. */
static void note_order(void)
{
    model_assert(m.received[3] == 0 || m.received[2] == 1);
}

static void send(void)
{
    model_assert(send_one(0, SKUA_NEVER) == 0);
}

static void send_two(void)
{
    model_assert(send_one(0, SKUA_NEVER) == 0);
    model_assert(send_one(1, SKUA_NEVER) == 0);
}

static void recv(void)
{
    model_assert(recv_one(SKUA_NEVER) == 0);
}

static void recv_two(void)
{
    recv();
    note_order();
    recv();
}

/* Those that may be ended early. */
static void send_or_not(void)
{
    int rc = send_one(0, WORLD_SOON);
    model_assert(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EPIPE);
}

static void recv_or_not(void)
{
    int rc = recv_one(WORLD_SOON);
    model_assert(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED || rc == -EPIPE);
}

static void recv_unless_cancelled(void)
{
    int rc = recv_one(SKUA_NEVER);
    model_assert(rc == 0 || rc == -ECANCELED);
}

/* The other receiver waits too: what was had is sent again. */
static void recv_and_resend(void)
{
    int rc = recv_one(WORLD_SOON);
    model_assert(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
    if (rc < 0)
        return;
    rc = send_one(0, SKUA_NOW);
    model_assert(rc == 0);
}

static void send_two_or_not(void)
{
    int rc = send_one(0, SKUA_NEVER);
    if (rc == 0)
        rc = send_one(1, SKUA_NEVER);
    model_assert(rc == 0 || rc == -EPIPE);
}

/* Without a partner who stays: as much as can be done at once. */
static void send_now(void)
{
    int rc = send_one(0, SKUA_NOW);
    model_assert(rc == 0 || rc == -EAGAIN);
}

static void recv_now(void)
{
    int rc = recv_one(SKUA_NOW);
    model_assert(rc == 0 || rc == -EAGAIN || rc == -EPIPE);
}

static void recv_to_the_end(void)
{
    int rc;
    while ((rc = recv_one(SKUA_NEVER)) == 0) {
    }
    model_assert(rc == -EPIPE);
}

static void close_channel(void)
{
    model_assert(skua_chan_close(m.c) == 0);
}

static void cancel_first(void)
{
    sk_cancel_task(&world.tasks[0]);
}

/* ---- setup and check ---- */

static void setup_with(size_t capacity)
{
    world_begin();
    model_assert(skua_chan_new(&m.c, sizeof(uint64_t), capacity, 0) == 0);
}

static void setup_0(void)
{
    setup_with(0);
}

static void setup_1(void)
{
    setup_with(1);
}

static void setup_2(void)
{
    setup_with(2);
}

/* The first thread is a plain one. */
static void setup_0_thread(void)
{
    setup_with(0);
    world_set(0, WORLD_PLAIN);
}

static void setup_1_thread(void)
{
    setup_with(1);
    world_set(0, WORLD_PLAIN);
}

/* The first thread is the only worker. */
static void setup_0_alone(void)
{
    setup_with(0);
    world_alone();
}

static void check(void)
{
    uint64_t id;
    while (skua_chan_recv(m.c, &id, SKUA_NOW) == 0)
        m.received[id]++;
    for (unsigned i = 0; i < ELEMENTS; i++)
        model_assert(m.received[i] == m.sent[i]);
}

/* LONG_CHAN: more threads or elements than can be exhausted in seconds with three preemptions. */
#define CHAN(name, setup_, ...)                                                                   \
    MODEL(name, .state = &m, .state_bytes = sizeof(m), .setup = setup_, .threads = {__VA_ARGS__}, \
          .check = check)

#define LONG_CHAN(name, setup_, bound, tso_bound, ...)                                            \
    MODEL(name, .state = &m, .state_bytes = sizeof(m), .setup = setup_, .threads = {__VA_ARGS__}, \
          .check = check, .preemptions = bound, .tso_preemptions = tso_bound)

/* ---- the ring ---- */

CHAN(ring_pass, setup_1, recv_two, send_two)
LONG_CHAN(ring_senders, setup_1, 3, 2, recv_two, send, send)
LONG_CHAN(ring_receivers, setup_1, 3, 2, send_two, recv, recv)
CHAN(ring_two, setup_2, recv_two, send, send)
CHAN(ring_close, setup_1, recv_to_the_end, send_or_not, close_channel)
CHAN(ring_close_full, setup_1, send_two_or_not, recv_now, close_channel)
CHAN(ring_cancel, setup_1, recv_or_not, send, cancel_first)
LONG_CHAN(ring_cancel_passes, setup_1, 2, 1, recv_and_resend, recv, send, cancel_first)
LONG_CHAN(ring_deadline, setup_1_thread, 3, 2, recv_and_resend, recv, send)

/* ---- rendezvous ---- */

CHAN(rendezvous_pass, setup_0, recv_two, send_two)
CHAN(rendezvous_senders, setup_0, recv_two, send, send)
CHAN(rendezvous_receivers, setup_0, send_two, recv, recv)
CHAN(rendezvous_close, setup_0, recv_to_the_end, send_or_not, close_channel)
CHAN(rendezvous_cancel, setup_0, recv_or_not, send_now, cancel_first)
CHAN(rendezvous_cancel_send, setup_0, send_or_not, recv_now, cancel_first)
CHAN(rendezvous_deadline, setup_0_thread, recv_or_not, send_now)
CHAN(rendezvous_alone, setup_0_alone, recv_two, send_two)
CHAN(rendezvous_alone_send, setup_0_alone, send_two, recv_two)
LONG_CHAN(rendezvous_alone_close, setup_0_alone, 3, 2, recv_to_the_end, send_or_not, close_channel)
CHAN(rendezvous_alone_cancel, setup_0_alone, recv_unless_cancelled, send_now, cancel_first)
