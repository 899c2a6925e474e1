/* runtime/local.h - what few coroutines have: a name, and coroutine-local values. */
#ifndef SK_RUNTIME_LOCAL_H
#define SK_RUNTIME_LOCAL_H

struct skua_task;

/* The task itself, or its spawner before it can run. A long name is cut, NULL takes it away. 0 or
 * -ENOMEM. */
int sk_local_set_name(struct skua_task *task, const char *name);
/* "unnamed" when it has none. */
const char *sk_local_name(const struct skua_task *task);
/* The task itself, when its function has returned: calls the destructors and frees all. May suspend
 * if they do. */
void sk_local_destroy(struct skua_task *task);

#endif
