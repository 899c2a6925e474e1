/* Queues and stealing: nothing runs twice, nothing starves.
 * Real cases: crossbeam-deque CVE-2021-32810 (a task popped twice), crossbeam#85, nim-taskpools#52
 * (orders of the deque); photon#1295, #1294, #1245, #1255 (stealing, timers and wakes at once);
 * tokio#2349, #5686, #5712, #4941, #7431, #8065, #8120 (the LIFO slot). */
#include "tests/stress/stress.h"

/* ---- crossbeam-deque CVE-2021-32810: owner and thief at the last entry. */

enum { LAST_ENTRIES = 3 };

struct last {
    _Atomic(uint32_t) x_runs[LAST_ENTRIES];
};

struct entry {
    struct last *last;
    unsigned index;
};

static int run_once(void *arg)
{
    struct entry *entry = arg;
    SKT_EQ(atomic_fetch_add(&entry->last->x_runs[entry->index], 1), 0u);
    return 0;
}

/* Scopes of one to three children: the deque is nearly empty all the time, and the closer's take, the
 * dispatcher's pop and the thieves meet at the same entry. */
static int meet_at_last(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    int64_t begin = skt_now_ns();
    for (uint64_t i = 0; i < n && (i % 64 != 63 || skt_has_time(begin)); i++) {
        struct last last = {.x_runs = {0}};
        unsigned children = 1 + (unsigned)(i % LAST_ENTRIES);
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (unsigned c = 0; c < children; c++) {
            struct entry entry = {&last, c};
            SKT_EQ(skua_spawn_copy(&s, run_once, &entry, sizeof(entry)), 0);
        }
        if (i % 16 == 0)
            skua_yield();
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
        for (unsigned c = 0; c < children; c++)
            SKT_EQ(atomic_load(&last.x_runs[c]), 1u);
    }
    return 0;
}

static int meet_on_all(void *arg)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < 2; i++) /* fewer than workers: the others steal */
        SKT_EQ(skua_spawn(&s, meet_at_last, arg), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: an entry goes to one of them. Fails when sk_deque_take takes the last entry without its CAS
 * (tried). */
SKT_TEST(bugs, crossbeam_cve_2021_32810_task_popped_twice)
{
    uint64_t n = skt_scaled(3000000);
    st_run(meet_on_all, &n, 3);
    st_run(meet_on_all, &n, 8);
}

/* ---- crossbeam#85: many thieves and the dispatcher at the other end. */

enum { FLOCK = 512 };

struct flock {
    _Atomic(uint8_t) *x_seen;
    uint64_t n;
};

static struct flock flock;

static int count_bird(void *arg)
{
    SKT_EQ(atomic_fetch_add(&flock.x_seen[(uintptr_t)arg], 1), 0);
    return 0;
}

/* Spawns, and dispatches a few by itself; the others steal as fast as they can. */
static int let_steal(void *arg)
{
    uint64_t next = 0;
    int64_t begin = skt_now_ns();
    (void)arg;
    while (next < flock.n) {
        if (!skt_has_time(begin))
            flock.n = next + 1; /* the last one */
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (unsigned i = 0; i < FLOCK && next < flock.n; i++, next++) {
            SKT_EQ(skua_spawn(&s, count_bird, (void *)(uintptr_t)next), 0);
            if (i % 8 == 0)
                SKT_EQ(skua_yield(), 0);
        }
        while (skua_scope_close(&s, SKUA_NOW) == -EBUSY) /* runs none of them inline */
            SKT_EQ(skua_yield(), 0);
    }
    return 0;
}

static void let_steal_with(unsigned workers)
{
    flock = (struct flock){NULL, skt_scaled(3000000)};
    flock.x_seen = calloc(flock.n, sizeof(*flock.x_seen));
    SKT_NOT_NULL(flock.x_seen);
    st_run(let_steal, NULL, workers);
    for (uint64_t i = 0; i < flock.n; i++)
        SKT_EQ(atomic_load(&flock.x_seen[i]), 1);
    free((void *)flock.x_seen);
}

/* Goal: what is stolen is stolen once, and not dispatched as well. Fails when a thief moves top by a
 * plain store, and when the dispatcher does (both tried). */
SKT_TEST(bugs, crossbeam_85_entry_stolen_twice)
{
    let_steal_with(2);
    let_steal_with(8);
}

/* ---- nim-taskpools#52: a thief sees an entry but not what was written before the push. */

struct letter {
    uint64_t words[6]; /* in a copy in the record, written just before the push */
};

static int read_letter(void *arg)
{
    struct letter *letter = arg;
    for (unsigned i = 1; i < 6; i++)
        SKT_EQ(letter->words[i], letter->words[0] + i);
    return 0;
}

static int send_letters(void *arg)
{
    uint64_t n = *(uint64_t *)arg;
    int64_t begin = skt_now_ns();
    for (uint64_t i = 0; i < n && (i % 512 != 504 || skt_has_time(begin)); i += 8) {
        skua_scope s;
        SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
        for (uint64_t k = 0; k < 8; k++) {
            struct letter letter;
            for (uint64_t word = 0; word < 6; word++)
                letter.words[word] = (i + k) * 1000 + word;
            SKT_EQ(skua_spawn_copy(&s, read_letter, &letter, sizeof(letter)), 0);
        }
        SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    }
    return 0;
}

SKT_TEST(bugs, nim_taskpools_52_entry_without_its_contents)
{
    uint64_t n = skt_scaled(10000000);
    st_run(send_letters, &n, 4);
}

/* ---- photon#1295, #1294, #1255: tasks that were stolen while they had timers in a victim's heap. */

enum { SLEEPERS = 64 };

struct alarm {
    skua_event wake;
    _Atomic(uint32_t) x_woken;
};

/* Each wait ends by its event or by its deadline, which meet; then it is at once READY on whatever
 * worker, is stolen, and waits again: a late timer must find another epoch. */
static int sleep_and_migrate(void *arg)
{
    struct alarm *alarm = arg;
    uint64_t random = st_seed(skua_id());
    int64_t begin = skt_now_ns();
    for (uint64_t i = skt_scaled(2000); i > 0 && skt_has_time(begin); i--) {
        skua_time dl = skua_in((int64_t)(st_random(&random) % 100000));
        int rc = skua_event_wait(&alarm->wake, dl);
        SKT_TRUE(rc == 0 || rc == -ETIMEDOUT);
        if (rc == -ETIMEDOUT)
            SKT_GE(skua_now(), dl);
        if (st_random(&random) % 4 == 0)
            SKT_EQ(skua_yield(), 0);
        dl = skua_in((int64_t)(st_random(&random) % 20000));
        SKT_EQ(skua_sleep_until(dl), 0);
        SKT_GE(skua_now(), dl);
    }
    atomic_fetch_add(&alarm->x_woken, 1);
    return 0;
}

static int keep_ringing(void *arg)
{
    struct alarm *alarm = arg;
    while (atomic_load(&alarm->x_woken) < SLEEPERS) {
        skua_event_set(&alarm->wake);
        skua_event_clear(&alarm->wake);
        SKT_EQ(skua_sleep(SKUA_US(30)), 0);
    }
    return 0;
}

static int steal_sleepers(void *arg)
{
    struct alarm alarm = {.wake = SKUA_EVENT_INIT};
    skua_scope s;
    (void)arg;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < SLEEPERS; i++)
        SKT_EQ(skua_spawn(&s, sleep_and_migrate, &alarm), 0);
    SKT_EQ(skua_spawn(&s, keep_ringing, &alarm), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

/* Goal: no wait ends before its time without a reason, none never. */
SKT_TEST(bugs, photon_1294_stolen_task_in_the_victims_timers)
{
    st_run(steal_sleepers, NULL, 2);
    st_run(steal_sleepers, NULL, 8);
}

/* ---- tokio#2349, #5686, #4941: two that wake each other, and one that wants to run too. */

enum { TURNS_WANTED = 200, PASSES_MAX = 2000000 };

struct pingpong {
    skua_event events[2];
    uint64_t passes;              /* while a victim waits */
    _Atomic(uint32_t) x_turns;    /* of the victim */
    _Atomic(uint32_t) x_expected; /* as many turns are to come without anything from outside */
    _Atomic(bool) x_over;
    int fds[2];
};

struct side {
    struct pingpong *game;
    unsigned index;
};

/* Each set puts the other one into the slot. */
static int play(void *arg)
{
    const struct side *side = arg;
    struct pingpong *game = side->game;
    while (!atomic_load(&game->x_over)) {
        int rc = skua_event_wait(&game->events[side->index], SKUA_NEVER);
        if (rc == -ECANCELED && atomic_load(&game->x_over))
            break; /* by stop */
        SKT_EQ(rc, 0);
        skua_event_clear(&game->events[side->index]);
        bool is_due = atomic_load(&game->x_turns) < atomic_load(&game->x_expected);
        game->passes += is_due;
        if (game->passes > PASSES_MAX)
            SKT_FAIL("after %d passes the victim had %u turns", PASSES_MAX, game->x_turns);
        skua_event_set(&game->events[!side->index]);
    }
    skua_event_set(&game->events[!side->index]);
    return 0;
}

static int take_turns_by_yield(void *arg)
{
    struct pingpong *game = arg;
    while (atomic_fetch_add(&game->x_turns, 1) < TURNS_WANTED)
        SKT_EQ(skua_yield(), 0);
    return 0;
}

static int take_turns_by_sleep(void *arg)
{
    struct pingpong *game = arg;
    while (atomic_fetch_add(&game->x_turns, 1) < TURNS_WANTED)
        SKT_EQ(skua_sleep(1), 0);
    return 0;
}

static int take_turns_by_io(void *arg)
{
    struct pingpong *game = arg;
    char c = 0;
    while (atomic_fetch_add(&game->x_turns, 1) < TURNS_WANTED) {
        SKT_EQ(skua_write(game->fds[0], &c, 1, SKUA_NEVER), 1);
        SKT_EQ(skua_read(game->fds[1], &c, 1, SKUA_NEVER), 1);
    }
    return 0;
}

static int take_turns_pinned(void *arg)
{
    skua_pin();
    int rc = take_turns_by_yield(arg);
    skua_unpin();
    return rc;
}

static int play_beside(int (*victim)(void *))
{
    struct pingpong game = {.x_expected = UINT32_MAX};
    struct side sides[2] = {{&game, 0}, {&game, 1}};
    skua_scope outer, s;
    st_pair(game.fds);
    SKT_EQ(skua_scope_open(&outer, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&outer, play, &sides[0]), 0);
    SKT_EQ(skua_spawn(&outer, play, &sides[1]), 0);
    skua_yield();
    skua_event_set(&game.events[0]);
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    SKT_EQ(skua_spawn(&s, victim, &game), 0);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    atomic_store(&game.x_over, true);
    SKT_EQ(skua_scope_close(&outer, SKUA_NEVER), 0);
    st_close(game.fds);
    return 0;
}

static int play_beside_all(void *arg)
{
    (void)arg;
    SKT_EQ(play_beside(take_turns_by_yield), 0);
    SKT_EQ(play_beside(take_turns_pinned), 0);
    SKT_EQ(play_beside(take_turns_by_sleep), 0);
    SKT_EQ(play_beside(take_turns_by_io), 0);
    return 0;
}

/* Goal: the victim's wait is bounded in passes, whatever it waits for. Fails when what was woken
 * always goes before what has yielded (SK_SCHED_QUEUE_TURN; tried). */
SKT_TEST(bugs, tokio_2349_lifo_slot_starvation)
{
    st_run(play_beside_all, NULL, 1);
}

static int count_turn(void *arg)
{
    atomic_fetch_add(&((struct pingpong *)arg)->x_turns, 1);
    return 0;
}

/* The victims come from outside, by the global queue. */
SKT_TEST(bugs, tokio_5686_lifo_slot_starves_the_global_queue)
{
    static struct pingpong game;
    static struct side sides[2] = {{&game, 0}, {&game, 1}};
    skua_config config = SKUA_CONFIG_INIT;
    config.workers = 1;
    SKT_EQ(skua_start(&config), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, play, &sides[0]), 0);
    SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, play, &sides[1]), 0);
    skua_event_set(&game.events[0]);
    for (uint32_t i = 1; i <= TURNS_WANTED; i++) {
        SKT_EQ(skua_spawn(SKUA_SCOPE_ROOT, count_turn, &game), 0);
        atomic_store(&game.x_expected, i);
        st_hog_until(&game.x_turns, i, "what came from outside");
    }
    atomic_store(&game.x_over, true);
    SKT_EQ(skua_stop(SKUA_NEVER), 0);
}
