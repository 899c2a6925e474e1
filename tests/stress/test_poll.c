/* A wait that watches descriptors, against everything that can end it: data, a hang-up, skua_close, a
 * cancellation, a deadline, another thing that is ready. It says what came; what came is still there;
 * after it the ring, the table and the mail know nothing of its memory, which is poisoned at once.
 * Numbers are closed and given out again all the time, so that a poll that survived its wait would
 * be seen on another's file. */
#include <poll.h>
#include <pthread.h>

#include "tests/stress/stress.h"
#include "tests/unit/io/watch.h"

enum { HANDS = 8, QUIET = 3 };

/* How the wait is to end. */
enum { DATA, DATA_LATER, HANG_UP, CLOSE, CANCEL, DEADLINE, WAYS };

struct watch {
    int fds[2];
    int quiet[QUIET]; /* watched as well; nothing comes there */
    int how;
    skua_time dl;
    int rc, result;
    _Atomic(bool) x_over;
};

static struct {
    _Atomic(uint64_t) x_ended[WAYS];
    _Atomic(uint64_t) x_nothing;
} outcomes;

/* As a select does: begins anew when what woke it turns out to be nothing. */
static int run_watch(void *arg)
{
    struct watch *w = arg;
    int fds[1 + QUIET] = {w->quiet[0], w->fds[0], w->quiet[1], w->quiet[2]}, results[1 + QUIET];
    struct watch_set set;
    watch_init(&set, fds, 1 + QUIET, POLLIN);
    do {
        memset(results, 0, sizeof(results));
        w->rc = watch_once_all(&set, w->dl, results);
        SKT_TRUE(results[0] == 0 && results[2] == 0 && results[3] == 0);
        if (w->rc == 0 && results[1] == 0)
            atomic_fetch_add(&outcomes.x_nothing, 1);
    } while (w->rc == 0 && results[1] == 0);
    w->result = results[1];
    atomic_store(&w->x_over, true);
    return 0;
}

static void *watch_in_thread(void *arg)
{
    (void)run_watch(arg);
    return NULL;
}

static void await_watched(struct watch *w)
{
    for (skua_time end = st_patience(); !watch_is_listed(w->fds[0]) && !atomic_load(&w->x_over);) {
        SKT_LT(skua_now(), end);
        (void)skua_yield();
    }
}

static void act(struct watch *w, skua_task *task)
{
    if (w->how == DATA_LATER || w->how == CLOSE) /* closed before, the number might be another's */
        await_watched(w);
    switch (w->how) {
    case DATA:
    case DATA_LATER:
        SKT_EQ(write(w->fds[1], "a", 1), 1);
        break;
    case HANG_UP:
        SKT_EQ(skua_close(w->fds[1]), 0);
        break;
    case CLOSE:
        SKT_EQ(skua_close(w->fds[0]), 0);
        break;
    case CANCEL:
        if (task != NULL)
            skua_cancel(task);
        else
            SKT_EQ(write(w->fds[1], "a", 1), 1);
        break;
    default:
        break;
    }
}

static void check(const struct watch *w)
{
    char byte;
    switch (w->how) {
    case DATA:
    case DATA_LATER:
        SKT_EQ(w->rc, 0);
        SKT_EQ(w->result, POLLIN);
        SKT_EQ(recv(w->fds[0], &byte, 1, MSG_DONTWAIT), 1);
        break;
    case HANG_UP:
        SKT_EQ(w->rc, 0);
        SKT_EQ(w->result, POLLIN | POLLHUP);
        break;
    case CLOSE:
        SKT_EQ(w->rc, 0);
        SKT_EQ(w->result, -ECANCELED);
        break;
    case CANCEL:
        SKT_TRUE((w->rc == -ECANCELED && w->result == 0) || (w->rc == 0 && w->result == POLLIN));
        break;
    default:
        SKT_EQ(w->rc, -ETIMEDOUT);
        SKT_EQ(w->result, 0);
        break;
    }
    if (w->how != CLOSE)
        SKT_EQ(skua_close(w->fds[0]), 0);
    if (w->how != HANG_UP)
        SKT_EQ(skua_close(w->fds[1]), 0);
    atomic_fetch_add(&outcomes.x_ended[w->how], 1);
}

static void watch_once(struct watch *w, uint64_t *random, bool as_thread)
{
    skua_scope s;
    skua_task *task = NULL;
    pthread_t thread;
    uint32_t r = st_random(random);
    w->how = (int)(r % WAYS);
    w->dl = w->how == DEADLINE ? skua_in((int64_t)(r / WAYS % 100000)) : SKUA_NEVER;
    atomic_store(&w->x_over, false);
    st_pair(w->fds);
    SKT_EQ(skua_scope_open(&s, SKUA_COLLECT, SKUA_NEVER), 0);
    if (as_thread)
        SKT_EQ(pthread_create(&thread, NULL, watch_in_thread, w), 0);
    else
        SKT_EQ(skua_spawn_opts(&s, run_watch, w, NULL, &task), 0);
    for (uint32_t yields = r / WAYS % 4; yields > 0; yields--)
        (void)skua_yield();
    act(w, task);
    (void)skua_scope_close(&s, SKUA_NEVER);
    while (as_thread && !atomic_load(&w->x_over))
        (void)skua_yield(); /* it needs a worker */
    if (as_thread)
        pthread_join(thread, NULL);
    skua_task_unref(task);
    check(w);
}

struct hand {
    uint64_t number, count;
};

static int run_hand(void *arg)
{
    const struct hand *h = arg;
    uint64_t random = st_seed(h->number);
    struct watch w = {.how = 0};
    int peers[QUIET];
    for (int i = 0; i < QUIET; i++) {
        int pair[2];
        st_pair(pair);
        w.quiet[i] = pair[0];
        peers[i] = pair[1];
    }
    for (uint64_t i = 0; i < h->count; i++)
        watch_once(&w, &random, i % 64 == 63);
    for (int i = 0; i < QUIET; i++) {
        SKT_EQ(skua_close(w.quiet[i]), 0);
        SKT_EQ(skua_close(peers[i]), 0);
    }
    return 0;
}

static int run_hands(void *arg)
{
    uint64_t count = *(uint64_t *)arg;
    struct hand hands[HANDS];
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (uint64_t i = 0; i < HANDS; i++) {
        hands[i] = (struct hand){i, count / HANDS + 1};
        SKT_EQ(skua_spawn(&s, run_hand, &hands[i]), 0);
    }
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static void race(unsigned workers, uint64_t count)
{
    memset(&outcomes, 0, sizeof(outcomes));
    st_run(run_hands, &count, workers);
    for (int i = 0; i < WAYS; i++)
        SKT_GT(atomic_load(&outcomes.x_ended[i]), count / (2 * WAYS));
}

SKT_TEST(stress, polls_on_one_worker)
{
    race(1, skt_scaled(30000));
}

SKT_TEST(stress, polls_on_two_workers)
{
    race(2, skt_scaled(40000));
}

SKT_TEST(stress, polls_on_eight_workers)
{
    race(8, skt_scaled(30000));
}
