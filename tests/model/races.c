/* tests/model/races.c - accesses that nothing orders, and memory that is gone.
 * For each byte that two threads use it is kept when each of them last read and wrote it, by its own
 * counter; whoever accesses it next must have seen as much of the others' counters. */
#include <string.h>

#include "tests/model/engine.h"

enum { CELLS = 1 << 12 };

/* A counter for each of eight bytes. */
typedef uint16_t lanes __attribute__((vector_size(16)));

/* Eight bytes of memory. As long as only one thread has used them, or nobody has written to them, in
 * all schedules so far, there is nothing to remember. */
struct cell {
    uintptr_t address; /* 0: a free entry of the table */
    uint32_t run;      /* the schedule that `gone` belongs to */
    uint8_t users, writers;
    bool shared;
    uint8_t gone; /* bytes that may not be accessed */
};

/* Who has used a shared cell in this schedule. masks[kind]: a byte per thread, a bit for each byte
 * that it has so accessed; when[kind][thread][byte]: its own counter at the last time. */
struct history {
    uint32_t run;
    uint64_t masks[KINDS];
    lanes when[KINDS][MODEL_THREADS_MAX];
};

static struct cell cells[CELLS];
static struct history histories[CELLS];

/* What a second access of each kind must be ordered with. */
static const uint8_t conflicts[KINDS] = {
    [PLAIN_READ] = 1 << PLAIN_WRITE | 1 << ATOMIC_WRITE,
    [PLAIN_WRITE] = 1 << PLAIN_READ | 1 << PLAIN_WRITE | 1 << ATOMIC_READ | 1 << ATOMIC_WRITE,
    [ATOMIC_READ] = 1 << PLAIN_WRITE,
    [ATOMIC_WRITE] = 1 << PLAIN_READ | 1 << PLAIN_WRITE,
};

static const char *const kind_names[KINDS] = {"plain read", "plain write", "atomic read",
                                              "atomic write"};

/* What of each stack other threads have touched, in all schedules so far: first and one after the
 * last; end 0: nothing. */
static struct {
    uintptr_t begin, end;
} touched[MODEL_THREADS_MAX];

/* ---- cells ---- */

void races_forget(void)
{
    memset(cells, 0, sizeof(cells));
    memset(touched, 0, sizeof(touched));
}

void races_begin_run(void)
{
    for (unsigned i = 0; i < CELLS; i++)
        cells[i].shared = cells[i].writers != 0 && has_two(cells[i].users);
}

static struct cell *find_cell(uintptr_t address)
{
    unsigned at = engine_hash(address, CELLS), tries = 0;
    while (cells[at].address != address) {
        if (cells[at].address == 0) {
            cells[at].address = address;
            break;
        }
        if (++tries == CELLS)
            model_fail("a model with more than %d bytes of memory", CELLS * 8);
        at = (at + 1) & (CELLS - 1);
    }
    struct cell *cell = &cells[at];
    if (cell->run != engine.run) {
        cell->run = engine.run;
        cell->gone = 0;
    }
    return cell;
}

static struct history *history_of(const struct cell *cell)
{
    struct history *history = &histories[cell - cells];
    if (history->run != engine.run) {
        history->run = engine.run;
        for (unsigned k = 0; k < KINDS; k++)
            history->masks[k] = 0;
    }
    return history;
}

static noreturn void report_race(const struct cell *cell, unsigned byte, enum kind mine,
                                 enum kind other, unsigned thread)
{
    model_fail("data race at %p: %s by thread %d, %s by thread %u before, nothing orders them",
               (void *)(cell->address + byte), kind_names[mine], engine.current, kind_names[other],
               thread);
}

/* All ones where the bit is set. */
static lanes lanes_of(unsigned bytes)
{
    const lanes bits = {1, 2, 4, 8, 16, 32, 64, 128};
    return (lanes)((bits & (uint16_t)bytes) != 0);
}

static bool is_any(lanes l)
{
    typedef uint64_t halves __attribute__((vector_size(16)));
    halves h = (halves)l;
    return (h[0] | h[1]) != 0;
}

/* Some thread but this one has accessed some of these bytes so before: were we to know? */
static void check_others(const struct cell *cell, const struct history *history, uint8_t bytes,
                         enum kind mine, enum kind other)
{
    const struct thread *t = self();
    for (unsigned u = 0; u < engine.thread_count; u++) {
        unsigned hit = (unsigned)(history->masks[other] >> (8 * u)) & bytes;
        if ((int)u == engine.current)
            continue;
        if (hit == 0)
            continue;
        lanes late = (lanes)(history->when[other][u] > t->clock[u]) & lanes_of(hit);
        for (unsigned byte = 0; is_any(late) && byte < 8; byte++)
            if (late[byte] != 0)
                report_race(cell, byte, mine, other, u);
    }
}

static void touch_shared(const struct cell *cell, uint8_t bytes, enum kind kind)
{
    struct history *history = history_of(cell);
    unsigned me = (unsigned)engine.current;
    for (unsigned other = 0; other < KINDS; other++)
        if (history->masks[other] != 0 && (conflicts[kind] >> other & 1) != 0)
            check_others(cell, history, bytes, kind, other);
    history->masks[kind] |= (uint64_t)bytes << (8 * me);
    lanes chosen = lanes_of(bytes), *when = &history->when[kind][me];
    *when = (*when & ~chosen) | (self()->clock[me] & chosen);
}

static void touch_cell(uintptr_t address, uint8_t bytes, enum kind kind)
{
    struct cell *cell = find_cell(address);
    if ((cell->gone & bytes) != 0)
        model_fail("%s at %p, which is gone", kind_names[kind], (void *)address);
    if (cell->shared) {
        touch_shared(cell, bytes, kind);
        return;
    }
    uint8_t bit = (uint8_t)(1u << engine.current);
    cell->users |= bit;
    if (kind == PLAIN_WRITE || kind == ATOMIC_WRITE)
        cell->writers |= bit;
    if (cell->writers != 0 && has_two(cell->users))
        engine.found_word = true;
}

static void note_touched(unsigned owner, uintptr_t begin, uintptr_t end)
{
    if (touched[owner].end == 0 || begin < touched[owner].begin)
        touched[owner].begin = begin;
    if (end > touched[owner].end)
        touched[owner].end = end;
}

/* What lies on another thread's stack lives as long as its frame does. The explorer's own frames
 * below the instrumented ones do not count: they may lie where a frame was left. */
static void check_frame(const void *p, size_t bytes, enum kind kind)
{
    unsigned owner = engine_owner_of(p);
    if ((int)owner == engine.current || owner >= engine.thread_count)
        return;
    const struct thread *t = &engine.threads[owner];
    note_touched(owner, (uintptr_t)p, (uintptr_t)p + bytes);
    if (t->state == ENDED || (uintptr_t)p < t->frame_sp)
        model_fail("%s at %p, in a frame that thread %u has left", kind_names[kind], p, owner);
}

static uint8_t bytes_from(unsigned offset, size_t count)
{
    return (uint8_t)(count >= 8 ? 0xffu << offset : ((1u << count) - 1) << offset);
}

void races_touch(const void *p, size_t bytes, enum kind kind)
{
    uintptr_t address = (uintptr_t)p;
    if (engine_is_on_stack(p))
        check_frame(p, bytes, kind);
    while (bytes > 0) {
        unsigned offset = address & 7;
        size_t part = bytes < 8 - offset ? bytes : 8 - offset;
        touch_cell(address - offset, bytes_from(offset, part), kind);
        address += part;
        bytes -= part;
    }
}

static void set_gone(const void *p, size_t bytes, bool gone)
{
    for (uintptr_t at = (uintptr_t)p, end = at + bytes; at < end; at++) {
        struct cell *cell = find_cell(at & ~(uintptr_t)7);
        uint8_t bit = (uint8_t)(1u << (at & 7));
        cell->gone = gone ? cell->gone | bit : cell->gone & (uint8_t)~bit;
    }
}

void races_end_frame(uintptr_t begin, uintptr_t end, void *pc)
{
    unsigned me = (unsigned)engine.current;
    if (engine_owner_of((void *)begin) != me)
        return;
    if (begin < touched[me].begin)
        begin = touched[me].begin;
    if (end > touched[me].end)
        end = touched[me].end;
    if (begin >= end)
        return;
    report_step("frame ends", -1, (void *)begin, (unsigned)(end - begin), 0, 0, pc);
    set_gone((void *)begin, end - begin, false); /* an object of it may have gone before */
    races_touch((void *)begin, end - begin, PLAIN_WRITE);
}

/* Going is a write, and so is coming. */
void model_gone(const void *p, size_t bytes)
{
    memory_plain(p, bytes, true, __builtin_return_address(0));
    set_gone(p, bytes, true);
}

void model_here(const void *p, size_t bytes)
{
    set_gone(p, bytes, false);
    memory_plain(p, bytes, true, __builtin_return_address(0));
}
