/* tests/model/engine.h - what the parts of the explorer share.
 *   search.c  all schedules of all models: the program
 *   engine.c  one schedule: threads, choices, bounds
 *   memory.c  what threads read and write: store buffers, orders, vector clocks
 *   races.c   accesses that nothing orders, and memory that is gone
 *   abi.c     the calls that the compiler makes for each access
 *   report.c  the steps of a failed schedule
 * The explorer itself is compiled without instrumentation. */
#ifndef MODEL_ENGINE_H
#define MODEL_ENGINE_H

#include "tests/model/explore.h"

/* One counter per thread. */
typedef uint16_t model_clock __attribute__((vector_size(16)));

static inline model_clock clock_join(model_clock a, model_clock b)
{
    model_clock more = (model_clock)(a > b);
    return (a & more) | (b & ~more);
}

/* A word that is accessed atomically. Address and the three masks are kept from one schedule to the
 * next. */
struct word {
    uintptr_t address; /* 0: a free entry of the table */
    uint32_t run;      /* the schedule that the rest belongs to */
    uint32_t version;  /* counts changes that another thread can see */
    model_clock clock; /* what an acquire load of the present value makes visible */
    uint8_t readers, writers;
    bool contested; /* two threads use it, one of them writes */
};

enum { BUFFER_ENTRIES = 8, LAST_READS = 8, STACK_BYTES = 1 << 16 };

/* A store, or a wake, that is not visible yet. */
struct buffered {
    struct word *word; /* NULL: a wake */
    uint64_t value;
    model_clock clock;
    uint8_t bytes;
    uint8_t wakes; /* the thread */
};

struct read {
    struct word *word;
    uint64_t value;
    uint32_t version;
};

enum thread_state { UNUSED, ABLE, ASLEEP, SPINNING, ENDED };

struct thread {
    void *sp;
    uintptr_t frame_sp; /* the innermost instrumented frame's; 0: none yet */
    enum thread_state state;
    bool token; /* of model_unpark */
    bool may_time_out;
    bool fresh; /* has not taken a step since it was switched to */
    model_clock clock;
    model_clock released;   /* by a release fence */
    model_clock to_acquire; /* by relaxed loads, for an acquire fence */
    model_clock token_clock;
    uintptr_t futex;                /* address that it sleeps on; 0: none */
    struct read reads[LAST_READS];  /* since the last model_spin, oldest first */
    struct read before[LAST_READS]; /* in the turn before that */
    unsigned read_count, before_count;
    struct buffered buffer[BUFFER_ENTRIES];
    unsigned buffer_count;
};

enum memory { MEMORY_SC, MEMORY_TSO };

struct engine {
    char *stacks;
    size_t stacks_bytes;
    int current; /* -1: not in a model thread */
    uint32_t run;
    enum memory memory;
    struct thread threads[MODEL_THREADS_MAX];
    unsigned thread_count;
    unsigned stale, stale_bound;
    bool found_word; /* a word turned out to be contested, or memory to be shared */
    bool tracing;
};

extern struct engine engine;

enum { PATH_MAX_CHOICES = 1 << 14 };

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

/* How the next schedule is chosen, and what came of the last. */
struct plan {
    enum mode mode;
    unsigned preemption_bound;
    uint64_t random; /* the generator's state */
    struct choice path[PATH_MAX_CHOICES];
    unsigned path_count, path_at;
    struct choice script[PATH_MAX_CHOICES]; /* of a replay */
    unsigned script_count;
    char failure[400]; /* empty: none */
};

extern struct plan plan;

static inline struct thread *self(void)
{
    return &engine.threads[engine.current];
}

/* engine.c */

/* Runs one schedule. True: it went well. */
bool engine_run(const struct model *model);
/* Makes the path that of the next schedule. False: that was the last. */
bool engine_advance(void);

/* One of n, about buffers. */
unsigned engine_choose(unsigned n);
/* Before an operation on a contested word: perhaps another thread goes on first. */
void engine_point(void);
/* Counts steps, so that no schedule is endless. */
void engine_step(void);

static inline bool has_two(uint8_t threads)
{
    return (threads & (threads - 1)) != 0;
}

static inline unsigned engine_hash(uintptr_t address, unsigned size)
{
    return (unsigned)((address * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (size - 1);
}

static inline bool engine_is_on_stack(const void *p)
{
    return (uintptr_t)p - (uintptr_t)engine.stacks < engine.stacks_bytes;
}

/* The thread on whose stack it lies. */
static inline unsigned engine_owner_of(const void *p)
{
    return (unsigned)(((uintptr_t)p - (uintptr_t)engine.stacks) / STACK_BYTES);
}

/* Called from a hook: its caller's stack pointer. */
static inline void engine_note_frame(const void *hook_frame)
{
    if (engine.current >= 0 && engine_is_on_stack(hook_frame))
        self()->frame_sp = (uintptr_t)hook_frame + 2 * sizeof(void *);
}

/* memory.c */
enum operation { LOAD, STORE, EXCHANGE, ADD, SUB, AND, OR, XOR, CAS };

uint64_t memory_access(enum operation op, void *address, unsigned bytes, uint64_t operand,
                       int order, uint64_t *expected, int order_if_different, void *pc);
void memory_plain(const void *address, size_t bytes, bool is_write, void *pc);
void memory_fence(int order, void *pc);
void memory_begin_run(void);
void memory_forget_words(void);
/* Makes all of a thread's buffer visible. */
void memory_drain(unsigned thread);
/* Makes visible what a sleeping or spinning thread waits for, if it is in a buffer. */
bool memory_can_rouse(unsigned thread);
void memory_rouse(unsigned thread);
bool memory_reads_changed(const struct thread *t);
void memory_push_wake(unsigned thread);
/* The clock goes on: later accesses of the current thread are not covered by what it released. */
void memory_tick(void);

/* races.c */
enum kind { PLAIN_READ, PLAIN_WRITE, ATOMIC_READ, ATOMIC_WRITE, KINDS };

/* The current thread's access of this kind. */
void races_touch(const void *p, size_t bytes, enum kind kind);
/* The current thread's frame from begin to end ends: a write to what others have touched of it. */
void races_end_frame(uintptr_t begin, uintptr_t end, void *pc);
/* Which memory is shared, as known when a schedule begins. */
void races_begin_run(void);
/* Another model. */
void races_forget(void);

/* report.c */
void report_step(const char *what, int order, const void *address, unsigned bytes, uint64_t before,
                 uint64_t after, void *pc);
void report_note(const char *text, int thread);
void report_begin(void);
void report_print(void);

#endif
