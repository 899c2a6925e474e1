/* tests/unit/sync/test_chan_fifo.c - the elements of an unbounded channel. */
#include "sync/chan_fifo.h"

#include <stdlib.h>

#include "tests/support/skt.h"

struct fifo {
    struct sk_chan_fifo q;
    uint64_t count;
    int chunks; /* allocated and not freed */
};

static void put(struct fifo *f, const void *v)
{
    struct sk_chan_chunk *chunk = NULL;
    if (!sk_chan_fifo_push(&f->q, v, &chunk)) {
        chunk = malloc(sk_chan_fifo_chunk_bytes(&f->q));
        f->chunks++;
        SKT_TRUE(sk_chan_fifo_push(&f->q, v, &chunk));
        SKT_NULL(chunk); /* taken over */
    }
    f->count++;
}

static void take(struct fifo *f, void *v)
{
    struct sk_chan_chunk *chunk = NULL;
    sk_chan_fifo_pop(&f->q, v, --f->count, &chunk);
    f->chunks -= chunk != NULL;
    free(chunk);
}

static void end(struct fifo *f)
{
    for (struct sk_chan_chunk *c = f->q.first, *next; c != NULL; c = next, f->chunks--) {
        next = c->next;
        free(c);
    }
    f->chunks -= f->q.spare != NULL;
    free(f->q.spare);
    SKT_EQ(f->chunks, 0);
}

/* Goal: in order, over many chunks, whatever the rhythm. */
SKT_TEST(chan_fifo, order)
{
    const uint64_t bursts[] = {1, 3, 1023, 1024, 1025, 5000};
    for (size_t b = 0; b < sizeof(bursts) / sizeof(bursts[0]); b++) {
        struct fifo f = {.count = 0};
        uint64_t sent = 0, got = 0, word;
        sk_chan_fifo_init(&f.q, sizeof(word));
        for (int round = 0; round < 7; round++) {
            for (uint64_t i = 0; i < bursts[b]; i++, sent++)
                put(&f, &sent);
            for (uint64_t i = round == 6 ? f.count : f.count / 2; i > 0; i--, got++) {
                take(&f, &word);
                SKT_EQ(word, got);
            }
        }
        SKT_EQ(got, sent);
        end(&f);
    }
}

/* Goal: a steady flow keeps its chunk; what grew gives its memory back as it empties. */
SKT_TEST(chan_fifo, memory)
{
    struct fifo f = {.count = 0};
    uint64_t word = 0;
    sk_chan_fifo_init(&f.q, sizeof(word));
    for (int i = 0; i < 10000; i++) {
        put(&f, &word);
        take(&f, NULL);
    }
    SKT_EQ(f.chunks, 1);
    for (int i = 0; i < 100000; i++)
        put(&f, &word);
    SKT_GT(f.chunks, 90);
    while (f.count > 0)
        take(&f, &word);
    SKT_LE(f.chunks, 2);
    for (int i = 0; i < 1000; i++) /* two chunks serve a flow that stands on their border */
        put(&f, &word);
    for (int i = 0; i < 10000; i++) {
        put(&f, &word);
        take(&f, NULL);
    }
    SKT_LE(f.chunks, 3);
    end(&f);
}

/* Goal: elements larger than a chunk, odd ones, and of no bytes. */
SKT_TEST(chan_fifo, sizes)
{
    const size_t sizes[] = {0, 1, 3, 16, 4096, 8191, 8192, 8193, 65536};
    static unsigned char in[65536], out[65536];
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct fifo f = {.count = 0};
        sk_chan_fifo_init(&f.q, sizes[i]);
        for (unsigned turn = 0; turn < 6; turn++) {
            memset(in, (int)turn + 1, sizes[i]);
            put(&f, in);
        }
        for (unsigned turn = 0; turn < 6; turn++) {
            memset(in, (int)turn + 1, sizes[i]);
            memset(out, 0, sizes[i]);
            take(&f, out);
            SKT_MEM_EQ(in, out, sizes[i]);
        }
        end(&f);
    }
}
