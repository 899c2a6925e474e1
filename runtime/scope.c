#include "runtime/scope.h"

#include <errno.h>
#include <string.h>

#include <skua/task.h>

#include "arch.h"
#include "runtime/base/assert.h"
#include "runtime/base/clock.h"
#include "runtime/base/mem.h"
#include "runtime/base/sanitizer.h"
#include "runtime/cancel.h"
#include "runtime/local.h"
#include "runtime/runtime.h"
#include "runtime/sched.h"
#include "runtime/stack.h"
#include "runtime/task.h"
#include "runtime/wait.h"
#include "runtime/worker.h"

enum { COPY_MAX = 4096 };

/* ---- the word ---- */

static bool is_last(uint64_t word)
{
    return word == SK_SCOPE_WAITING;
}

void sk_scope_init_root(struct sk_scope *s)
{
    *s = (struct sk_scope){.opener = NULL, .deadline = SKUA_NEVER, .mode = SKUA_COLLECT};
    sk_store_relaxed(&s->x_word, SK_SCOPE_BIAS);
    sk_list_init(&s->tasks);
    sk_list_init(&s->scopes);
    sk_store_release(&s->x_flags, (uint32_t)SK_SCOPE_LINKED);
}

struct sk_scope *sk_scope_parent(const struct sk_scope *s)
{
    if (s->outer != NULL || s->opener == NULL)
        return s->outer;
    return sk_load_relaxed(&s->opener->x_scope);
}

/* A task of no opener's (root, plain threads) enters. */
static void enter(struct sk_scope *s)
{
    sk_add_relaxed(&s->x_word, UINT64_C(1)); /* the caller lives inside, or holds the root open */
}

void sk_scope_leave(struct sk_scope *s)
{
    if (sk_likely(!is_last(sk_sub_acq_rel(&s->x_word, UINT64_C(1)) - 1))) /* SC1 */
        return;
    struct skua_task *closer = s->closer;
    uint64_t ticket = sk_load_relaxed(&s->x_ticket);
    sk_store_release(&s->x_last, true); /* SC3 */
    sk_wait_wake(closer, ticket, SK_WAIT_WOKEN);
}

/* By time: the first one stands. */
static void note_failure(struct sk_scope *s, int result)
{
    int32_t none = 0;
    if (!sk_cas_relaxed(&s->x_failure, &none, result))
        return;
    if (s->mode == SKUA_FAIL_FAST)
        sk_cancel_scope(s, false);
}

static void note_success(struct sk_scope *s)
{
    if (s->mode == SKUA_RACE &&
        (sk_or_acq_rel(&s->x_flags, (uint32_t)SK_SCOPE_SUCCEEDED) & SK_SCOPE_SUCCEEDED) == 0)
        sk_cancel_scope(s, false);
}

void sk_scope_note_result(struct sk_scope *s, int result, bool cancelled)
{
    bool late = sk_scope_is_cancelled(s);
    if (sk_unlikely(late))
        sk_or_acq_rel(&s->x_flags, (uint32_t)SK_SCOPE_UNFINISHED);
    if (result >= 0)
        note_success(s);
    else if (result != -ECANCELED || (!cancelled && !late))
        note_failure(s, result);
}

/* ---- opening and spawning ---- */

static inline int open_scope(skua_scope *scope, unsigned flags, skua_time deadline, bool apart)
{
    struct sk_worker *w = sk_current_worker();
    struct sk_scope *s = sk_scope_of(scope);
    if (sk_unlikely(w == NULL || w->current == NULL))
        return -EPERM;
    if (sk_unlikely(flags > SKUA_RACE || (deadline != SKUA_NEVER && deadline < sk_clock_loaded())))
        return -EINVAL;
    struct skua_task *opener = w->current;
    struct sk_scope *outer = opener->scopes;
    struct sk_scope *parent = outer != NULL ? outer : sk_load_relaxed(&opener->x_scope);
    int16_t depth = outer != NULL ? outer->depth : 0;
    s->opener = opener;
    s->outer = outer;
    s->barrier = apart || sk_load_relaxed(&opener->x_shield) == depth;
    s->deadline = !s->barrier && parent->deadline < deadline ? parent->deadline : deadline;
    s->own = 0;
    s->mode = (uint8_t)flags;
    s->depth = depth < INT16_MAX ? (int16_t)(depth + 1) : depth;
    sk_store_relaxed(&s->x_word, SK_SCOPE_BIAS);
    sk_store_relaxed(&s->x_failure, 0);
    sk_store_relaxed(&s->x_flags, 0u);
    sk_store_relaxed(&s->lock.x_held, 0u);
    opener->scopes = s;
    return 0;
}

int skua_scope_open(skua_scope *scope, unsigned flags, skua_time deadline)
{
    return open_scope(scope, flags, deadline, false);
}

int sk_scope_open_apart(skua_scope *scope, unsigned flags)
{
    return open_scope(scope, flags, SKUA_NEVER, true);
}

static void fill(struct skua_task *child, struct sk_scope *s, int (*fn)(void *), void *arg,
                 void *site)
{
    child->fn = fn;
    child->arg = arg;
    child->spawn_site = site;
    child->sp = NULL;
    sk_store_relaxed(&child->x_scope, s);
    sk_store_relaxed(&child->x_state, (uint8_t)SK_TASK_NEW);
}

static struct skua_task *take_record(struct sk_worker *w)
{
    struct skua_task *child = w != NULL ? w->free_tasks : NULL;
    if (sk_unlikely(child == NULL))
        return sk_task_new_slow(w);
    w->free_tasks = child->next;
    w->free_count--;
    return child;
}

/* Whether task is s's opener's descendant by scopes. */
static bool lives_inside(const struct skua_task *task, const struct sk_scope *s)
{
    for (const struct sk_scope *at = sk_load_relaxed(&task->x_scope); at != NULL;
         at = sk_scope_parent(at))
        if (at == s)
            return true;
    return false;
}

static bool has_opened(const struct skua_task *task, const struct sk_scope *s)
{
    for (const struct sk_scope *at = task->scopes; at != NULL; at = at->outer)
        if (at == s)
            return true;
    return false;
}

bool sk_scope_is_around(skua_scope *scope)
{
    const struct sk_worker *w = sk_current_worker();
    const struct skua_task *self = w != NULL ? w->current : NULL;
    const struct sk_scope *s = sk_scope_of(scope);
    return s == NULL || (self != NULL && (has_opened(self, s) || lives_inside(self, s)));
}

/* May this caller spawn into s, and is s alive? *s: NULL becomes the root. */
static int check_spawn(struct sk_worker *w, struct sk_scope **s)
{
    struct skua_task *self = w != NULL ? w->current : NULL;
    int rc = sk_runtime_check();
    if (rc < 0 && self == NULL)
        return rc;
    if (*s == NULL)
        *s = &sk_runtime.root;
    if (*s != &sk_runtime.root &&
        (self == NULL || ((*s)->opener != self && !lives_inside(self, *s))))
        return -EPERM;
    if (self != NULL && *s != &sk_runtime.root && sk_load_relaxed(&self->x_cancel) != 0)
        sk_cancel_link_scope(*s);
    if (sk_scope_is_cancelled(*s))
        return -ECANCELED;
    return (sk_load_relaxed(&sk_runtime.x_starving) & ~SK_RUNTIME_SPAWNS_TOLD) != 0 ? -ENOMEM : 0;
}

/* Spawns with all that a record can have; the plain case has a short way of its own. */
static int spawn_here(struct sk_scope *s, int (*fn)(void *), void *arg, size_t len,
                      const skua_task_opts *o, skua_task **out, void *site)
{
    struct sk_worker *w = sk_current_worker();
    int rc = fn == NULL ? -EINVAL : check_spawn(w, &s);
    if (rc < 0)
        return rc;
    void *copy = NULL;
    if (len > SK_TASK_COPY_BYTES && (copy = sk_mem_alloc(len)) == NULL)
        return -ENOMEM;
    struct skua_task *child = take_record(w);
    if (child == NULL) {
        sk_mem_free(copy);
        return -ENOMEM;
    }
    if (o != NULL && o->name != NULL && (rc = sk_local_set_name(child, o->name)) < 0) {
        sk_task_free(w, child);
        sk_mem_free(copy);
        return rc;
    }
    if (len > 0) {
        void *to = copy != NULL ? copy : child->copy;
        sk_san_copy(to, arg, len);
        arg = to;
        if (copy != NULL)
            child->flags |= SK_TASK_COPIED;
    }
    fill(child, s, fn, arg, site);
    if (sk_san_orders()) {
        child->flags |= SK_TASK_TOLD;
        sk_san_release(child);
    }
    if (o != NULL) {
        child->affinity = (uint16_t)o->worker;
        if (o->stack_size > sk_stack_default_bytes())
            child->sp = (void *)(uintptr_t)o->stack_size; /* until it starts */
    }
    if (out != NULL) {
        sk_store_relaxed(&child->x_refs, 2u);
        child->flags |= SK_TASK_TOUCHED;
        *out = child;
    }
    if (w != NULL && w->current != NULL && s->opener == w->current)
        s->own++;
    else
        enter(s);
    if (w != NULL) {
        sk_count(w->counts.x_spawns);
        if (child->affinity == 0) {
            sk_sched_push(w, &w->queue, child);
            return 0;
        }
    }
    sk_sched_submit(child);
    return 0;
}

/* A plain thread holds the runtime while it spawns: stop must see the task, or the thread that the
 * runtime stops. */
static int spawn_any(struct sk_scope *s, int (*fn)(void *), void *arg, size_t len,
                     const skua_task_opts *o, skua_task **out, void *site)
{
    int rc = sk_runtime_enter();
    if (rc < 0)
        return rc;
    rc = o != NULL && o->worker > sk_runtime.worker_count
             ? -EINVAL
             : spawn_here(s, fn, arg, len, o, out, site);
    sk_runtime_leave();
    return rc;
}

int skua_spawn(skua_scope *scope, int (*fn)(void *), void *arg)
{
    struct sk_worker *w = sk_current_worker();
    struct sk_scope *s = sk_scope_of(scope);
    void *site = __builtin_return_address(0);
    if (sk_unlikely(w == NULL || s == NULL || s->opener != w->current || w->free_tasks == NULL ||
                    fn == NULL || sk_scope_is_cancelled(s) ||
                    sk_load_relaxed(&s->opener->x_cancel) != 0 ||
                    sk_load_relaxed(&sk_runtime.x_starving) != 0))
        return spawn_any(s, fn, arg, 0, NULL, NULL, site);
    struct skua_task *child = take_record(w);
    fill(child, s, fn, arg, site);
    s->own++;
    sk_count(w->counts.x_spawns);
    sk_sched_push(w, &w->queue, child);
    return 0;
}

int skua_spawn_copy(skua_scope *scope, int (*fn)(void *), const void *arg, size_t len)
{
    if (len > COPY_MAX || (len > 0 && arg == NULL))
        return -EINVAL;
    return spawn_any(sk_scope_of(scope), fn, (void *)(uintptr_t)arg, len, NULL, NULL,
                     __builtin_return_address(0));
}

/* What can be said without the runtime. */
static int check_opts(const skua_task_opts *o)
{
    bool fits =
        o->size >= sizeof(skua_task_opts) && o->flags == 0 && o->stack_size <= SK_STACK_PROMISE_MAX;
    return fits ? 0 : -EINVAL;
}

int skua_spawn_opts(skua_scope *scope, int (*fn)(void *), void *arg, const skua_task_opts *o,
                    skua_task **out)
{
    int rc = o != NULL ? check_opts(o) : 0;
    if (rc < 0)
        return rc;
    return spawn_any(sk_scope_of(scope), fn, arg, 0, o, out, __builtin_return_address(0));
}

/* ---- closing ---- */

/* Is the promise of another coroutine left on this stack? Then no program's overflow depends on who
 * stole what. */
static bool has_room(const struct skua_task *closer, size_t promised)
{
    return sk_arch_sp() - (uintptr_t)closer->stack->low >= promised;
}

static bool may_inline(const struct skua_task *closer)
{
    unsigned chaos = sk_runtime.settings.chaos;
    return closer->pins == 0 && closer->affinity == 0 && (chaos & SK_CHAOS_NOINLINE) == 0;
}

/* The closer's newest child, if nobody has taken it up. */
static struct skua_task *take_child(struct sk_worker *w, struct sk_scope *s,
                                    const struct skua_task *closer)
{
    struct skua_task *child = sk_deque_peek(&w->queue);
    if (child == NULL || sk_load_relaxed(&child->x_scope) != s ||
        sk_load_relaxed(&child->x_state) != SK_TASK_NEW ||
        !has_room(closer, sk_stack_default_bytes()))
        return NULL;
    child = sk_deque_take(&w->queue);
    if (child == NULL || sk_likely(child->sp == NULL) ||
        has_room(closer, (size_t)(uintptr_t)child->sp))
        return child;
    sk_sched_push(w, &w->queue, child); /* it was promised more than is left here */
    return NULL;
}

static bool is_plain(const struct skua_task *child, int result, const struct sk_scope *s)
{
    return result >= 0 && child->flags == 0 && child->scopes == NULL && s->mode != SKUA_RACE &&
           !sk_scope_is_cancelled(s) && sk_load_relaxed(&child->x_refs) == 1;
}

/* Runs child on the closer's stack, which is lent to it meanwhile: the child's record takes the
 * place of the closer's. It may suspend, and go on elsewhere. Returns the worker on which it
 * ended. */
static struct sk_worker *run_inline(struct sk_worker *w, struct sk_scope *s,
                                    struct skua_task *closer, struct skua_task *child)
{
    sk_task_start(child, closer->stack);
    w->current = child;
    sk_count(w->counts.x_inline_runs);
    sk_count(w->counts.x_dispatches);
    if (sk_unlikely(child->flags != 0))
        sk_san_acquire(child); /* a sibling may have spawned it */
    int result = sk_arch_call(child->fn, child->arg);
    if (sk_unlikely(child->flags != 0) && child->locals != NULL)
        sk_local_destroy(child);
    w = sk_current_worker();
    w->current = closer;
    if (sk_likely(is_plain(child, result, s))) {
        child->next = w->free_tasks;
        w->free_tasks = child;
        w->free_count++;
    } else {
        sk_task_finish(w, child, result);
    }
    s->own--;
    return w;
}

/* Returns how many it ran. */
static unsigned run_children(struct sk_scope *s, struct skua_task *closer)
{
    struct sk_worker *w = sk_current_worker();
    for (unsigned ran = 0;; ran++) {
        struct skua_task *child = take_child(w, s, closer);
        if (child == NULL)
            return ran;
        w = run_inline(w, s, closer, child);
        if (sk_unlikely(--w->budget <= 0 ||
                        (w->budget % SK_SCHED_CLOCK_TURN == 0 && sk_worker_slice_is_over(w)))) {
            sk_sched_give_way();
            w = sk_current_worker();
        }
    }
}

/* The closer timed out: the word counts for spawns again. False: the last child is just waking
 * it. */
static bool give_up(struct sk_scope *s)
{
    uint64_t word = sk_load_acquire(&s->x_word);
    do {
        if (is_last(word))
            return false;
    } while (!sk_cas_acq_rel(&s->x_word, &word, word - SK_SCOPE_WAITING + SK_SCOPE_BIAS));
    return true;
}

static void await_last(struct sk_scope *s)
{
    for (unsigned spins = 0; !sk_load_acquire(&s->x_last); spins++) /* SC4 */
        sk_lock_relax(spins);
}

int sk_scope_drain(struct sk_scope *s, skua_time dl)
{
    struct sk_wait wait;
    if ((uint64_t)s->own + sk_load_acquire(&s->x_word) == SK_SCOPE_BIAS) { /* SC2 */
        s->own = 0;
        sk_store_relaxed(&s->x_word, SK_SCOPE_BIAS);
        return 0;
    }
    int rc = sk_wait_begin(&wait, dl, SK_WAIT_NOCANCEL);
    if (rc < 0)
        return rc;
    s->closer = wait.task;
    sk_store_relaxed(&s->x_ticket, wait.ticket);
    sk_store_relaxed(&s->x_last, false);
    uint64_t add = (uint64_t)s->own - SK_SCOPE_BIAS + SK_SCOPE_WAITING;
    s->own = 0;
    if (is_last(sk_add_acq_rel(&s->x_word, add) + add)) { /* SC2 */
        (void)sk_wait_abandon(&wait);
        sk_store_relaxed(&s->x_word, SK_SCOPE_BIAS);
        return 0;
    }
    rc = sk_wait_park(&wait);
    if (rc < 0 && give_up(s))
        return rc;
    await_last(s);
    sk_store_relaxed(&s->x_word, SK_SCOPE_BIAS);
    return 0;
}

static int check_close(struct sk_scope *s, struct skua_task *self)
{
    if (self == NULL)
        return -EPERM;
    if (self->scopes == s)
        return 0;
    if (has_opened(self, s))
        return -EINVAL;
    return lives_inside(self, s) ? -EDEADLK : -EPERM;
}

static int outcome(const struct sk_scope *s)
{
    uint32_t flags = sk_load_relaxed(&s->x_flags);
    if ((flags & SK_SCOPE_SUCCEEDED) != 0)
        return 0;
    int failure = sk_load_relaxed(&s->x_failure);
    if (failure != 0)
        return failure;
    return (flags & SK_SCOPE_UNFINISHED) != 0 ? -ECANCELED : 0;
}

static void forget(struct sk_scope *s, struct skua_task *self)
{
    sk_cancel_unlink_scope(s);
    self->scopes = s->outer;
    if (sk_unlikely(sk_scope_is_cancelled(s)) && s->outer == NULL)
        sk_and_acq_rel(&self->x_cancel, (uint8_t)~SK_CANCEL_OWN);
    int16_t depth = s->outer != NULL ? s->outer->depth : 0;
    if (sk_unlikely(sk_load_relaxed(&self->x_shield) > depth))
        sk_store_relaxed(&self->x_shield, depth);
}

int skua_scope_close(skua_scope *scope, skua_time dl)
{
    struct sk_worker *w = sk_current_worker();
    struct sk_scope *s = sk_scope_of(scope);
    struct skua_task *self = w != NULL ? w->current : NULL;
    int rc = s == NULL ? -EINVAL : check_close(s, self);
    if (rc == 0)
        rc = sk_clock_check_deadline(dl);
    if (sk_unlikely(rc < 0))
        return rc;
    unsigned inlined = dl == SKUA_NEVER && may_inline(self) ? run_children(s, self) : 0;
    if (s->own != 0 || sk_load_acquire(&s->x_word) != SK_SCOPE_BIAS) { /* SC2 */
        if (sk_scope_drain(s, dl) < 0) {
            sk_sched_spend();
            return -EBUSY;
        }
    }
    sk_san_acquire(s);
    rc = outcome(s);
    forget(s, self);
    if (inlined == 0)
        sk_sched_spend(); /* who ran children has paid for each */
    return rc;
}

void skua_scope_cancel(skua_scope *scope)
{
    sk_san_release(&sk_san_cancel);
    if (scope != NULL) {
        sk_cancel_scope(sk_scope_of(scope), false);
        return;
    }
    if (sk_runtime_enter() < 0)
        return;
    sk_cancel_scope(&sk_runtime.root, false);
    sk_runtime_leave();
}
