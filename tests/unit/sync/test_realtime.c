/* A SCHED_FIFO thread waits for a step of an ordinary thread that it has preempted on their only
 * core: each kind of wait that goes by sk_lock_relax.
 * Method: the holder takes the thing and wakes the real-time thread, which runs from then on until it
 * sleeps. Only then does the holder get to let go. What the real-time thread has burnt until it is
 * through is its own processor time: the load of the machine does not count. */
#include <semaphore.h>

#include "runtime/idle.h"
#include "runtime/slot.h"
#include "runtime/solo.h"
#include "sync/chan.h"
#include "sync/queue.h"
#include "tests/support/realtime.h"
#include "tests/unit/runtime/rt_test.h"

struct meeting {
    void (*take)(void);
    void (*meet)(void);   /* the real-time thread: waits until the holder has let go */
    void (*let_go)(void); /* the holder */
};

static struct {
    const struct meeting *m;
    sem_t taken;
    _Atomic(bool) x_meets;
    int64_t burnt_ms;
} on;

static void *meet_as_realtime(void *arg)
{
    (void)arg;
    SKT_EQ(rtc_settle(true), 0);
    while (sem_wait(&on.taken) != 0)
        continue;
    atomic_store(&on.x_meets, true);
    int64_t before = rtc_thread_cpu_ms();
    on.m->meet();
    on.burnt_ms = rtc_thread_cpu_ms() - before;
    return NULL;
}

static void *hold_as_ordinary(void *arg)
{
    (void)arg;
    SKT_EQ(rtc_settle(false), 0);
    on.m->take();
    sem_post(&on.taken); /* preempted here, at the latest in the loop */
    while (!atomic_load(&on.x_meets))
        sched_yield();
    on.m->let_go();
    return NULL;
}

static void run_meeting(const struct meeting *m)
{
    rtc_require();
    on.m = m;
    atomic_store(&on.x_meets, false);
    SKT_EQ(sem_init(&on.taken, 0, 0), 0);
    pthread_t waiter = rt_thread(meet_as_realtime, NULL);
    pthread_t holder = rt_thread(hold_as_ordinary, NULL);
    rt_thread_join(holder);
    rt_thread_join(waiter);
    sem_destroy(&on.taken);
    SKT_LT(on.burnt_ms, RTC_CPU_MAX_MS);
}

#define MEETING(name)                                                           \
    SKT_TEST(realtime, name)                                                    \
    {                                                                           \
        static const struct meeting m = {                                       \
            .take = name##_take, .meet = name##_meet, .let_go = name##_let_go}; \
        run_meeting(&m);                                                        \
    }

/* ---- a lock ---- */

static struct sk_lock lock;

static void lock_take(void)
{
    sk_lock(&lock);
}

static void lock_meet(void)
{
    sk_lock(&lock);
    sk_unlock(&lock);
}

static void lock_let_go(void)
{
    sk_unlock(&lock);
}

MEETING(lock)

/* ---- the LOCKED bit of an object's word ---- */

static _Atomic(uint64_t) word;

static void word_take(void)
{
    (void)sk_queue_hold(&word);
}

static void word_meet(void)
{
    sk_queue_let_go(&word, sk_queue_hold(&word));
}

static void word_let_go(void)
{
    sk_queue_let_go(&word, 0);
}

MEETING(word)

/* ---- a worker's section, which a stranger's arrival waits for ---- */

static void section_take(void)
{
    atomic_store(&sk_solo.x_inside, 0u);
    sk_solo_start(1);
    SKT_EQ(atomic_load(&sk_solo.x_state), (uint32_t)SK_SOLO_ALONE);
    SKT_TRUE(sk_solo_enter());
}

static void section_meet(void)
{
    sk_solo_end();
    SKT_EQ(atomic_load(&sk_solo.x_state), (uint32_t)SK_SOLO_SHARED);
}

static void section_let_go(void)
{
    sk_solo_leave();
}

MEETING(section)

/* ---- the end of another stranger's arrival ---- */

static void arrival_take(void)
{
    atomic_store(&sk_solo.x_state, (uint32_t)SK_SOLO_ENDING);
}

static void arrival_let_go(void)
{
    atomic_store(&sk_solo.x_state, (uint32_t)SK_SOLO_SHARED);
}

#define arrival_meet section_meet
MEETING(arrival)

/* ---- an element that is on its way ---- */

static skua_chan *chan;
static uint64_t claimed;

static void element_take(void)
{
    enum sk_chan_ring_result why;
    SKT_EQ(skua_chan_new(&chan, sizeof(uint64_t), 4, 0), 0);
    SKT_EQ(sk_chan_ring_claim_free(&chan->ring, 1, &claimed, &why), 1u);
}

static void element_meet(void)
{
    uint64_t v;
    SKT_EQ(skua_chan_recv(chan, &v, SKUA_NOW), 0);
    skua_chan_unref(chan);
}

static void element_let_go(void)
{
    uint64_t pos = sk_chan_ring_pos(claimed);
    sk_store_release(sk_chan_ring_stamp(&chan->ring, pos),
                     sk_chan_ring_lap(&chan->ring, pos) | SK_CHAN_RING_FULL);
}

MEETING(element)

/* ---- a claimed waiter, to which the claimer still copies ---- */

static struct sk_chan_waiter claimed_waiter;

static void claim_take(void)
{
    sk_store_relaxed(&claimed_waiter.x_outcome, (uint32_t)SK_CHAN_PENDING);
}

static void claim_meet(void)
{
    SKT_EQ(sk_chan_outcome(&claimed_waiter), 0);
}

static void claim_let_go(void)
{
    sk_store_release(&claimed_waiter.x_outcome, (uint32_t)SK_CHAN_PASSED);
}

MEETING(claim)

/* ---- a slot that its owner is about to fill ---- */

static struct sk_slot slot;

static void slot_take(void)
{
    slot = (struct sk_slot){.alone = false};
    sk_idle_init(2, NULL);
    atomic_store(&slot.x_busy, true);
}

static void slot_meet(void)
{
    sk_slot_open(&slot);
}

static void slot_let_go(void)
{
    sk_store_release(&slot.x_busy, false);
}

MEETING(slot)

/* ---- a slot out of which a thief is taking ---- */

static void theft_take(void)
{
    slot = (struct sk_slot){.alone = false};
    atomic_store(&slot.x_state, (uint32_t)SK_SLOT_TAKING);
}

static void theft_meet(void)
{
    SKT_NULL(sk_slot_swap(&slot, NULL));
}

static void theft_let_go(void)
{
    sk_store_release(&slot.x_state, (uint32_t)SK_SLOT_CLOSED);
}

MEETING(theft)

/* ---- a sleeper that is leaving by itself ---- */

static void sleeper_take(void)
{
    sk_idle_init(2, NULL);
    atomic_store(&sk_idle.x_word, 1u); /* it has cleared its bit, and has not counted itself out */
}

static void sleeper_meet(void)
{
    (void)sk_idle_notify_slow();
}

static void sleeper_let_go(void)
{
    sk_sub_acq_rel(&sk_idle.x_word, 1u);
}

MEETING(sleeper)
