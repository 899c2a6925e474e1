/* tests/model/memory.c - the memory that model threads see.
 * Values stand in the real memory; in tso mode a thread's latest stores may stand in its buffer
 * instead. A store leaves its buffer when its thread passes a locked operation or a fence, when
 * somebody else's look at the word makes it (a choice: engine_choose), or when all else has come to
 * rest. Nobody can tell an earlier moment from that of the first look.
 * Clocks: thread t has seen what u did until u's counter was t.clock[u]. Each word carries the clock
 * that an acquire load of its present value brings. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "tests/model/engine.h"

enum { WORDS = 1 << 10 };

static struct word words[WORDS];

/* ---- words ---- */

static struct word *find_word(void *p)
{
    uintptr_t address = (uintptr_t)p;
    unsigned at = engine_hash(address, WORDS), tries = 0;
    while (words[at].address != address) {
        if (words[at].address == 0) {
            words[at].address = address;
            break;
        }
        if (++tries == WORDS)
            model_fail("a model with more than %d atomic words", WORDS);
        at = (at + 1) & (WORDS - 1);
    }
    struct word *word = &words[at];
    if (word->run != engine.run) {
        word->run = engine.run;
        word->version = 0;
        word->clock = (model_clock){0};
    }
    return word;
}

void memory_forget_words(void)
{
    memset(words, 0, sizeof(words));
    races_forget();
}

/* Whether somebody else may use it too is found out while schedules are run, and holds from the
 * next one on. */
static void note_use(struct word *word, bool writes)
{
    uint8_t bit = (uint8_t)(1u << engine.current);
    if ((word->readers & bit) != 0 && (!writes || (word->writers & bit) != 0))
        return;
    word->readers |= bit;
    if (writes)
        word->writers |= bit;
    if (word->writers != 0 && has_two(word->readers) && !word->contested)
        engine.found_word = true;
}

/* From this schedule on, what was found out in the ones before holds. */
void memory_begin_run(void)
{
    if (!engine.found_word)
        return;
    engine.found_word = false;
    races_begin_run();
    for (unsigned i = 0; i < WORDS; i++)
        words[i].contested = words[i].writers != 0 && has_two(words[i].readers);
}

/* ---- values ---- */

static uint64_t read_value(const void *p, unsigned bytes)
{
    switch (bytes) {
    case 1:
        return *(const volatile uint8_t *)p;
    case 2:
        return *(const volatile uint16_t *)p;
    case 4:
        return *(const volatile uint32_t *)p;
    default:
        return *(const volatile uint64_t *)p;
    }
}

static void write_value(void *p, unsigned bytes, uint64_t value)
{
    switch (bytes) {
    case 1:
        *(volatile uint8_t *)p = (uint8_t)value;
        break;
    case 2:
        *(volatile uint16_t *)p = (uint16_t)value;
        break;
    case 4:
        *(volatile uint32_t *)p = (uint32_t)value;
        break;
    default:
        *(volatile uint64_t *)p = value;
    }
}

static uint64_t cut(uint64_t value, unsigned bytes)
{
    return bytes == 8 ? value : value & ((UINT64_C(1) << (8 * bytes)) - 1);
}

static uint64_t computed(enum operation op, uint64_t before, uint64_t operand)
{
    switch (op) {
    case ADD:
        return before + operand;
    case SUB:
        return before - operand;
    case AND:
        return before & operand;
    case OR:
        return before | operand;
    case XOR:
        return before ^ operand;
    default:
        return operand;
    }
}

/* ---- what a thread has read, for when it spins ---- */

static void note_read(struct word *word, uint64_t value)
{
    struct thread *t = self();
    if (t->read_count == LAST_READS) {
        t->read_count--;
        for (unsigned i = 0; i < t->read_count; i++)
            t->reads[i] = t->reads[i + 1];
    }
    t->reads[t->read_count++] =
        (struct read){.word = word, .value = value, .version = word->version};
}

/* Its own change wakes nobody who spins. */
static void note_own_change(const struct word *word)
{
    struct thread *t = self();
    for (unsigned i = 0; i < t->read_count; i++)
        if (t->reads[i].word == word)
            t->reads[i].version = word->version;
}

/* ---- store buffers ---- */

static bool holds(const struct thread *t, const struct word *word)
{
    for (unsigned i = 0; i < t->buffer_count; i++)
        if (t->buffer[i].word == word)
            return true;
    return false;
}

static void flush_first(unsigned thread);

/* Who else's buffered stores to the word become visible before the operation at hand. */
static void meet_buffers(struct word *word, unsigned thread)
{
    if (engine.memory == MEMORY_SC)
        return;
    for (unsigned u = 0; u < engine.thread_count; u++) {
        while (u != thread && holds(&engine.threads[u], word)) {
            if (engine.stale < engine.stale_bound && engine_choose(2) == 1) {
                engine.stale++;
                break;
            }
            flush_first(u);
        }
    }
}

static void apply(const struct buffered *entry)
{
    if (entry->word == NULL) {
        struct thread *t = &engine.threads[entry->wakes];
        t->token = true;
        t->token_clock = clock_join(t->token_clock, entry->clock);
        return;
    }
    write_value((void *)entry->word->address, entry->bytes, entry->value);
    entry->word->clock = entry->clock;
    entry->word->version++;
}

static void flush_first(unsigned thread)
{
    struct thread *t = &engine.threads[thread];
    struct buffered first = t->buffer[0];
    t->buffer_count--;
    for (unsigned i = 0; i < t->buffer_count; i++)
        t->buffer[i] = t->buffer[i + 1];
    if (first.word != NULL)
        meet_buffers(first.word, thread);
    report_note("  (what it stored becomes visible)", (int)thread);
    apply(&first);
    if (first.word != NULL && (int)thread == engine.current)
        note_own_change(first.word);
}

void memory_drain(unsigned thread)
{
    while (engine.threads[thread].buffer_count > 0)
        flush_first(thread);
}

static void enter_buffer(struct buffered entry)
{
    struct thread *t = self();
    if (t->buffer_count == BUFFER_ENTRIES)
        flush_first((unsigned)engine.current);
    t->buffer[t->buffer_count++] = entry;
}

void memory_push_wake(unsigned thread)
{
    struct buffered entry = {.wakes = (uint8_t)thread, .clock = self()->clock};
    if (engine.memory == MEMORY_SC || self()->buffer_count == 0)
        apply(&entry);
    else
        enter_buffer(entry);
    memory_tick();
}

/* ---- what sleeping and spinning threads wait for ---- */

static bool rouses(const struct buffered *entry, unsigned thread)
{
    const struct thread *t = &engine.threads[thread];
    if (t->state == ASLEEP)
        return entry->word == NULL && entry->wakes == thread;
    for (unsigned i = 0; i < t->read_count; i++)
        if (entry->word != NULL && entry->word == t->reads[i].word)
            return true;
    return false;
}

/* The thread in whose buffer it is; -1: none. */
static int find_rouser(unsigned thread)
{
    for (unsigned u = 0; u < engine.thread_count; u++)
        for (unsigned i = 0; i < engine.threads[u].buffer_count; i++)
            if (u != thread && rouses(&engine.threads[u].buffer[i], thread))
                return (int)u;
    return -1;
}

bool memory_can_rouse(unsigned thread)
{
    return engine.memory == MEMORY_TSO && find_rouser(thread) >= 0;
}

void memory_rouse(unsigned thread)
{
    int u = find_rouser(thread);
    while (!rouses(&engine.threads[u].buffer[0], thread))
        flush_first((unsigned)u);
    flush_first((unsigned)u);
}

bool memory_reads_changed(const struct thread *t)
{
    for (unsigned i = 0; i < t->read_count; i++)
        if (t->reads[i].word->version != t->reads[i].version)
            return true;
    return false;
}

/* ---- orders ---- */

static bool acquires(int order)
{
    return order == memory_order_acquire || order == memory_order_consume ||
           order == memory_order_acq_rel || order == memory_order_seq_cst;
}

static bool releases(int order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

void memory_tick(void)
{
    self()->clock[engine.current]++;
}

static void acquire(const struct word *word, int order)
{
    struct thread *t = self();
    if (acquires(order))
        t->clock = clock_join(t->clock, word->clock);
    else
        t->to_acquire = clock_join(t->to_acquire, word->clock);
}

/* What a store brings to who acquires it: all that was before it, or before the last release
 * fence. */
static model_clock released(int order)
{
    return releases(order) ? self()->clock : self()->released;
}

void memory_fence(int order, void *pc)
{
    if (engine.current < 0)
        return;
    struct thread *t = self();
    engine_step();
    report_step("fence", order, NULL, 0, 0, 0, pc);
    if (acquires(order))
        t->clock = clock_join(t->clock, t->to_acquire);
    if (releases(order))
        t->released = t->clock;
    if (order == memory_order_seq_cst)
        memory_drain((unsigned)engine.current);
    memory_tick();
}

void model_barrier_all(void)
{
    if (engine.current < 0)
        return;
    engine_point();
    engine_step();
    report_note("  (all threads pass a barrier)", engine.current);
    for (unsigned u = 0; u < engine.thread_count; u++)
        memory_drain(u);
}

/* ---- accesses ---- */

static uint64_t load(struct word *word, void *p, unsigned bytes, int order, void *pc)
{
    struct thread *t = self();
    races_touch(p, bytes, ATOMIC_READ);
    for (unsigned i = t->buffer_count; i-- > 0;)
        if (t->buffer[i].word == word) {
            note_read(word, t->buffer[i].value);
            return t->buffer[i].value;
        }
    meet_buffers(word, (unsigned)engine.current);
    uint64_t value = read_value(p, bytes);
    acquire(word, order);
    note_read(word, value);
    report_step("load", order, p, bytes, value, value, pc);
    return value;
}

static void store(struct word *word, void *p, unsigned bytes, uint64_t value, int order, void *pc)
{
    races_touch(p, bytes, ATOMIC_WRITE);
    struct buffered entry = {
        .word = word, .bytes = (uint8_t)bytes, .value = value, .clock = released(order)};
    report_step("store", order, p, bytes, read_value(p, bytes), value, pc);
    /* A store to a frame that has been left when it becomes visible would hit another: what stands
     * on a stack is visible at once. */
    if (engine.memory == MEMORY_TSO && order != memory_order_seq_cst && !engine_is_on_stack(p)) {
        enter_buffer(entry);
    } else {
        if (order == memory_order_seq_cst)
            memory_drain((unsigned)engine.current);
        meet_buffers(word, (unsigned)engine.current);
        apply(&entry);
        note_own_change(word);
    }
    if (releases(order))
        memory_tick();
}

static uint64_t modify(enum operation op, struct word *word, void *p, unsigned bytes,
                       uint64_t operand, int order, const uint64_t *expected,
                       int order_if_different, void *pc)
{
    memory_drain((unsigned)engine.current);
    meet_buffers(word, (unsigned)engine.current);
    races_touch(p, bytes, ATOMIC_READ);
    uint64_t before = read_value(p, bytes);
    if (op == CAS && before != *expected) {
        acquire(word, order_if_different);
        note_read(word, before);
        report_step("cas lost", order_if_different, p, bytes, before, before, pc);
        return before;
    }
    races_touch(p, bytes, ATOMIC_WRITE);
    acquire(word, order);
    uint64_t after = cut(computed(op, before, operand), bytes);
    report_step("change", order, p, bytes, before, after, pc);
    write_value(p, bytes, after);
    word->clock = clock_join(word->clock, released(order)); /* it goes on with the sequence */
    word->version++;
    note_own_change(word);
    note_read(word, before);
    if (releases(order))
        memory_tick();
    return before;
}

/* In setup and check. */
static uint64_t access_alone(enum operation op, void *p, unsigned bytes, uint64_t operand,
                             const uint64_t *expected)
{
    uint64_t before = read_value(p, bytes);
    if (op != LOAD && (op != CAS || before == *expected))
        write_value(p, bytes, cut(computed(op, before, operand), bytes));
    return before;
}

uint64_t memory_access(enum operation op, void *p, unsigned bytes, uint64_t operand, int order,
                       uint64_t *expected, int order_if_different, void *pc)
{
    if (engine.current < 0)
        return access_alone(op, p, bytes, operand, expected);
    struct word *word = find_word(p);
    note_use(word, op != LOAD);
    if (word->contested || engine.tracing)
        engine_point();
    engine_step();
    if (word->contested || engine.tracing)
        self()->fresh = false;
    if (op == LOAD)
        return load(word, p, bytes, order, pc);
    if (op == STORE) {
        store(word, p, bytes, operand, order, pc);
        return 0;
    }
    return modify(op, word, p, bytes, operand, order, expected, order_if_different, pc);
}

/* A plain access to a word whose atomic store is still in this thread's own buffer. */
static void settle_own(uintptr_t address, size_t bytes)
{
    struct thread *t = self();
    for (unsigned i = 0; i < t->buffer_count; i++) {
        const struct word *word = t->buffer[i].word;
        if (word != NULL && word->address < address + bytes &&
            address < word->address + t->buffer[i].bytes) {
            memory_drain((unsigned)engine.current);
            return;
        }
    }
}

void memory_plain(const void *p, size_t bytes, bool is_write, void *pc)
{
    if (engine.current < 0 || bytes == 0)
        return;
    report_step(is_write ? "write" : "read", -1, p, (unsigned)bytes, 0, 0, pc);
    if (self()->buffer_count > 0)
        settle_own((uintptr_t)p, bytes);
    races_touch(p, bytes, is_write ? PLAIN_WRITE : PLAIN_READ);
}
