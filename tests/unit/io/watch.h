/* tests/unit/io/watch.h - one wait for several descriptors, as a select makes it of runtime/driver.h. */
#ifndef WATCH_H
#define WATCH_H

#include <string.h>

#include "io/fd.h"
#include "runtime/driver.h"
#include "runtime/solo.h"
#include "runtime/wait.h"
#include "tests/support/skt.h"

enum { WATCH_MOST = 8 };

struct watch_set {
    struct sk_driver_poll polls[WATCH_MOST];
    int fds[WATCH_MOST], count;
    short events;
};

/* Nothing is taken for granted in the polls but what arm says. */
static inline void watch_init(struct watch_set *set, const int *fds, int n, short events)
{
    memset(set->polls, 0xA5, sizeof(set->polls));
    for (int i = 0; i < n; i++)
        set->polls[i].bound = 0;
    memcpy(set->fds, fds, (size_t)n * sizeof(*fds));
    set->count = n;
    set->events = events;
}

static inline void watch_poison(struct sk_driver_poll *poll)
{
    memset(poll->opaque, 0xA5, sizeof(poll->opaque)); /* nobody comes back to it */
}

/* Waits once; results[i] is what disarm said, or arm. Returns what ended the wait: 0 (something came,
 * or seemed to), or as sk_wait_begin and sk_wait_park. */
static inline int watch_once_all(struct watch_set *set, skua_time dl, int *results)
{
    struct sk_wait wait;
    struct sk_waiter waiter = {.wait = &wait};
    bool armed[WATCH_MOST], failed = false;
    int rc = sk_wait_begin(&wait, dl, 0);
    if (rc < 0)
        return rc;
    for (int i = 0; i < set->count; i++) {
        results[i] = sk_driver_poll_arm(&set->polls[i], set->fds[i], set->events, &waiter);
        armed[i] = results[i] == 0;
        failed = failed || !armed[i];
    }
    if (failed)
        (void)sk_wait_abandon(&wait);
    else
        rc = sk_wait_park(&wait);
    for (int i = 0; i < set->count; i++) {
        if (armed[i])
            results[i] = sk_driver_poll_disarm(&set->polls[i]);
        watch_poison(&set->polls[i]);
    }
    return rc;
}

/* For n descriptors, once. */
static inline int watch_all(const int *fds, int n, short events, skua_time dl, int *results)
{
    struct watch_set set;
    watch_init(&set, fds, n, events);
    return watch_once_all(&set, dl, results);
}

static inline int watch_one(int fd, short events, skua_time dl, int *result)
{
    return watch_all(&fd, 1, events, dl, result);
}

/* Whether the table of descriptors lists an operation on fd. */
static inline bool watch_is_listed(int fd)
{
    struct sk_fd *entry = sk_fd_find(fd);
    if (entry == NULL)
        return false;
    sk_solo_lock(&entry->lock);
    bool listed = entry->ops != NULL;
    sk_unlock(&entry->lock);
    return listed;
}

#endif
