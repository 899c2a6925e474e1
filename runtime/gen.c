/* runtime/gen.c - generators. One side of a generator is always suspended in the other: the body in
 * its yield, or the caller in its skua_gen_next. `sp` and `spot` are of that side, and a switch
 * exchanges them. Values are copied by whoever runs, straight to where the other side wants them.
 * Threads: whoever calls skua_gen_next, one at a time; who orders the calls has made the fields
 *          visible. */
#include "runtime/gen.h"

#include <errno.h>
#include <string.h>

#include <skua/gen.h>

#include "arch.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/cancel.h"
#include "runtime/fiber.h"
#include "runtime/place.h"
#include "runtime/stack.h"

/*   NEW -> RUNNING <-> SUSPENDED; RUNNING -> ENDED
 *   NEW -> ENDED: an error was thrown before it began; RUNNING is also ended by sk_gen_forsake */
enum gen_state { NEW, RUNNING, SUSPENDED, ENDED };

struct skua_gen {
    void *sp; /* of the side that is suspended */
    void *runner;
    struct sk_stack *stack; /* NULL: it has ended */
    struct sk_stack *below; /* on which the caller stands while the body runs */
    void *out;              /* where the caller wants what is yielded; NULL: nowhere */
    void *in;               /* where the yield wants what is sent; NULL: nowhere */
    size_t out_bytes;
    size_t in_bytes;
    struct sk_place_scopes scopes; /* when the body was entered last */
    enum gen_state state;
    int code; /* once it has ended: its result */
    bool unwinding;
    struct sk_cancel_shield shield; /* while it unwinds: its caller's */
    int (*fn)(struct skua_gen *, void *);
    void *arg;
    struct sk_san_spot spot;
};

/* By far the most are of few bytes. from NULL: zeroes; to NULL: nothing. */
static inline void hand_over(void *to, const void *from, size_t bytes)
{
    if (sk_unlikely(to == NULL))
        return;
    if (sk_unlikely(from == NULL))
        memset(to, 0, bytes);
    else if (sk_likely(bytes == 8))
        memcpy(to, from, 8);
    else if (bytes == 4)
        memcpy(to, from, 4);
    else if (bytes != 0)
        sk_san_copy(to, from, bytes);
}

/* ---- switching ---- */

/* To the other side, where the pending call returns code, until it comes back: then returns what it
 * has said in turn. Nothing is left to be done here when it does, for whoever comes has done it: so
 * this is the last thing that a function calls, and becomes a jump. */
static SK_ALWAYS_INLINE int change_sides_told(struct skua_gen *g, int code)
{
    struct sk_san_spot other = g->spot;
    void *fake = NULL, *sp = g->sp;
    sk_san_here(&g->spot);
    sk_san_leave(&fake, false, other.low, other.bytes, other.fiber, g, true);
    sk_san_keep(&g->spot, fake);
    code = sk_arch_hand_code(&g->sp, sp, code);
    sk_san_arrive(fake, g);
    return code;
}

static __attribute__((noinline)) int change_sides_found(struct skua_gen *g, int code)
{
    return change_sides_told(g, code);
}

static SK_ALWAYS_INLINE int change_sides(struct skua_gen *g, int code)
{
    if (SK_SAN_BUILT_IN)
        return change_sides_told(g, code);
    if (sk_san_switches())
        return change_sides_found(g, code);
    return sk_arch_hand_code(&g->sp, g->sp, code);
}

/* A fiber that stands in the body may have come back to it with other scopes open around it: what
 * the body has opened, that fiber has. */
static inline bool has_opened(const struct skua_gen *g, const struct skua_task *task)
{
    return sk_place_has_opened(&g->scopes, task) && sk_fiber_has_opened(task);
}

static void give_stack(struct skua_gen *g)
{
    sk_place_give_stack(g->stack);
    g->stack = NULL;
}

/* On the caller's stack, when the body has ended. */
static void *end(void *arg)
{
    struct skua_gen *g = arg;
    sk_san_catch_up(g);
    *sk_place_here().stack = g->below;
    give_stack(g);
    return (void *)(intptr_t)g->code;
}

/* Where every body begins and ends. */
static SK_SAN_NO_FRAME noreturn void gen_main(void *code, void *arg)
{
    struct skua_gen *g = arg;
    (void)code;
    sk_san_arrive(NULL, g);
    int result = g->fn(g, g->arg);
    struct skua_task *task = sk_current_task();
    if (has_opened(g, task))
        sk_place_left_scope_open(task, "generator", g, "returned");
    g->code = result < 0 ? result : 0;
    g->state = ENDED;
    void *sp = g->sp;
    sk_san_leave(NULL, true, g->spot.low, g->spot.bytes, g->spot.fiber, g, true);
    sk_arch_hand_last(sp, end, g);
}

/* Runs the body until it yields or ends; its pending yield returns code. */
static SK_ALWAYS_INLINE int resume(struct skua_gen *g, int code, void *out)
{
    struct sk_place here = sk_place_here();
    g->runner = here.runner;
    sk_place_note_scopes(&g->scopes, here.task);
    g->out = out;
    g->state = RUNNING;
    g->below = *here.stack;
    *here.stack = g->stack;
    return change_sides(g, code);
}

static void hold_shield(struct skua_gen *g)
{
    struct skua_task *task = sk_current_task();
    if (task != NULL)
        g->shield = sk_cancel_hold_shield(task);
}

static void give_shield_back(const struct skua_gen *g)
{
    struct skua_task *task = sk_current_task();
    if (task != NULL)
        sk_cancel_give_shield_back(task, g->shield);
}

/* One that was being freed has nobody left who frees it. */
struct sk_stack *sk_gen_forsake(struct skua_gen *g)
{
    struct sk_stack *below = g->below;
    sk_san_forsake(&g->spot);
    sk_stack_forsake(g->stack);
    give_stack(g);
    g->state = ENDED;
    g->code = -ECANCELED;
    if (g->unwinding) {
        give_shield_back(g);
        sk_mem_free(g);
    }
    return below;
}

/* ---- the calls ---- */

int skua_gen_new(skua_gen **out, int (*fn)(skua_gen *, void *), void *arg, size_t out_size,
                 size_t in_size)
{
    if (out == NULL || fn == NULL || out_size > SKUA_GEN_VALUE_MAX || in_size > SKUA_GEN_VALUE_MAX)
        return -EINVAL;
    struct sk_stack *stack;
    int rc = sk_place_take_stack(&stack, 0);
    if (rc < 0)
        return rc;
    struct skua_gen *g = sk_mem_alloc(sizeof(*g));
    if (g == NULL) {
        sk_place_give_stack(stack);
        return -ENOMEM;
    }
    *g = (struct skua_gen){
        .stack = stack,
        .out_bytes = out_size,
        .in_bytes = in_size,
        .state = NEW,
        .fn = fn,
        .arg = arg,
        .spot = {.low = stack->low,
                 .bytes = (size_t)(stack->top - stack->low),
                 .fiber = stack->tsan_fiber},
    };
    g->sp = sk_arch_prepare_body(stack->top, gen_main, g);
    stack->gen = g;
    *out = g;
    return 0;
}

int skua_gen_next(skua_gen *g, const void *send, void *out)
{
    if (sk_unlikely(g == NULL || g->state == RUNNING))
        return -EINVAL;
    if (sk_unlikely(g->state == ENDED))
        return g->code;
    if (sk_likely(g->state == SUSPENDED))
        hand_over(g->in, send, g->in_bytes);
    return resume(g, 0, out);
}

int skua_gen_throw(skua_gen *g, int err, void *out)
{
    if (g == NULL || err >= 0 || g->state == RUNNING)
        return -EINVAL;
    if (g->state == ENDED)
        return g->code;
    if (g->state == SUSPENDED)
        return resume(g, err, out);
    g->state = ENDED;
    g->code = err;
    give_stack(g);
    return err;
}

/* Only who runs the body, and stands on its stack: neither a body further in nor a child that runs
 * here for the scope that the body closes. */
static inline int check_yield(const struct skua_gen *g, const struct sk_place *here)
{
    if (sk_unlikely(g == NULL || g->state != RUNNING || here->runner != g->runner ||
                    sk_arch_sp() - (uintptr_t)g->stack->low >=
                        (size_t)(g->stack->top - g->stack->low)))
        return -EINVAL;
    if (sk_unlikely(g->unwinding))
        return -ECANCELED;
    return has_opened(g, here->task) ? -EINVAL : 0;
}

int skua_gen_yield(skua_gen *g, const void *out, void *in)
{
    struct sk_place here = sk_place_here();
    int rc = check_yield(g, &here);
    if (sk_unlikely(rc < 0))
        return rc;
    hand_over(g->out, out, g->out_bytes);
    g->in = in;
    g->state = SUSPENDED;
    *here.stack = g->below;
    return change_sides(g, 1);
}

/* The pending yield fails, and every further one: so the body ends. */
static void unwind(struct skua_gen *g)
{
    hold_shield(g);
    g->unwinding = true;
    (void)resume(g, -ECANCELED, NULL);
    give_shield_back(g);
}

void skua_gen_free(skua_gen *g)
{
    if (g == NULL)
        return;
    if (g->state == RUNNING)
        sk_place_misused("skua_gen_free", "generator", g,
                         "is running; free it once its skua_gen_next has returned");
    if (g->state == SUSPENDED)
        unwind(g);
    if (g->state == NEW)
        give_stack(g);
    sk_mem_free(g);
}
