/* tests/unit/sync/test_chan_ring.c - the ring of a bounded channel, in one thread. */
#include "sync/chan_ring.h"

#include "tests/support/skt.h"

static const uint64_t LAST = ((uint64_t)1 << 62) - 1; /* position */

static void fill(struct sk_chan_ring *r, uint64_t from, uint64_t n)
{
    for (uint64_t i = from; i < from + n; i++)
        SKT_EQ(sk_chan_ring_push(r, &i), SK_CHAN_RING_DONE);
}

static void drain(struct sk_chan_ring *r, uint64_t from, uint64_t n)
{
    for (uint64_t i = from, got; i < from + n; i++) {
        SKT_EQ(sk_chan_ring_pop(r, &got), SK_CHAN_RING_DONE);
        SKT_EQ(got, i);
    }
}

/* Goal: order survives the wrap of positions. Method: start just below it, fill, refuse, drain. */
SKT_TEST(chan_ring, full_and_wrap)
{
    for (uint64_t before = 0; before < 9; before++) {
        struct sk_chan_ring r;
        uint64_t word = 7;
        SKT_EQ(sk_chan_ring_init_at(&r, sizeof(word), 4, LAST - before), 0);
        for (uint64_t lap = 0; lap < 4; lap++) {
            fill(&r, lap * 4, 4);
            SKT_EQ(sk_chan_ring_len(&r), 4u);
            SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_NONE);
            drain(&r, lap * 4, 4);
            SKT_EQ(sk_chan_ring_len(&r), 0u);
            SKT_EQ(sk_chan_ring_pop(&r, &word), SK_CHAN_RING_NONE);
        }
        SKT_EQ(word, 7u);
        sk_chan_ring_free(&r);
    }
}

/* Goal: the capacity is exact, a power of two or not, from 1 on; also across the wrap. */
SKT_TEST(chan_ring, exact_capacity)
{
    for (uint64_t cap = 1; cap <= 17; cap++) {
        struct sk_chan_ring r;
        uint64_t next = 0, taken = 0;
        SKT_EQ(sk_chan_ring_init_at(&r, sizeof(next), cap, LAST - 20), 0);
        SKT_EQ(sk_chan_ring_cap(&r), cap);
        for (int round = 0; round < 60; round++) {
            fill(&r, next, cap - (next - taken));
            next = taken + cap;
            SKT_EQ(sk_chan_ring_push(&r, &next), SK_CHAN_RING_NONE);
            SKT_EQ(sk_chan_ring_len(&r), cap);
            uint64_t n = 1 + (uint64_t)round % cap;
            drain(&r, taken, n);
            taken += n;
        }
        sk_chan_ring_free(&r);
    }
}

/* Goal: every size arrives as it was sent, and nothing is written beside it. */
SKT_TEST(chan_ring, sizes)
{
    const size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 24, 100, 4096, 65536};
    static unsigned char in[65536 + 1], out[65536 + 1];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t n = sizes[i];
        struct sk_chan_ring r;
        SKT_EQ(sk_chan_ring_init(&r, n, 3), 0);
        for (unsigned turn = 0; turn < 10; turn++) {
            for (size_t b = 0; b < n; b++)
                in[b] = (unsigned char)(b * 7 + turn + 1);
            in[n] = 0x11;
            out[n] = 0x22;
            SKT_EQ(sk_chan_ring_push(&r, in), SK_CHAN_RING_DONE);
            SKT_EQ(sk_chan_ring_push(&r, in), SK_CHAN_RING_DONE);
            SKT_EQ(sk_chan_ring_pop(&r, NULL), SK_CHAN_RING_DONE);
            SKT_EQ(sk_chan_ring_pop(&r, out), SK_CHAN_RING_DONE);
            SKT_MEM_EQ(in, out, n);
            SKT_EQ(out[n], 0x22);
        }
        sk_chan_ring_free(&r);
    }
}

/* Goal: a run takes what is free, and no more; it may wrap within the slots. */
SKT_TEST(chan_ring, runs)
{
    struct sk_chan_ring r;
    uint64_t in[8], out[8], n, sent = 0, got = 0;
    SKT_EQ(sk_chan_ring_init_at(&r, sizeof(in[0]), 6, LAST - 30), 0);
    for (unsigned turn = 0; turn < 100; turn++) {
        for (uint64_t i = 0; i < 8; i++)
            in[i] = sent + i;
        n = 1 + turn % 8;
        uint64_t room = 6 - (sent - got), wanted = n;
        enum sk_chan_ring_result result = sk_chan_ring_push_n(&r, in, &n);
        SKT_EQ(n, wanted < room ? wanted : room);
        SKT_EQ(result, n > 0 ? SK_CHAN_RING_DONE : SK_CHAN_RING_NONE);
        sent += n;
        n = 1 + turn % 5;
        uint64_t there = sent - got;
        wanted = n;
        result = sk_chan_ring_pop_n(&r, out, &n);
        SKT_EQ(n, wanted < there ? wanted : there);
        SKT_EQ(result, n > 0 ? SK_CHAN_RING_DONE : SK_CHAN_RING_NONE);
        for (uint64_t i = 0; i < n; i++)
            SKT_EQ(out[i], got++);
    }
    n = 8;
    SKT_EQ(sk_chan_ring_pop_n(&r, NULL, &n), SK_CHAN_RING_DONE); /* dropped */
    SKT_EQ(n, sent - got);
    n = 8;
    SKT_EQ(sk_chan_ring_pop_n(&r, NULL, &n), SK_CHAN_RING_NONE);
    SKT_EQ(n, 0u);
    sk_chan_ring_free(&r);
}

/* Goal: close refuses what comes after, and keeps what came before. */
SKT_TEST(chan_ring, close)
{
    struct sk_chan_ring r;
    uint64_t word = 9, n = 2;
    SKT_EQ(sk_chan_ring_init(&r, sizeof(word), 2), 0);
    fill(&r, 0, 1);
    SKT_TRUE(sk_chan_ring_close(&r));
    SKT_FALSE(sk_chan_ring_close(&r));
    SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_ENDED);
    SKT_EQ(sk_chan_ring_push_n(&r, &word, &n), SK_CHAN_RING_ENDED);
    SKT_EQ(n, 0u);
    SKT_EQ(sk_chan_ring_announce_sender(&r), SK_CHAN_RING_ENDED);
    SKT_EQ(sk_chan_ring_announce_receiver(&r), SK_CHAN_RING_AGAIN);
    SKT_EQ(sk_chan_ring_len(&r), 1u);
    sk_chan_ring_forget_senders(&r);
    drain(&r, 0, 1);
    SKT_EQ(sk_chan_ring_pop(&r, &word), SK_CHAN_RING_ENDED);
    SKT_EQ(sk_chan_ring_announce_receiver(&r), SK_CHAN_RING_ENDED);
    SKT_EQ(sk_chan_ring_len(&r), 0u);
    sk_chan_ring_free(&r);
}

/* Goal: whoever comes after an announcement is told, until it is taken back; and an announcement says
 * so when there is no need to wait. */
SKT_TEST(chan_ring, announce)
{
    struct sk_chan_ring r;
    uint64_t word = 1, n = 2;
    SKT_EQ(sk_chan_ring_init_at(&r, sizeof(word), 2, LAST), 0);
    SKT_EQ(sk_chan_ring_announce_sender(&r), SK_CHAN_RING_AGAIN);
    sk_chan_ring_forget_senders(&r);
    SKT_EQ(sk_chan_ring_announce_receiver(&r), SK_CHAN_RING_NONE);
    SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_WAKE);
    SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_WAKE);
    SKT_EQ(sk_chan_ring_announce_receiver(&r), SK_CHAN_RING_AGAIN);
    SKT_EQ(sk_chan_ring_announce_sender(&r), SK_CHAN_RING_NONE);
    SKT_EQ(sk_chan_ring_len(&r), 2u); /* the bits are no part of it */
    SKT_EQ(sk_chan_ring_pop_n(&r, NULL, &n), SK_CHAN_RING_WAKE);
    sk_chan_ring_forget_receivers(&r);
    sk_chan_ring_forget_senders(&r);
    fill(&r, 0, 2);
    drain(&r, 0, 2);
    SKT_EQ(sk_chan_ring_announce_receiver(&r), SK_CHAN_RING_NONE);
    SKT_TRUE(sk_chan_ring_close(&r));
    SKT_EQ(sk_chan_ring_pop(&r, &word), SK_CHAN_RING_ENDED);
    sk_chan_ring_free(&r);
}

/* Goal: what is claimed but not published yet is neither "empty" nor "full". Method: move the
 * positions as another thread does in the middle of its call. */
SKT_TEST(chan_ring, on_its_way)
{
    struct sk_chan_ring r;
    uint64_t word = 1;
    SKT_EQ(sk_chan_ring_init(&r, sizeof(word), 1), 0);
    atomic_fetch_add(&r.x_tail, 4); /* a sender has claimed slot 0 */
    SKT_EQ(sk_chan_ring_pop(&r, &word), SK_CHAN_RING_AGAIN);
    SKT_EQ(sk_chan_ring_announce_receiver(&r), SK_CHAN_RING_AGAIN);
    SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_NONE);
    SKT_TRUE(sk_chan_ring_close(&r));
    SKT_EQ(sk_chan_ring_pop(&r, &word), SK_CHAN_RING_AGAIN); /* and it will be received */
    sk_chan_ring_free(&r);

    SKT_EQ(sk_chan_ring_init(&r, sizeof(word), 1), 0);
    SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_DONE);
    atomic_fetch_add(&r.x_head, 4); /* a receiver has claimed it */
    SKT_EQ(sk_chan_ring_push(&r, &word), SK_CHAN_RING_AGAIN);
    SKT_EQ(sk_chan_ring_announce_sender(&r), SK_CHAN_RING_AGAIN);
    SKT_EQ(sk_chan_ring_pop(&r, &word), SK_CHAN_RING_NONE);
    sk_chan_ring_free(&r);
}

/* Goal: what cannot be is refused, and a large ring costs nothing until it is used. */
SKT_TEST(chan_ring, memory)
{
    struct sk_chan_ring r;
    SKT_EQ(sk_chan_ring_init(&r, 65536, UINT64_MAX), -ENOMEM);
    SKT_EQ(sk_chan_ring_init(&r, 65536, (uint64_t)1 << 48), -ENOMEM);
    SKT_EQ(sk_chan_ring_init(&r, 8, ((uint64_t)1 << 48) + 1), -ENOMEM);
    sk_mem_fail_after(1);
    SKT_EQ(sk_chan_ring_init(&r, 8, 8), -ENOMEM);
    sk_mem_fail_after(0);
}
