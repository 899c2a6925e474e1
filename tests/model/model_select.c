/* tests/model/model_select.c - selects: one case is done and no other; two that face each other meet
 * once; nobody waits for what is there. */
#include <errno.h>

#include <skua/chan.h>

#include "runtime/cancel.h"
#include "tests/model/explore.h"
#include "tests/model/world.h"

enum { A, B, CHANNELS, ELEMENTS = 8 };

static struct {
    skua_chan *c[CHANNELS];
    int told[ELEMENTS];
    int sent[ELEMENTS];
    int received[ELEMENTS];
} m;

/* ---- what threads do ---- */

static skua_case send_to(unsigned channel, uint64_t *id)
{
    return (skua_case){.op = SKUA_SEND, .obj = m.c[channel], .val = id};
}

static skua_case recv_from(unsigned channel, uint64_t *id)
{
    return (skua_case){.op = SKUA_RECV, .obj = m.c[channel], .val = id};
}

static void note_sent(uint64_t id)
{
    m.sent[id] = 1;
}

static void note_received(uint64_t id)
{
    model_assert(id < ELEMENTS && m.told[id] == 7);
    m.told[id] = 8; /* nobody else has it */
    m.received[id]++;
}

/* Sends element 2 t to one channel or takes one from the other. Which case, or why none. */
static int send_or_recv(unsigned to, unsigned from, unsigned flags)
{
    uint64_t mine = 2 * (unsigned)model_self(), theirs = ELEMENTS;
    m.told[mine] = 7;
    skua_case cases[2] = {send_to(to, &mine), recv_from(from, &theirs)};
    int rc = skua_select(cases, 2, flags, SKUA_NEVER);
    if (rc < 0 || cases[rc].res < 0)
        return rc < 0 ? rc : cases[rc].res;
    if (rc == 0)
        note_sent(mine);
    else
        note_received(theirs);
    return rc;
}

static void face_one_way(void)
{
    model_assert(send_or_recv(A, B, 0) >= 0);
}

static void face_other_way(void)
{
    model_assert(send_or_recv(B, A, 0) >= 0);
}

/* Looks at the channels, and would lock them, in opposite orders. */
static void face_one_way_in_order(void)
{
    model_assert(send_or_recv(A, B, SKUA_SELECT_ORDERED) >= 0);
}

static void face_other_way_in_order(void)
{
    model_assert(send_or_recv(B, A, SKUA_SELECT_ORDERED) >= 0);
}

static void face_or_not(void)
{
    int rc = send_or_recv(A, B, 0);
    model_assert(rc >= 0 || rc == -ECANCELED || rc == -EPIPE);
}

static int recv_either(unsigned flags)
{
    uint64_t id = ELEMENTS;
    skua_case cases[2] = {recv_from(A, &id), recv_from(B, &id)};
    int rc = skua_select(cases, 2, flags, SKUA_NEVER);
    if (rc < 0 || cases[rc].res < 0)
        return rc < 0 ? rc : cases[rc].res;
    note_received(id);
    return rc;
}

static void recv_both(void)
{
    model_assert(recv_either(0) >= 0);
    model_assert(recv_either(0) >= 0);
}

static void recv_ordered(void)
{
    model_assert(recv_either(SKUA_SELECT_ORDERED) >= 0);
}

static void recv_one(void)
{
    model_assert(recv_either(0) >= 0);
}

static void send(unsigned channel)
{
    uint64_t id = 2 * (unsigned)model_self();
    m.told[id] = 7;
    int rc = skua_chan_send(m.c[channel], &id, SKUA_NEVER);
    model_assert(rc == 0 || rc == -EPIPE);
    if (rc == 0)
        note_sent(id);
}

static void send_a(void)
{
    send(A);
}

static void send_b(void)
{
    send(B);
}

static void recv_b_now(void)
{
    uint64_t id;
    if (skua_chan_recv(m.c[B], &id, SKUA_NOW) == 0)
        note_received(id);
}

static void cancel_first(void)
{
    sk_cancel_task(&world.tasks[0]);
}

static void close_both(void)
{
    model_assert(skua_chan_close(m.c[A]) == 0);
    model_assert(skua_chan_close(m.c[B]) == 0);
}

/* ---- setup and check ---- */

static void setup(size_t capacity_a, size_t capacity_b)
{
    world_begin();
    for (unsigned i = 0; i < MODEL_THREADS_MAX; i++)
        sk_rand_seed(&world.workers[i].rand, i);
    model_assert(skua_chan_new(&m.c[A], sizeof(uint64_t), capacity_a, 0) == 0);
    model_assert(skua_chan_new(&m.c[B], sizeof(uint64_t), capacity_b, 0) == 0);
}

static void setup_rendezvous(void)
{
    setup(0, 0);
}

static void setup_rings(void)
{
    setup(1, 1);
}

static void setup_mixed(void)
{
    setup(0, 1);
}

static void check(void)
{
    uint64_t id;
    for (unsigned i = 0; i < CHANNELS; i++)
        while (skua_chan_recv(m.c[i], &id, SKUA_NOW) == 0)
            m.received[id]++;
    for (unsigned i = 0; i < ELEMENTS; i++)
        model_assert(m.received[i] == m.sent[i]);
}

#define SELECT(name, setup_, bound, tso_bound, ...)                                               \
    MODEL(name, .state = &m, .state_bytes = sizeof(m), .setup = setup_, .threads = {__VA_ARGS__}, \
          .check = check, .preemptions = bound, .tso_preemptions = tso_bound)

SELECT(select_faces, setup_rendezvous, 3, 3, face_one_way, face_other_way)
SELECT(select_faces_in_order, setup_rendezvous, 3, 3, face_one_way_in_order,
       face_other_way_in_order)
SELECT(select_faces_mixed, setup_mixed, 3, 3, face_one_way, face_other_way)
SELECT(select_senders, setup_rendezvous, 3, 2, recv_both, send_a, send_b)
SELECT(select_senders_mixed, setup_mixed, 3, 2, recv_both, send_a, send_b)
SELECT(select_ordered_rings, setup_rings, 2, 1, recv_ordered, recv_one, send_a, send_b)
SELECT(select_cancel, setup_rendezvous, 3, 2, face_or_not, recv_b_now, cancel_first)
SELECT(select_close, setup_mixed, 3, 2, face_or_not, send_b, close_both)
