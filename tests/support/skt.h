/* tests/support/skt.h - the harness of all tests written in C.
 * An executable holds the cases of one file. `SKT_TEST(group, name) { ... }` registers one; main is
 * in skt.c. Called without arguments it runs all cases, in the order of the file; with arguments
 * those whose "group.name" matches one of them (as a shell pattern, or in part); with --list it
 * prints their names.
 * A check that fails prints file, line and both values, and ends the process: what a failed test
 * left behind would only make the next one lie. Checks may stand in any thread and any coroutine.
 * After each case the harness looks for descriptors and threads that were left over.
 * Exit code: 0 all passed, 1 one failed, 77 all of them were skipped. */
#ifndef SKT_H
#define SKT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct skt_case {
    const char *group;
    const char *name;
    const char *file;
    int line;
    void (*fn)(void);
    struct skt_case *next;
};

void skt_register(struct skt_case *c);

#define SKT_TEST(group_, name_)                                                   \
    static void skt_fn_##group_##_##name_(void);                                  \
    __attribute__((constructor)) static void skt_reg_##group_##_##name_(void)     \
    {                                                                             \
        static struct skt_case self = {                                           \
            #group_, #name_, __FILE__, __LINE__, skt_fn_##group_##_##name_, NULL, \
        };                                                                        \
        skt_register(&self);                                                      \
    }                                                                             \
    static void skt_fn_##group_##_##name_(void)

/* Integers of any width and sign; both are printed in decimal and in hexadecimal. */
#define SKT_EQ(a, b) SKT_CMP_(a, ==, b)
#define SKT_NE(a, b) SKT_CMP_(a, !=, b)
#define SKT_LT(a, b) SKT_CMP_(a, <, b)
#define SKT_LE(a, b) SKT_CMP_(a, <=, b)
#define SKT_GT(a, b) SKT_CMP_(a, >, b)
#define SKT_GE(a, b) SKT_CMP_(a, >=, b)

#define SKT_TRUE(cond)  SKT_BOOL_(cond, true)
#define SKT_FALSE(cond) SKT_BOOL_(cond, false)

#define SKT_PTR_EQ(a, b) SKT_PTR_(a, ==, b)
#define SKT_PTR_NE(a, b) SKT_PTR_(a, !=, b)
#define SKT_NULL(a)      SKT_PTR_(a, ==, (void *)NULL)
#define SKT_NOT_NULL(a)  SKT_PTR_(a, !=, (void *)NULL)

/* Strings; NULL equals only NULL. */
#define SKT_STR_EQ(a, b) skt_check_str(a, b, #a, #b, __FILE__, __LINE__)
/* The first string contains the second. */
#define SKT_STR_HAS(hay, part) skt_check_has(hay, part, #hay, __FILE__, __LINE__)
/* n bytes; prints the first that differs. */
#define SKT_MEM_EQ(a, b, n) skt_check_mem(a, b, n, #a, #b, __FILE__, __LINE__)

/* A number within [low, high], as doubles, for times and rates. */
#define SKT_BETWEEN(x, low, high) \
    skt_check_between((double)(x), (double)(low), (double)(high), #x, __FILE__, __LINE__)

/* Fails with a message of one's own. */
#define SKT_FAIL(...) skt_fail(__FILE__, __LINE__, __VA_ARGS__)

/* Ends this case as skipped; only in the body of SKT_TEST itself, in the thread of main. */
#define SKT_SKIP(...)          \
    do {                       \
        skt_skip(__VA_ARGS__); \
        return;                \
    } while (0)

/* 1 by default, less where a run has to be short (SKT_SCALE in the environment). */
double skt_scale(void);
/* n times the scale, at least 1. */
uint64_t skt_scaled(uint64_t n);
/* False ten seconds after begin_ns, as skt_now_ns gave it: what is done very often, to find what is rare,
 * then ends, however few times that was. So no test depends on the speed of the machine. */
bool skt_has_time(int64_t begin_ns);

/* Open descriptors and live threads of this process. */
int skt_fd_count(void);
int skt_thread_count(void);
/* So many threads are left: one that was joined is seen in /proc for a while. */
#define SKT_THREADS(want) skt_check_threads(want, __FILE__, __LINE__)

/* Monotonic nanoseconds, and CPU nanoseconds of the whole process. */
int64_t skt_now_ns(void);
int64_t skt_cpu_ns(void);
/* How long its threads have waited for a CPU: on a busy machine what wants to run all the time gets
 * little, and is found by the time in which it did not wait. */
int64_t skt_delay_ns(void);

/* Whether this executable was built with a sanitizer: times and memory mean little then. */
bool skt_sanitized(void);
/* Whether it was built with ThreadSanitizer. */
bool skt_tsan(void);

/* Runs fn in a forked child with its standard error in a pipe. Returns the wait status, and what the
 * child wrote in out, ended by a zero byte. For what ends a process. */
int skt_in_child(void (*fn)(void *), void *arg, char *out, size_t out_size);

/* What the macros call. */
struct skt_int {
    uint64_t bits;
    bool is_negative;
};

_Noreturn void skt_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void skt_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void skt_fail_ints(struct skt_int a, struct skt_int b, const char *expr, const char *file,
                             int line);
void skt_check_str(const char *a, const char *b, const char *ea, const char *eb, const char *file,
                   int line);
void skt_check_has(const char *hay, const char *part, const char *expr, const char *file, int line);
void skt_check_mem(const void *a, const void *b, size_t n, const char *ea, const char *eb,
                   const char *file, int line);
void skt_check_threads(int want, const char *file, int line);
void skt_check_between(double x, double low, double high, const char *expr, const char *file,
                       int line);

#define SKT_INT_(x) ((struct skt_int){(uint64_t)(x), (x) < 1 && (x) != 0})

/* Compares by value whatever the types: -1 is less than 1u here. */
static inline int skt_order(struct skt_int a, struct skt_int b)
{
    if (a.is_negative != b.is_negative)
        return a.is_negative ? -1 : 1;
    return a.bits < b.bits ? -1 : a.bits > b.bits;
}

#define SKT_CMP_(a, op, b)                                                        \
    do {                                                                          \
        __auto_type skt_a_ = (a);                                                 \
        __auto_type skt_b_ = (b);                                                 \
        struct skt_int skt_x_ = SKT_INT_(skt_a_), skt_y_ = SKT_INT_(skt_b_);      \
        if (!(skt_order(skt_x_, skt_y_) op 0))                                    \
            skt_fail_ints(skt_x_, skt_y_, #a " " #op " " #b, __FILE__, __LINE__); \
    } while (0)

#define SKT_BOOL_(cond, want)                                                           \
    do {                                                                                \
        if ((bool)(cond) != (want))                                                     \
            skt_fail(__FILE__, __LINE__, "%s is %s", #cond, (want) ? "false" : "true"); \
    } while (0)

#define SKT_PTR_(a, op, b)                                                                    \
    do {                                                                                      \
        const void *skt_a_ = (const void *)(a), *skt_b_ = (const void *)(b);                  \
        if (!(skt_a_ op skt_b_))                                                              \
            skt_fail(__FILE__, __LINE__, "%s %s %s: %p and %p", #a, #op, #b, skt_a_, skt_b_); \
    } while (0)

#endif
