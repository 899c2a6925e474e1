/* sync/chan_fifo.h - the elements of an unbounded channel: a list of chunks, so that growing moves
 * nothing, and memory goes back as it empties. Unbounded by purpose: who asks for it bounds it by
 * other means.
 * Owns:    struct sk_chan_fifo and its chunks.
 * Threads: the holder of the channel's x_lock; nothing here allocates or frees.
 * I1: elements lie in first from `read` on, in the chunks between, and in last up to `written`.
 * I2: a chunk that is emptied while it is the only one begins anew. */
#ifndef SK_SYNC_CHAN_FIFO_H
#define SK_SYNC_CHAN_FIFO_H

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sync/chan_ring.h"

enum { SK_CHAN_CHUNK_BYTES = 8192 }; /* of elements, at least one */

struct sk_chan_chunk {
    struct sk_chan_chunk *next;
    alignas(16) char bytes[];
};

struct sk_chan_fifo {
    struct sk_chan_chunk *first, *last;
    struct sk_chan_chunk *spare; /* one that was emptied: a steady flow allocates none */
    uint32_t read, written;      /* elements taken from first, put into last */
    uint32_t per_chunk;
    uint32_t elem_bytes;
};

static inline void sk_chan_fifo_init(struct sk_chan_fifo *q, size_t elem_bytes)
{
    *q = (struct sk_chan_fifo){.elem_bytes = (uint32_t)elem_bytes, .per_chunk = 1};
    if (elem_bytes != 0 && elem_bytes < SK_CHAN_CHUNK_BYTES)
        q->per_chunk = (uint32_t)(SK_CHAN_CHUNK_BYTES / elem_bytes);
}

static inline size_t sk_chan_fifo_chunk_bytes(const struct sk_chan_fifo *q)
{
    return sizeof(struct sk_chan_chunk) + (size_t)q->per_chunk * q->elem_bytes;
}

static inline char *sk_chan_fifo_at(const struct sk_chan_fifo *q, struct sk_chan_chunk *chunk,
                                    uint32_t index)
{
    return chunk->bytes + (size_t)index * q->elem_bytes;
}

static inline bool sk_chan_fifo_is_full(const struct sk_chan_fifo *q)
{
    return q->last == NULL || q->written == q->per_chunk;
}

static inline void sk_chan_fifo_add_chunk(struct sk_chan_fifo *q, struct sk_chan_chunk *chunk)
{
    chunk->next = NULL;
    if (q->last != NULL)
        q->last->next = chunk;
    else
        q->first = chunk;
    q->last = chunk;
    q->written = 0;
}

/* Takes the spare chunk, or *chunk, if it needs one. False: there is none. */
static inline bool sk_chan_fifo_push(struct sk_chan_fifo *q, const void *v,
                                     struct sk_chan_chunk **chunk)
{
    if (q->elem_bytes == 0)
        return true; /* the count says it all */
    if (sk_unlikely(sk_chan_fifo_is_full(q))) {
        struct sk_chan_chunk **from = q->spare != NULL ? &q->spare : chunk;
        if (*from == NULL)
            return false;
        struct sk_chan_chunk *fresh = *from;
        *from = NULL;
        sk_chan_fifo_add_chunk(q, fresh);
    }
    sk_chan_ring_copy(sk_chan_fifo_at(q, q->last, q->written++), v, q->elem_bytes);
    return true;
}

/* There is an element; left: how many there are without it. v may be NULL. *chunk: to be freed. */
static inline void sk_chan_fifo_pop(struct sk_chan_fifo *q, void *v, uint64_t left,
                                    struct sk_chan_chunk **chunk)
{
    if (q->elem_bytes == 0)
        return;
    struct sk_chan_chunk *first = q->first;
    if (v != NULL)
        sk_chan_ring_copy(v, sk_chan_fifo_at(q, first, q->read), q->elem_bytes);
    q->read++;
    if (left == 0) { /* I2 */
        q->read = q->written = 0;
    } else if (q->read == q->per_chunk) {
        q->first = first->next;
        q->read = 0;
        struct sk_chan_chunk **to = q->spare == NULL ? &q->spare : chunk;
        *to = first;
    }
}

#endif
