/* runtime/base/assert.h - checks for skua's own bugs; the world's errors are return values.
 * SK_CHECK is always on, sk_assert in debug builds (SK_DEBUG), sk_assert_slow walks whole
 * structures and is on only with SK_DEBUG_SLOW. A failed check prints one line and aborts: going on
 * would spread the damage. */
#ifndef SK_RUNTIME_BASE_ASSERT_H
#define SK_RUNTIME_BASE_ASSERT_H

#include <stdnoreturn.h>

/* Prints `skua: file:line: text` and aborts. */
noreturn void sk_panic(const char *file, int line, const char *text);

#define SK_CHECK(cond) ((cond) ? (void)0 : sk_panic(__FILE__, __LINE__, #cond))

#ifdef SK_DEBUG
#define sk_assert(cond) SK_CHECK(cond)
#else
#define sk_assert(cond) ((void)sizeof((cond) ? 1 : 0))
#endif

#ifdef SK_DEBUG_SLOW
#define sk_assert_slow(cond) SK_CHECK(cond)
#else
#define sk_assert_slow(cond) ((void)sizeof((cond) ? 1 : 0))
#endif

#define sk_likely(cond)   __builtin_expect(!!(cond), 1)
#define sk_unlikely(cond) __builtin_expect(!!(cond), 0)

#endif
