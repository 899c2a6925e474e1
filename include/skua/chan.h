/* skua/chan.h - channels, through which coroutines and plain threads pass elements of one size, and
 * select, which waits for several things at once.
 * What one sender sends comes out in its order. Nothing is lost: an element whose send returned 0 is
 * received, or is in the channel when that is freed; one whose send failed was not sent. */
#ifndef SKUA_CHAN_H
#define SKUA_CHAN_H

#include <poll.h> /* POLLIN ..., for SKUA_FD */
#include <sys/types.h>

#include <skua/base.h>
#include <skua/time.h>

SKUA_EXTERN_C_BEGIN

typedef struct skua_chan skua_chan;

/* Flags of skua_chan_new. */
#define SKUA_CHAN_UNBOUNDED 1u /* a send never waits; capacity is ignored */
#define SKUA_CHAN_SPSC      2u /* a promise: never two senders at once, nor two receivers */

#define SKUA_CHAN_ELEM_MAX 65536 /* bytes of an element */

/** Makes a channel.
 * c         out: a channel with one reference.
 * elem_size bytes of an element, 0 .. SKUA_CHAN_ELEM_MAX.
 * capacity  how many elements it holds, exactly; 0: each send waits for its receiver (rendezvous).
 * flags     SKUA_CHAN_UNBOUNDED, SKUA_CHAN_SPSC.
 * returns   0; -EINVAL; -ENOMEM.
 * suspends  never.   from  anywhere, also without a runtime. */
SKUA_API int skua_chan_new(skua_chan **c, size_t elem_size, size_t capacity, unsigned flags);

/** Takes one more reference.
 * returns   c.
 * suspends  never.   from  anywhere. */
SKUA_API skua_chan *skua_chan_ref(skua_chan *c);

/** Gives a reference back; the last one frees the channel and what is in it. Whoever is in a call on
 * a channel holds a reference meanwhile, or knows of one that stays.
 * c         may be NULL.
 * suspends  never.   from  anywhere. */
SKUA_API void skua_chan_unref(skua_chan *c);

/** Sends one element.
 * v         elem_size bytes, copied; may be NULL if elem_size is 0.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0: it is in the channel, or received (capacity 0); -EPIPE: closed; -EAGAIN, -ETIMEDOUT,
 *           -ECANCELED, -ESHUTDOWN; -ENOMEM; -EINVAL: it was not sent.
 * suspends  may.   from  coroutine or plain thread; with SKUA_NOW a timer's function too. */
SKUA_API int skua_chan_send(skua_chan *c, const void *v, skua_time dl);

/** Receives one element.
 * v         elem_size bytes to write to, on success only; NULL: the element is dropped.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   0; -EPIPE: closed, and all that was sent has been received; -EAGAIN, -ETIMEDOUT,
 *           -ECANCELED, -ESHUTDOWN; -EINVAL: nothing was received.
 * suspends  may.   from  coroutine or plain thread; with SKUA_NOW a timer's function too. */
SKUA_API int skua_chan_recv(skua_chan *c, void *v, skua_time dl);

/** Sends n elements in order, until all went, dl, close or cancellation.
 * v         n elements one behind the other.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW (as many as go at once) or SKUA_NEVER.
 * returns   how many were sent, the first ones; if none was, the reason as skua_chan_send has it.
 * suspends  may.   from  coroutine or plain thread; with SKUA_NOW a timer's function too. */
SKUA_API ssize_t skua_chan_send_n(skua_chan *c, const void *v, size_t n, skua_time dl);

/** Waits for one element, then takes what is there, n at most.
 * v         room for n elements; NULL: they are dropped.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   how many were received; if none was, the reason as skua_chan_recv has it; 0 if n is 0.
 * suspends  may.   from  coroutine or plain thread; with SKUA_NOW a timer's function too. */
SKUA_API ssize_t skua_chan_recv_n(skua_chan *c, void *v, size_t n, skua_time dl);

/** Closes a channel: sends fail from now on, those that wait too; what is in it can still be
 * received. Wakes all who wait.
 * returns   0; -EPIPE: it was closed.
 * suspends  never.   from  anywhere. */
SKUA_API int skua_chan_close(skua_chan *c);

/** How many elements are in a channel: a snapshot.
 * returns   0 .. skua_chan_cap(c).
 * suspends  never.   from  anywhere. */
SKUA_API size_t skua_chan_len(const skua_chan *c);

/** How many elements a channel can hold.
 * returns   the capacity; SIZE_MAX if it is unbounded.
 * suspends  never.   from  anywhere. */
SKUA_API size_t skua_chan_cap(const skua_chan *c);

/* What a case of skua_select waits for. */
enum { SKUA_SEND, SKUA_RECV, SKUA_FUTURE, SKUA_TASK, SKUA_FD, SKUA_SKIP };

typedef struct skua_case {
    int op;
    void *obj; /* the channel, future or task */
    void *val; /* SEND: the element; RECV, FUTURE: where the value goes, or NULL; TASK: an int for
                  its result, or NULL */
    int fd;    /* FD: the descriptor and poll(2)'s events */
    short events;
    int res; /* out, of the case that was chosen */
    uint64_t reserved[2];
} skua_case;

/* Flags of skua_select. */
#define SKUA_SELECT_ORDERED 1u /* of several that are ready the first one, not any */

/** Waits until one of several cases can be done, and does that one and no other.
 * v         n cases; of the one chosen res is written: 0 for SEND and RECV, -EPIPE if the channel is
 *           closed (a closed channel is ready); for FUTURE and TASK what skua_future_get and
 *           skua_join return; for FD what has happened there (revents), -EBADF if it is not open.
 *           SKUA_SKIP is passed over.
 * flags     SKUA_SELECT_ORDERED. Without it, cases that are ready are chosen with equal chances.
 * dl        absolute CLOCK_MONOTONIC ns, SKUA_NOW or SKUA_NEVER.
 * returns   the index of the case; -EAGAIN, -ETIMEDOUT, -ECANCELED, -ESHUTDOWN: none; -EINVAL: a
 *           case that cannot be; -EDEADLK: nothing to wait for, and for ever, or, whatever dl and the
 *           other cases are, a TASK that is the caller; -ENOMEM.
 * suspends  may.   from  coroutine or plain thread; with SKUA_NOW a timer's function too. */
SKUA_API int skua_select(skua_case *v, unsigned n, unsigned flags, skua_time dl);

SKUA_EXTERN_C_END

#endif
