/* tests/model/engine.c - the schedules of a model: which there are, one after the other.
 * A schedule is what its choices make of it: which thread goes on at a point, how many buffered
 * stores are visible, what model_choose gives. The choices of the present schedule stand in `path`;
 * the next one differs in the last choice that has an option left (depth first). */
#include "tests/model/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "runtime/arch/x86_64/arch.h"

enum {
    STEPS_MAX = 4000, /* of one schedule: more is taken for endless */
    STAY_ONE_IN = 6,  /* random schedules leave a thread at one point in so many */
};

static struct {
    const struct model *model;
    void *main_sp;
    uint32_t steps, last_step;
    char last_kind;
    uint8_t ordinal;
    unsigned preemptions;
} the;

struct plan plan;
struct engine engine = {.current = -1};

/* ---- failing ---- */

void model_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(plan.failure, sizeof(plan.failure), format, args);
    va_end(args);
    engine.current = -1;
    sk_switch_away(the.main_sp, NULL);
}

int model_self(void)
{
    return engine.current;
}

void engine_step(void)
{
    if (++the.steps > STEPS_MAX)
        model_fail("more than %d steps: this goes on for ever", STEPS_MAX);
}

/* ---- choices ---- */

static uint64_t next_random(void)
{
    uint64_t z = plan.random += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

static unsigned random_choice(unsigned n, char kind)
{
    if (kind == 'P' && next_random() % STAY_ONE_IN != 0)
        return 0;
    return (unsigned)(next_random() % n);
}

static unsigned scripted_choice(const struct choice *c)
{
    for (unsigned i = 0; i < plan.script_count; i++) {
        const struct choice *s = &plan.script[i];
        if (s->step == c->step && s->kind == c->kind && s->ordinal == c->ordinal &&
            s->chosen < c->count)
            return s->chosen;
    }
    return 0;
}

static unsigned choose(unsigned n, char kind)
{
    if (the.last_step != the.steps || the.last_kind != kind)
        the.ordinal = 0;
    the.last_step = the.steps;
    the.last_kind = kind;
    struct choice c = {
        .step = the.steps, .kind = kind, .ordinal = the.ordinal++, .count = (uint8_t)n};
    if (n == 1)
        return 0;
    if (plan.path_at < plan.path_count) {
        const struct choice *old = &plan.path[plan.path_at++];
        if (old->count != n || old->step != c.step || old->kind != kind)
            model_fail("the model is not repeatable: other choices than in the schedule before");
        return old->chosen;
    }
    if (plan.path_count == PATH_MAX_CHOICES)
        model_fail("more than %d choices", PATH_MAX_CHOICES);
    if (plan.mode == RANDOM)
        c.chosen = (uint8_t)random_choice(n, kind);
    else if (plan.mode == REPLAY)
        c.chosen = (uint8_t)scripted_choice(&c);
    plan.path[plan.path_count++] = c;
    plan.path_at = plan.path_count;
    return c.chosen;
}

unsigned engine_choose(unsigned n)
{
    return choose(n, 'F');
}

unsigned model_choose(unsigned n)
{
    unsigned chosen = choose(n, 'U');
    report_note(chosen == 0 ? "  (the model's choice: 0)" : "  (the model's choice: not 0)",
                engine.current);
    return chosen;
}

/* Makes the path that of the next schedule. False: that was the last. */
bool engine_advance(void)
{
    while (plan.path_count > 0) {
        struct choice *last = &plan.path[plan.path_count - 1];
        if (++last->chosen < last->count)
            return true;
        plan.path_count--;
    }
    return false;
}

/* ---- threads ---- */

static bool is_able(unsigned thread)
{
    const struct thread *t = &engine.threads[thread];
    switch (t->state) {
    case ABLE:
        return true;
    case ASLEEP:
        return t->token || t->may_time_out || memory_can_rouse(thread);
    case SPINNING:
        return memory_reads_changed(t) || memory_can_rouse(thread);
    default:
        return false;
    }
}

/* What makes a thread able that was not. */
static void rouse(unsigned thread)
{
    struct thread *t = &engine.threads[thread];
    if (t->state == ASLEEP && !t->token && memory_can_rouse(thread) &&
        (!t->may_time_out || engine_choose(2) == 0))
        memory_rouse(thread);
    if (t->state == SPINNING && !memory_reads_changed(t))
        memory_rouse(thread);
    t->state = ABLE;
    t->fresh = true;
}

static void go_on_with(unsigned thread)
{
    struct thread *from = self();
    rouse(thread);
    engine.current = (int)thread;
    if (self() != from)
        sk_switch(&from->sp, self()->sp, NULL);
}

static unsigned list_able(unsigned *list, unsigned n, int but)
{
    for (unsigned u = 0; u < engine.thread_count; u++)
        if ((int)u != but && is_able(u))
            list[n++] = u;
    return n;
}

void engine_point(void)
{
    unsigned able[MODEL_THREADS_MAX] = {(unsigned)engine.current};
    if (self()->fresh || the.preemptions >= plan.preemption_bound)
        return;
    unsigned n = list_able(able, 1, engine.current);
    unsigned pick = able[choose(n, 'P')];
    if ((int)pick == engine.current)
        return;
    the.preemptions++;
    go_on_with(pick);
}

/* Everything that can become visible by itself. False: nothing was left. */
static bool drain_all(void)
{
    bool any = false;
    for (unsigned u = 0; u < engine.thread_count; u++) {
        any = any || engine.threads[u].buffer_count > 0;
        memory_drain(u);
    }
    return any;
}

/* The current thread cannot go on. Returns when it can; or never. */
static void leave(void)
{
    unsigned able[MODEL_THREADS_MAX];
    unsigned n = list_able(able, 0, -1);
    while (n == 0 && drain_all())
        n = list_able(able, 0, -1);
    if (n == 0) {
        engine.current = -1;
        sk_switch_away(the.main_sp, NULL);
    }
    go_on_with(able[choose(n, 'L')]);
}

/* Whether this turn of the loop has read what the one before has: so would the next. */
static bool turns_are_alike(const struct thread *t)
{
    if (t->read_count != t->before_count || t->read_count == 0)
        return false;
    for (unsigned i = 0; i < t->read_count; i++)
        if (t->reads[i].word != t->before[i].word || t->reads[i].value != t->before[i].value)
            return false;
    return !memory_reads_changed(t);
}

void model_spin(void)
{
    if (engine.current < 0)
        return;
    struct thread *t = self();
    engine_step();
    bool alike = turns_are_alike(t);
    if (alike) {
        report_note("  (waits until what it reads changes)", engine.current);
        t->state = SPINNING;
        leave();
    }
    memcpy(t->before, t->reads, sizeof(t->reads));
    t->before_count = alike ? 0 : t->read_count;
    t->read_count = 0;
}

bool model_park(bool may_time_out, bool edge)
{
    struct thread *t = self();
    engine_step();
    if (!t->token) {
        report_note("  (sleeps)", engine.current);
        t->state = ASLEEP;
        t->may_time_out = may_time_out;
        leave();
        t = self();
    }
    bool woken = t->token;
    report_note(woken ? "  (was woken)" : "  (its time has come)", engine.current);
    if (woken && edge)
        t->clock = clock_join(t->clock, t->token_clock);
    t->token = false;
    t->futex = 0;
    return woken;
}

void model_unpark(unsigned thread, bool kernel)
{
    engine_point();
    engine_step();
    self()->fresh = false;
    if (kernel)
        memory_drain((unsigned)engine.current);
    report_note("  (wakes)", (int)thread);
    memory_push_wake(thread);
}

/* ---- futexes ---- */

bool model_futex_wait(_Atomic(uint32_t) *word, uint32_t expected, bool may_time_out)
{
    engine_point();
    self()->fresh = false;
    memory_drain((unsigned)engine.current);
    if (*(volatile uint32_t *)word != expected)
        return true;
    self()->futex = (uintptr_t)word;
    return model_park(may_time_out, false);
}

void model_futex_wake(_Atomic(uint32_t) *word, int count)
{
    engine_point();
    self()->fresh = false;
    memory_drain((unsigned)engine.current);
    for (unsigned u = 0; u < engine.thread_count && count > 0; u++) {
        if (engine.threads[u].futex != (uintptr_t)word)
            continue;
        engine.threads[u].futex = 0;
        model_unpark(u, true);
        count--;
    }
}

/* ---- one schedule ---- */

static void thread_main(struct sk_worker *unused)
{
    (void)unused;
    the.model->threads[engine.current]();
    engine_step();
    report_note("  (ends)", engine.current);
    self()->state = ENDED;
    leave();
}

static void prepare_threads(const struct model *model)
{
    engine.thread_count = 0;
    for (unsigned i = 0; i < MODEL_THREADS_MAX && model->threads[i] != NULL; i++) {
        struct thread *t = &engine.threads[i];
        memset(t, 0, sizeof(*t));
        t->state = ABLE;
        t->clock[i] = 1;
        t->sp = sk_arch_prepare(engine.stacks + (i + 1) * STACK_BYTES, thread_main);
        engine.thread_count++;
    }
}

static void check_end(const struct model *model)
{
    static char text[200];
    size_t at = 0;
    for (unsigned u = 0; u < engine.thread_count; u++) {
        enum thread_state state = engine.threads[u].state;
        if (state != ENDED)
            at += (size_t)snprintf(text + at, sizeof(text) - at, " thread %u %s", u,
                                   state == ASLEEP ? "sleeps" : "spins");
    }
    if (at > 0)
        snprintf(plan.failure, sizeof(plan.failure), "nobody can go on:%s", text);
    else if (model->check != NULL)
        model->check();
}

/* Runs on the main stack but for the threads; a failure in setup or check comes back here too. */
static void run_body(struct sk_worker *unused)
{
    (void)unused;
    unsigned able[MODEL_THREADS_MAX];
    const struct model *model = the.model;
    if (model->state != NULL)
        memset(model->state, 0, model->state_bytes);
    if (model->setup != NULL)
        model->setup();
    prepare_threads(model);
    unsigned n = list_able(able, 0, -1);
    unsigned first = able[choose(n, 'L')];
    engine.threads[first].fresh = true;
    engine.current = (int)first;
    sk_switch_away(engine.threads[first].sp, NULL);
}

static void check_body(struct sk_worker *unused)
{
    (void)unused;
    check_end(the.model);
    sk_switch_away(the.main_sp, NULL);
}

static void on_own_stack(void (*body)(struct sk_worker *))
{
    void *sp = sk_arch_prepare(engine.stacks + (MODEL_THREADS_MAX + 1) * STACK_BYTES, body);
    sk_switch(&the.main_sp, sp, NULL);
}

/* True: it went well. */
bool engine_run(const struct model *model)
{
    the.model = model;
    plan.path_at = 0;
    the.steps = 0;
    the.last_kind = 0;
    the.preemptions = 0;
    plan.failure[0] = 0;
    engine.stale = 0;
    engine.run++;
    memory_begin_run();
    on_own_stack(run_body);
    if (plan.failure[0] == 0)
        on_own_stack(check_body);
    return plan.failure[0] == 0;
}
