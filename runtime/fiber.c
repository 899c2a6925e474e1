/* runtime/fiber.c - fibers. All that one coroutine, or plain thread, has made belong to one home,
 * which is made with the first of them and goes with its owner. The fibers of a home form a tree
 * whose root is the owner itself; one of them runs, as far as the owner does, all others stand in
 * skua_fiber_switch or have not begun.
 * I1: a parent has not ended: what a fiber has made passes to its own parent when it ends or is freed.
 * Threads: the owner, on whatever worker it runs. */
#include "runtime/fiber.h"

#include <errno.h>
#include <pthread.h>

#include <skua/fiber.h>

#include "arch.h"
#include "runtime/base/list.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/gen.h"
#include "runtime/local.h"
#include "runtime/place.h"
#include "runtime/stack.h"

struct skua_fiber {
    void *sp;                /* while it does not run */
    struct sk_stack *stands; /* on which it stands then: its own, or that of a generator */
    struct sk_fiber_home *home;
    struct skua_fiber *parent;     /* NULL: the root */
    struct sk_place_scopes scopes; /* when it was entered last */
    struct sk_stack *own;          /* NULL: the root, or it has ended */
    void *(*fn)(void *);
    void *arg;
    struct sk_list children; /* by `link` */
    struct sk_list link;
    struct sk_san_spot spot; /* while it does not run */
};

struct sk_fiber_home {
    void *runner; /* the owner, as struct sk_place knows it */
    struct skua_fiber *current;
    struct skua_fiber *ended; /* the last that has */
    void *result;             /* of that */
    struct skua_fiber root;
};

static bool has_ended(const struct skua_fiber *f)
{
    return f->own == NULL && f->parent != NULL;
}

/* ---- homes ---- */

static __thread struct sk_fiber_home *thread_home;
static pthread_key_t key; /* only for its destructor */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void end_thread(void *arg)
{
    struct sk_fiber_home *home = arg;
    thread_home = NULL;
    if (home->current != &home->root)
        sk_place_misused("pthread_exit", "fiber", home->current,
                         "has ended its thread, which stands elsewhere; it must return");
    sk_fiber_end(home);
}

static void make_key(void)
{
    SK_CHECK(pthread_key_create(&key, end_thread) == 0);
}

static struct sk_fiber_home *make_home(const struct sk_place *here)
{
    struct sk_fiber_home *home = sk_mem_zalloc(sizeof(*home));
    if (home == NULL)
        return NULL;
    home->runner = here->runner;
    home->root.home = home;
    home->current = &home->root;
    sk_list_init(&home->root.children);
    return home;
}

static struct sk_fiber_home *make_thread_home(const struct sk_place *here)
{
    pthread_once(&key_once, make_key);
    struct sk_fiber_home *home = make_home(here);
    if (home != NULL && pthread_setspecific(key, home) != 0) {
        sk_mem_free(home);
        return NULL;
    }
    thread_home = home;
    return home;
}

/* The caller's, which is made if there is none. Not in a callback. NULL: no memory. */
static struct sk_fiber_home *home_here(void)
{
    struct sk_place here = sk_place_here();
    if (here.task == NULL)
        return thread_home != NULL ? thread_home : make_thread_home(&here);
    struct sk_fiber_home **home = sk_local_fibers(here.task);
    if (home != NULL && *home == NULL)
        *home = make_home(&here);
    return home != NULL ? *home : NULL;
}

/* ---- the tree ---- */

static void pass_children_on(struct skua_fiber *f)
{
    struct sk_list *l;
    while ((l = sk_list_pop_front(&f->children)) != NULL) {
        struct skua_fiber *child = sk_container_of(l, struct skua_fiber, link);
        child->parent = f->parent;
        sk_list_push_back(&f->parent->children, l);
    }
}

/* It stands somewhere, perhaps in the body of a generator in the body of another, and will not go
 * on. */
static void forsake(struct skua_fiber *f)
{
    sk_san_forsake(&f->spot);
    while (f->stands != f->own)
        f->stands = sk_gen_forsake(f->stands->gen);
    sk_stack_forsake(f->own);
    sk_place_give_stack(f->own);
}

static void destroy(struct skua_fiber *f)
{
    pass_children_on(f);
    sk_list_remove(&f->link);
    if (f->own != NULL)
        forsake(f);
    sk_mem_free(f);
}

void sk_fiber_end(struct sk_fiber_home *home)
{
    if (home == NULL)
        return;
    while (!sk_list_empty(&home->root.children))
        destroy(sk_container_of(home->root.children.next, struct skua_fiber, link));
    sk_mem_free(home);
}

/* ---- switching ---- */

static inline void enter(struct sk_fiber_home *home, struct skua_fiber *to,
                         const struct sk_place *here)
{
    *here->stack = to->stands;
    sk_place_note_scopes(&to->scopes, here->task);
    home->current = to;
}

/* Until somebody switches back. Nothing is left to be done here then: so this is the last thing that a
 * function calls, and becomes a jump. */
static SK_ALWAYS_INLINE void *jump_told(struct skua_fiber *from, struct skua_fiber *to, void *value)
{
    void *sp = to->sp;
    sk_san_here(&from->spot);
    sk_san_leave(&from->spot.fake, false, to->spot.low, to->spot.bytes, to->spot.fiber, to->home,
                 true);
    value = sk_arch_hand_over(&from->sp, sp, value);
    sk_san_arrive(from->spot.fake, from->home);
    return value;
}

static __attribute__((noinline)) void *jump_found(struct skua_fiber *from, struct skua_fiber *to,
                                                  void *value)
{
    return jump_told(from, to, value);
}

static SK_ALWAYS_INLINE void *jump(struct skua_fiber *from, struct skua_fiber *to, void *value)
{
    if (SK_SAN_BUILT_IN)
        return jump_told(from, to, value);
    if (sk_san_switches())
        return jump_found(from, to, value);
    return sk_arch_hand_over(&from->sp, to->sp, value);
}

/* On the parent's stack, when a fiber has ended. */
static void *bury(void *arg)
{
    struct sk_fiber_home *home = arg;
    sk_san_catch_up(home);
    sk_place_give_stack(home->ended->own);
    home->ended->own = NULL;
    return home->result;
}

/* Where every fiber begins and ends. */
static SK_SAN_NO_FRAME noreturn void fiber_main(void *value, void *arg)
{
    struct sk_fiber_home *home = arg;
    sk_san_arrive(NULL, home);
    struct skua_fiber *self = home->current;
    void *result = self->fn(value != NULL ? value : self->arg);
    struct sk_place here = sk_place_here();
    if (sk_place_has_opened(&self->scopes, here.task))
        sk_place_left_scope_open(here.task, "fiber", self, "returned");
    struct skua_fiber *parent = self->parent;
    pass_children_on(self);
    home->ended = self;
    home->result = result;
    enter(home, parent, &here);
    void *sp = parent->sp;
    sk_san_leave(NULL, true, parent->spot.low, parent->spot.bytes, parent->spot.fiber, home, true);
    sk_arch_hand_last(sp, bury, home);
}

bool sk_fiber_has_opened(const struct skua_task *task)
{
    const struct sk_fiber_home *home = sk_local_fibers_of(task);
    return home == NULL || home->current->parent == NULL ||
           sk_place_has_opened(&home->current->scopes, task);
}

static void check_owner(const char *call, const struct skua_fiber *f, const struct sk_place *here)
{
    if (sk_unlikely(f->home->runner != here->runner))
        sk_place_misused(call, "fiber", f,
                         "belongs to another coroutine or thread, or this is a callback: only who "
                         "made it may use it");
}

void *skua_fiber_switch(skua_fiber *to, void *value)
{
    struct sk_place here = sk_place_here();
    if (sk_unlikely(to == NULL))
        sk_place_misused("skua_fiber_switch", "fiber", to, "is none: expected one to switch to");
    check_owner("skua_fiber_switch", to, &here);
    struct sk_fiber_home *home = to->home;
    struct skua_fiber *from = home->current;
    if (sk_unlikely(has_ended(to)))
        to = to->parent;
    if (sk_unlikely(to == from))
        return value;
    if (from->parent != NULL && sk_place_has_opened(&from->scopes, here.task))
        sk_place_left_scope_open(here.task, "fiber", from, "switched away");
    from->stands = *here.stack;
    enter(home, to, &here);
    return jump(from, to, value);
}

/* ---- the other calls ---- */

static struct skua_fiber *make_fiber(struct sk_fiber_home *home, size_t stack_size, int *rc)
{
    struct skua_fiber *f = sk_mem_zalloc(sizeof(*f));
    *rc = f != NULL ? sk_place_take_stack(&f->own, stack_size) : -ENOMEM;
    if (*rc < 0) {
        sk_mem_free(f);
        return NULL;
    }
    f->sp = sk_arch_prepare_body(f->own->top, fiber_main, home);
    f->stands = f->own;
    f->home = home;
    f->parent = home->current;
    f->spot = (struct sk_san_spot){.low = f->own->low,
                                   .bytes = (size_t)(f->own->top - f->own->low),
                                   .fiber = f->own->tsan_fiber};
    sk_list_init(&f->children);
    sk_list_push_back(&f->parent->children, &f->link);
    return f;
}

int skua_fiber_new(skua_fiber **out, void *(*fn)(void *), void *arg, size_t stack_size)
{
    int rc;
    if (out == NULL || fn == NULL || stack_size > SK_STACK_PROMISE_MAX)
        return -EINVAL;
    if (sk_place_is_callback())
        return -EPERM;
    struct sk_fiber_home *home = home_here();
    struct skua_fiber *f = home != NULL ? make_fiber(home, stack_size, &rc) : NULL;
    if (f == NULL)
        return home != NULL ? rc : -ENOMEM;
    f->fn = fn;
    f->arg = arg;
    *out = f;
    return 0;
}

skua_fiber *skua_fiber_self(void)
{
    struct sk_fiber_home *home = sk_place_is_callback() ? NULL : home_here();
    return home != NULL ? home->current : NULL;
}

skua_fiber *skua_fiber_parent(void)
{
    struct skua_fiber *self = skua_fiber_self();
    return self != NULL ? self->parent : NULL;
}

void skua_fiber_free(skua_fiber *f)
{
    struct sk_place here = sk_place_here();
    if (f == NULL)
        return;
    check_owner("skua_fiber_free", f, &here);
    if (f == f->home->current)
        sk_place_misused("skua_fiber_free", "fiber", f,
                         "is running; switch to another one, and free it there");
    if (f->parent == NULL)
        sk_place_misused("skua_fiber_free", "fiber", f,
                         "is its coroutine's own, which is never freed");
    destroy(f);
}
