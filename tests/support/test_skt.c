/* tests/support/test_skt.c - what fails must say so: a harness that is blind passes everything. */
#include "tests/support/skt.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs fn in a child whose standard output is the pipe, and returns its exit code. */
struct redirect {
    void (*fn)(void);
};

static void to_stderr(void *arg)
{
    const struct redirect *r = arg;
    dup2(STDERR_FILENO, STDOUT_FILENO);
    r->fn();
}

static int child_exit(void (*fn)(void), char *out, size_t size)
{
    struct redirect r = {fn};
    int status = skt_in_child(to_stderr, &r, out, size);
    SKT_TRUE(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void unequal(void)
{
    SKT_EQ(-5, 7u);
}

static void names_errno(void)
{
    SKT_EQ(-110, 0);
}

static void untrue(void)
{
    SKT_TRUE(1 > 2);
}

static void unlike(void)
{
    SKT_STR_EQ("left", "right");
}

static void unlike_bytes(void)
{
    SKT_MEM_EQ("abc", "abd", 3);
}

/* Goal: a failed check names file, line and both values, and ends the process with 1. */
SKT_TEST(skt, failures_are_told)
{
    char out[2048];
    SKT_EQ(child_exit(unequal, out, sizeof(out)), 1);
    SKT_STR_HAS(out, "FAIL skt.failures_are_told");
    SKT_STR_HAS(out, "test_skt.c:");
    SKT_STR_HAS(out, "left:  -5");
    SKT_STR_HAS(out, "right: 7");
    SKT_EQ(child_exit(names_errno, out, sizeof(out)), 1);
    SKT_STR_HAS(out, "-ETIMEDOUT");
    SKT_EQ(child_exit(untrue, out, sizeof(out)), 1);
    SKT_STR_HAS(out, "1 > 2 is false");
    SKT_EQ(child_exit(unlike, out, sizeof(out)), 1);
    SKT_STR_HAS(out, "\"left\"");
    SKT_EQ(child_exit(unlike_bytes, out, sizeof(out)), 1);
    SKT_STR_HAS(out, "byte 2 of 3");
}

/* Goal: comparisons go by value, not by C's conversions. */
SKT_TEST(skt, compares_by_value)
{
    SKT_LT(-1, 1u);
    SKT_GT(UINT64_MAX, -1);
    SKT_NE(UINT64_MAX, -1);
    SKT_EQ((short)-3, (int64_t)-3);
    SKT_LE(INT64_MIN, INT64_MAX);
    SKT_GE((size_t)5, 5);
    SKT_TRUE(true);
    SKT_PTR_NE("a", NULL);
    SKT_BETWEEN(2, 1, 3);
}

/* Goal: the scale multiplies, and never makes a count zero. */
SKT_TEST(skt, scale)
{
    char *old = getenv("SKT_SCALE");
    char *kept = old ? strdup(old) : NULL;
    setenv("SKT_SCALE", "0.1", 1);
    SKT_EQ(skt_scaled(1000), 100);
    SKT_EQ(skt_scaled(3), 1);
    unsetenv("SKT_SCALE");
    SKT_EQ(skt_scaled(1000), 1000);
    if (kept)
        setenv("SKT_SCALE", kept, 1);
    free(kept);
}

/* Goal: the counts that the leak check relies on see a descriptor. */
SKT_TEST(skt, sees_descriptors)
{
    int before = skt_fd_count();
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    SKT_GE(fd, 0);
    SKT_EQ(skt_fd_count(), before + 1);
    close(fd);
    SKT_EQ(skt_fd_count(), before);
    SKT_EQ(skt_thread_count() >= 1, 1);
}

/* Goal: a skipped case is counted as skipped. */
SKT_TEST(skt, skips)
{
    SKT_SKIP("this message is what a skipped test looks like");
}
