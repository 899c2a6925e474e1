/* tests/model/engine.c - the schedules of a model: which there are, one after the other.
 * A schedule is what its choices make of it: which thread goes on at a point, how many buffered
 * stores are visible, what model_choose gives. The choices of the present schedule stand in `path`;
 * the next one differs in the last choice that has an option left (depth first). */
#include "tests/model/engine.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "runtime/arch/x86_64/arch.h"

enum {
    PATH_MAX_CHOICES = 1 << 14,
    STEPS_MAX = 4000, /* of one schedule: more is taken for endless */
    SCOUTS = 64,      /* random schedules that find contested words before the search begins */
    STAY_ONE_IN = 6,  /* random schedules leave a thread at one point in so many */
};

/* What was chosen; `step` and `ordinal` say where, in words that do not depend on which other
 * choices were offered: so that a printed schedule can be run again. */
struct choice {
    uint32_t step;
    char kind; /* P: a point, L: a thread that cannot go on, F: buffers, U: the model */
    uint8_t ordinal;
    uint8_t count;
    uint8_t chosen;
};

enum mode { SEARCH, RANDOM, REPLAY };

static struct {
    struct model *models, **models_tail;
    const struct model *model;
    void *main_sp;
    enum mode mode;
    struct choice path[PATH_MAX_CHOICES];
    unsigned path_count, path_at;
    struct choice script[PATH_MAX_CHOICES]; /* of a replay */
    unsigned script_count;
    uint32_t steps, last_step;
    char last_kind;
    uint8_t ordinal;
    unsigned preemptions, preemption_bound;
    uint64_t random;
    char failure[400];
} the;

struct engine engine = {.current = -1};

/* ---- failing ---- */

void model_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(the.failure, sizeof(the.failure), format, args);
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
    uint64_t z = the.random += UINT64_C(0x9E3779B97F4A7C15);
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
    for (unsigned i = 0; i < the.script_count; i++) {
        const struct choice *s = &the.script[i];
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
    if (the.path_at < the.path_count) {
        const struct choice *old = &the.path[the.path_at++];
        if (old->count != n || old->step != c.step || old->kind != kind)
            model_fail("the model is not repeatable: other choices than in the schedule before");
        return old->chosen;
    }
    if (the.path_count == PATH_MAX_CHOICES)
        model_fail("more than %d choices", PATH_MAX_CHOICES);
    if (the.mode == RANDOM)
        c.chosen = (uint8_t)random_choice(n, kind);
    else if (the.mode == REPLAY)
        c.chosen = (uint8_t)scripted_choice(&c);
    the.path[the.path_count++] = c;
    the.path_at = the.path_count;
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
static bool advance(void)
{
    while (the.path_count > 0) {
        struct choice *last = &the.path[the.path_count - 1];
        if (++last->chosen < last->count)
            return true;
        the.path_count--;
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
    if (self()->fresh || the.preemptions >= the.preemption_bound)
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
        snprintf(the.failure, sizeof(the.failure), "nobody can go on:%s", text);
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
static bool run_once(const struct model *model)
{
    the.model = model;
    the.path_at = 0;
    the.steps = 0;
    the.last_kind = 0;
    the.preemptions = 0;
    the.failure[0] = 0;
    engine.stale = 0;
    engine.run++;
    memory_begin_run();
    on_own_stack(run_body);
    if (the.failure[0] == 0)
        on_own_stack(check_body);
    return the.failure[0] == 0;
}

/* ---- all schedules ---- */

static const char *memory_name(void)
{
    return engine.memory == MEMORY_SC ? "sc" : "tso";
}

static void script_from_path(void)
{
    the.script_count = 0;
    for (unsigned i = 0; i < the.path_count; i++)
        if (the.path[i].chosen != 0)
            the.script[the.script_count++] = the.path[i];
}

/* Runs what the script says, with every step recorded. */
static bool run_script(const struct model *model)
{
    the.mode = REPLAY;
    the.path_count = 0;
    the.preemption_bound = engine.stale_bound = UINT32_MAX;
    engine.tracing = true;
    report_begin();
    bool good = run_once(model);
    engine.tracing = false;
    return good;
}

static void show_failure(const struct model *model, const char *how, uint64_t number)
{
    static char first[sizeof(the.failure)];
    strcpy(first, the.failure);
    printf("%s (%s): %s schedule %llu FAILED: %s\n", model->name, memory_name(), how,
           (unsigned long long)number, first);
    if (getenv("SKUA_MODEL_BRIEF") != NULL)
        return;
    script_from_path();
    if (run_script(model))
        printf("(it went well when it was run again)\n");
    report_print();
    printf("%s\nTo run it again: SKUA_MODEL_MEMORY=%s SKUA_MODEL_REPLAY=", the.failure,
           memory_name());
    for (unsigned i = 0; i < the.script_count; i++)
        printf("%s%u%c%u=%u", i == 0 ? "" : ",", the.script[i].step, the.script[i].kind,
               the.script[i].ordinal, the.script[i].chosen);
    printf(" and the model's name, %s\n", model->name);
}

static unsigned number_of(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != 0 ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static bool run_random(const struct model *model, uint64_t seed, unsigned count, const char *how)
{
    the.mode = RANDOM;
    the.preemption_bound = engine.stale_bound = UINT32_MAX;
    for (unsigned i = 0; i < count; i++) {
        the.random = seed + i;
        the.path_count = 0;
        if (!run_once(model)) {
            show_failure(model, how, seed + i);
            return false;
        }
    }
    return true;
}

static void set_bounds(const struct model *model)
{
    unsigned own = model->preemptions != 0 ? model->preemptions : MODEL_PREEMPTIONS;
    if (engine.memory == MEMORY_TSO && model->tso_preemptions != 0)
        own = model->tso_preemptions;
    the.preemption_bound = number_of("SKUA_MODEL_BOUND", own);
    engine.stale_bound = number_of("SKUA_MODEL_STALE", MODEL_STALE);
}

static bool search(const struct model *model, uint64_t *count)
{
    the.mode = SEARCH;
    set_bounds(model);
    the.path_count = 0;
    *count = 0;
    do {
        ++*count;
        if (!run_once(model)) {
            show_failure(model, "search,", *count);
            return false;
        }
        if (engine.found_word) {
            the.path_count = 0; /* what could be left out before cannot: from the beginning */
            *count = 0;
            continue;
        }
        if (!advance())
            return true;
    } while (true);
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static bool explore(const struct model *model)
{
    uint64_t count;
    double begin = seconds();
    unsigned random = number_of("SKUA_MODEL_RANDOM", 0);
    memory_forget_words();
    engine.found_word = false;
    if (!run_random(model, 1, SCOUTS, "scouting,") || !search(model, &count))
        return false;
    printf("%s (%s): %llu schedules, all with at most %u preemptions", model->name, memory_name(),
           (unsigned long long)count, the.preemption_bound);
    if (engine.memory == MEMORY_TSO)
        printf(" and %u stale reads", engine.stale_bound);
    printf(", %.2f s\n", seconds() - begin);
    return run_random(model, number_of("SKUA_MODEL_SEED", 1000), random, "random,");
}

/* ---- the program ---- */

/* A fault of the machine is a failure of the schedule like any other. */
static void on_signal(int number)
{
    model_fail("signal %d (%s)", number, strsignal(number));
}

static void catch_signals(void)
{
    static char bytes[STACK_BYTES];
    stack_t stack = {.ss_sp = bytes, .ss_size = sizeof(bytes)};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaltstack(&stack, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGFPE, &action, NULL);
}

void model_register(struct model *model)
{
    if (the.models_tail == NULL)
        the.models_tail = &the.models;
    *the.models_tail = model;
    the.models_tail = &model->next;
}

static void read_script(const char *text)
{
    unsigned step, ordinal, chosen;
    char kind;
    int length;
    while (sscanf(text, "%u%c%u=%u%n", &step, &kind, &ordinal, &chosen, &length) == 4) {
        the.script[the.script_count++] = (struct choice){
            .step = step, .kind = kind, .ordinal = (uint8_t)ordinal, .chosen = (uint8_t)chosen};
        text += length;
        text += *text == ',';
    }
}

static bool replay(const struct model *model, const char *script)
{
    read_script(script);
    bool good = run_script(model);
    report_print();
    printf("%s (%s): %s\n", model->name, memory_name(), good ? "went well" : the.failure);
    return good;
}

static bool is_asked_for(const struct model *model, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], model->name) == 0)
            return true;
    return argc == 1;
}

static bool run_model(const struct model *model)
{
    const char *only = getenv("SKUA_MODEL_MEMORY");
    const char *script = getenv("SKUA_MODEL_REPLAY");
    for (engine.memory = MEMORY_SC; engine.memory <= MEMORY_TSO; engine.memory++) {
        if (only != NULL && strcmp(only, memory_name()) != 0)
            continue;
        if (script != NULL ? !replay(model, script) : !explore(model))
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
    unsigned ran = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    catch_signals();
    engine.stacks_bytes = (MODEL_THREADS_MAX + 1) * STACK_BYTES;
    engine.stacks =
        mmap(NULL, engine.stacks_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (engine.stacks == MAP_FAILED)
        return 1;
    for (const struct model *model = the.models; model != NULL; model = model->next) {
        if (list)
            puts(model->name);
        else if (is_asked_for(model, argc, argv) && ++ran > 0 && !run_model(model))
            return 1;
    }
    if (!list && ran == 0)
        fprintf(stderr, "no such model; --list prints them\n");
    return list || ran > 0 ? 0 : 2;
}
