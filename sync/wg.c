/* sync/wg.c - a wait group: waits until a count comes down to zero.
 * x_word: round << 33 | WAITERS | count. Each time that the count reaches zero a new round begins: who waited in the old one
 * is woken, who waits after the next add is not.
 * Order: WG1 acq_rel CAS that reaches zero -> WG2 acquire load in wait: what those who were done wrote is visible. */
#include <errno.h>

#include <skua/sync.h>

#include "runtime/base/atomic.h"
#include "sync/queue.h"

#define COUNT_MASK UINT64_C(0xFFFFFFFF)
#define WAITERS    (UINT64_C(1) << 32)
enum { ROUND_SHIFT = 33 };

struct wg {
    _Atomic(uint64_t) x_word;
    struct sk_queue queue;
};

static_assert(sizeof(struct wg) <= sizeof(skua_wg), "skua_wg holds it");

static struct wg *wg_of(skua_wg *g)
{
    return (struct wg *)(void *)g;
}

int skua_wg_add(skua_wg *g, int n)
{
    struct wg *wg = wg_of(g);
    uint64_t word = sk_load_relaxed(&wg->x_word);
    uint64_t next;
    do {
        int64_t count = (int64_t)(word & COUNT_MASK) + n;
        if (count < 0 || count > INT32_MAX)
            return -EINVAL;
        next = (word & ~COUNT_MASK) | (uint64_t)count;
        if (count == 0 && n != 0)
            next = ((word >> ROUND_SHIFT) + 1) << ROUND_SHIFT;
    } while (!sk_cas_acq_rel(&wg->x_word, &word, next)); /* WG1 */
    if ((next & COUNT_MASK) == 0 && (word & WAITERS) != 0)
        sk_queue_wake_all(&wg->queue, (uint32_t)(word >> ROUND_SHIFT));
    return 0;
}

int skua_wg_done(skua_wg *g)
{
    return skua_wg_add(g, -1);
}

/* Into the queue, unless the count is zero. */
static bool enqueue(struct wg *wg, struct sk_queue_node *node)
{
    sk_lock(&wg->queue.lock);
    uint64_t word = sk_load_acquire(&wg->x_word); /* WG2 */
    while ((word & COUNT_MASK) != 0 && (word & WAITERS) == 0 && !sk_cas_acq_rel(&wg->x_word, &word, word | WAITERS)) {
    }
    bool must_wait = (word & COUNT_MASK) != 0;
    if (must_wait)
        sk_queue_push_locked(&wg->queue, node, (uint32_t)(word >> ROUND_SHIFT));
    sk_unlock(&wg->queue.lock);
    return must_wait;
}

int skua_wg_wait(skua_wg *g, skua_time dl)
{
    struct wg *wg = wg_of(g);
    struct sk_queue_node node;
    int rc = sk_wait_check_deadline(dl);
    if (rc < 0)
        return rc;
    if ((sk_load_acquire(&wg->x_word) & COUNT_MASK) == 0) /* WG2 */
        return 0;
    rc = sk_wait_begin(&node.wait, dl, 0);
    if (rc < 0)
        return (sk_load_acquire(&wg->x_word) & COUNT_MASK) == 0 ? 0 : rc;
    if (!enqueue(wg, &node)) {
        (void)sk_wait_abandon(&node.wait);
        return 0;
    }
    rc = sk_wait_park(&node.wait);
    if (rc < 0) {
        sk_lock(&wg->queue.lock);
        sk_queue_drop_locked(&node);
        sk_unlock(&wg->queue.lock);
    }
    return rc;
}
