/* tests/model/search.c - all schedules of all models: the program. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "tests/model/engine.h"

enum { SCOUTS = 64 }; /* random schedules that find contested words before the search begins */

static struct model *models, **models_tail;

static const char *memory_name(void)
{
    return engine.memory == MEMORY_SC ? "sc" : "tso";
}

static void script_from_path(void)
{
    plan.script_count = 0;
    for (unsigned i = 0; i < plan.path_count; i++)
        if (plan.path[i].chosen != 0)
            plan.script[plan.script_count++] = plan.path[i];
}

/* Runs what the script says, with every step recorded. */
static bool run_script(const struct model *model)
{
    plan.mode = REPLAY;
    plan.path_count = 0;
    plan.preemption_bound = engine.stale_bound = UINT32_MAX;
    engine.tracing = true;
    report_begin();
    bool good = engine_run(model);
    engine.tracing = false;
    return good;
}

static void show_failure(const struct model *model, const char *how, uint64_t number)
{
    static char first[sizeof(plan.failure)];
    strcpy(first, plan.failure);
    printf("%s (%s): %s schedule %llu FAILED: %s\n", model->name, memory_name(), how,
           (unsigned long long)number, first);
    if (getenv("SKUA_MODEL_BRIEF") != NULL)
        return;
    script_from_path();
    if (run_script(model))
        printf("(it went well when it was run again)\n");
    report_print();
    printf("%s\nTo run it again: SKUA_MODEL_MEMORY=%s SKUA_MODEL_REPLAY=", plan.failure,
           memory_name());
    for (unsigned i = 0; i < plan.script_count; i++)
        printf("%s%u%c%u=%u", i == 0 ? "" : ",", plan.script[i].step, plan.script[i].kind,
               plan.script[i].ordinal, plan.script[i].chosen);
    printf(" and the model's name, %s\n", model->name);
}

static unsigned number_of(const char *name, unsigned otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != 0 ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static bool run_random(const struct model *model, uint64_t seed, unsigned count, const char *how)
{
    plan.mode = RANDOM;
    plan.preemption_bound = engine.stale_bound = UINT32_MAX;
    for (unsigned i = 0; i < count; i++) {
        plan.random = seed + i;
        plan.path_count = 0;
        if (!engine_run(model)) {
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
    own += number_of("SKUA_MODEL_MORE", 0);
    plan.preemption_bound = number_of("SKUA_MODEL_BOUND", own);
    engine.stale_bound = number_of("SKUA_MODEL_STALE", MODEL_STALE);
}

static double seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* False: a failure. *ended: all schedules were run, not only those for which there was time. */
static bool search(const struct model *model, uint64_t *count, bool *ended)
{
    unsigned limit = number_of("SKUA_MODEL_SECONDS", 0);
    double until = seconds() + limit;
    plan.mode = SEARCH;
    set_bounds(model);
    plan.path_count = 0;
    *count = 0;
    *ended = false;
    while (limit == 0 || *count % 1024 != 1023 || seconds() < until) {
        ++*count;
        if (!engine_run(model)) {
            show_failure(model, "search,", *count);
            return false;
        }
        if (engine.found_word) {
            plan.path_count = 0; /* what could be left out before cannot: from the beginning */
            *count = 0;
        } else if (!engine_advance()) {
            *ended = true;
            return true;
        }
    }
    return true;
}

static bool explore(const struct model *model)
{
    uint64_t count;
    bool ended;
    double begin = seconds();
    unsigned random = number_of("SKUA_MODEL_RANDOM", 0);
    memory_forget_words();
    engine.found_word = false;
    if (!run_random(model, 1, SCOUTS, "scouting,") || !search(model, &count, &ended))
        return false;
    printf("%s (%s): %llu schedules, %s with at most %u preemptions", model->name, memory_name(),
           (unsigned long long)count, ended ? "all" : "NOT all", plan.preemption_bound);
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
    if (models_tail == NULL)
        models_tail = &models;
    *models_tail = model;
    models_tail = &model->next;
}

static void read_script(const char *text)
{
    unsigned step, ordinal, chosen;
    char kind;
    int length;
    while (sscanf(text, "%u%c%u=%u%n", &step, &kind, &ordinal, &chosen, &length) == 4) {
        plan.script[plan.script_count++] = (struct choice){
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
    printf("%s (%s): %s\n", model->name, memory_name(), good ? "went well" : plan.failure);
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
    for (const struct model *model = models; model != NULL; model = model->next) {
        if (list)
            puts(model->name);
        else if (is_asked_for(model, argc, argv) && ++ran > 0 && !run_model(model))
            return 1;
    }
    if (!list && ran == 0)
        fprintf(stderr, "no such model; --list prints them\n");
    return list || ran > 0 ? 0 : 2;
}
