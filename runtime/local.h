/* runtime/local.h - what few coroutines have: a name, coroutine-local values, fibers. */
#ifndef SK_RUNTIME_LOCAL_H
#define SK_RUNTIME_LOCAL_H

struct skua_task;
struct sk_fiber_home;

/* The task itself, or its spawner before it can run. A long name is cut, NULL takes it away. 0 or
 * -ENOMEM. */
int sk_local_set_name(struct skua_task *task, const char *name);
/* "unnamed" when it has none. */
const char *sk_local_name(const struct skua_task *task);
/* The task itself. The place for what its fibers belong to; NULL: no memory. */
struct sk_fiber_home **sk_local_fibers(struct skua_task *task);
/* The same, without making one; NULL: none. */
struct sk_fiber_home *sk_local_fibers_of(const struct skua_task *task);
/* The task itself, when its function has returned: calls the destructors and frees all, its fibers
 * too. May suspend if the destructors do. */
void sk_local_destroy(struct skua_task *task);

#endif
