/* Unique tokens through spawn, steal, yield, wake and the global queue: each is seen exactly once. */
#include "tests/stress/stress.h"

enum {
    BRANCHES = 8,
    CHILDREN = 1500,      /* of one scope; BRANCHES of them on one worker overflow its queue */
    STEALS_WANTED = 1000, /* fewer would prove little */
    ROUNDS_MAX = 4000,
};

static _Atomic(uint8_t) *x_seen;
static _Atomic(uint64_t) x_next;
static uint64_t token_count;

struct branch {
    skua_event events[2];
    uint64_t random;
};

/* What a child gets, as a copy. */
struct token {
    uint64_t number;
    struct branch *branch;
    unsigned worker; /* pinned to it; 0: to none */
};

static void see(uint64_t number)
{
    SKT_LT(number, token_count);
    SKT_EQ(atomic_fetch_add(&x_seen[number], 1), 0);
}

static int see_at_once(void *arg)
{
    see((uint64_t)(uintptr_t)arg);
    return 0;
}

static int see_between_yields(void *arg)
{
    for (unsigned i = (unsigned)(uintptr_t)arg % 4; i > 0; i--)
        SKT_EQ(skua_yield(), 0);
    see((uint64_t)(uintptr_t)arg);
    SKT_EQ(skua_yield(), 0);
    return 0;
}

static int see_pinned(void *arg)
{
    unsigned worker = skua_worker();
    for (unsigned i = 0; i < 3; i++) {
        SKT_EQ(skua_yield(), 0);
        SKT_EQ(skua_worker(), worker);
    }
    see((uint64_t)(uintptr_t)arg);
    return 0;
}

/* Wakes who waits: into the slot of the worker that runs it. */
static int see_and_wake(void *arg)
{
    struct token *token = arg;
    skua_event_set(&token->branch->events[token->number % 2]);
    see(token->number);
    return 0;
}

static int see_woken(void *arg)
{
    struct token *token = arg;
    SKT_EQ(skua_event_wait(&token->branch->events[token->number % 2], SKUA_NEVER), 0);
    see(token->number);
    skua_event_set(&token->branch->events[(token->number + 1) % 2]);
    return 0;
}

static void spawn_one(skua_scope *s, struct branch *branch, uint64_t number)
{
    struct token token = {number, branch, 0};
    void *arg = (void *)(uintptr_t)number;
    skua_task_opts opts = SKUA_TASK_OPTS_INIT;
    switch (st_random(&branch->random) % 5) {
    case 0:
        SKT_EQ(skua_spawn(s, see_at_once, arg), 0);
        break;
    case 1:
        SKT_EQ(skua_spawn(s, see_between_yields, arg), 0);
        break;
    case 2:
        opts.worker = 1 + st_random(&branch->random) % skua_workers();
        SKT_EQ(skua_spawn_opts(s, see_pinned, arg, &opts, NULL), 0);
        break;
    case 3:
        SKT_EQ(skua_spawn_copy(s, see_woken, &token, sizeof(token)), 0);
        break;
    default:
        SKT_EQ(skua_spawn_copy(s, see_and_wake, &token, sizeof(token)), 0);
    }
}

static int branch_out(void *arg)
{
    struct branch branch = {.random = st_seed((uint64_t)(uintptr_t)arg)};
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (unsigned i = 0; i < CHILDREN; i++) {
        uint64_t number = atomic_fetch_add(&x_next, 1);
        if (number < token_count)
            spawn_one(&s, &branch, number);
        if (st_random(&branch.random) % 256 == 0)
            skua_yield();
    }
    skua_event_set(&branch.events[0]); /* whatever was drawn, nobody waits for ever */
    skua_event_set(&branch.events[1]);
    SKT_EQ(skua_scope_close(&s, SKUA_NEVER), 0);
    return 0;
}

static int one_round(uint64_t round)
{
    skua_scope s;
    SKT_EQ(skua_scope_open(&s, SKUA_FAIL_FAST, SKUA_NEVER), 0);
    for (uint64_t i = 0; i < BRANCHES; i++)
        SKT_EQ(skua_spawn(&s, branch_out, (void *)(uintptr_t)(round * BRANCHES + i)), 0);
    return skua_scope_close(&s, SKUA_NEVER);
}

static int count_tokens(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < ROUNDS_MAX; i++) {
        SKT_EQ(one_round(i), 0);
        if (atomic_load(&x_next) >= token_count &&
            (skua_workers() == 1 || ST_STATS(steals) > STEALS_WANTED))
            return 0;
        if (atomic_load(&x_next) >= token_count) {
            for (uint64_t n = 0; n < token_count; n++)
                SKT_EQ(atomic_exchange(&x_seen[n], 0), 1);
            atomic_store(&x_next, 0);
        }
    }
    SKT_FAIL("only %llu steals", (unsigned long long)ST_STATS(steals));
}

static void count_with(unsigned workers)
{
    token_count = skt_scaled(800000);
    x_seen = calloc(token_count, sizeof(*x_seen));
    SKT_NOT_NULL(x_seen);
    atomic_store(&x_next, 0);
    st_run(count_tokens, NULL, workers);
    for (uint64_t i = 0; i < token_count; i++)
        SKT_EQ(atomic_load(&x_seen[i]), 1);
    free((void *)x_seen);
}

/* Goal: no task is lost and none runs twice, in any of the ways in which it becomes READY. Fails when
 * the dispatcher moves the deque's top by a plain store (tried). */
SKT_TEST(stress, tokens_on_one_worker)
{
    count_with(1);
}

SKT_TEST(stress, tokens_on_two_workers)
{
    count_with(2);
}

SKT_TEST(stress, tokens_on_eight_workers)
{
    count_with(8);
}
