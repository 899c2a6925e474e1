/* tests/include/test_headers.c - that the headers compile alone is shown by the build; here, that C
 * and C++ agree about what they declare. */
#include "tests/include/use.h"
#include "tests/support/skt.h"

#include <skua/skua.h>

static void check(const struct use *u)
{
    struct use first;
    use_gnu11(&first);
    for (int i = 0; i < USE_SIZES; i++)
        SKT_EQ(u->sizes[i], first.sizes[i]);
    for (int i = 0; i < 5; i++)
        SKT_EQ(u->inits[i], u->sizes[i]);
    SKT_TRUE(u->rest_is_zero);
    SKT_TRUE(u->errno_works);
}

/* Goal: structures and their initialisers are the same in each dialect. */
SKT_TEST(headers, dialects_agree)
{
    struct use u;
    use_gnu11(&u);
    check(&u);
    use_posix(&u);
    check(&u);
    use_cxx17(&u);
    check(&u);
}

/* Goal: what is fixed about sizes holds: programs were compiled against it. */
SKT_TEST(headers, fixed_sizes)
{
    SKT_EQ(sizeof(skua_scope), 16 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_time), sizeof(int64_t));
    SKT_EQ(sizeof(skua_mutex), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_rwlock), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_cond), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_sem), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_barrier), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_once_flag), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_event), 4 * sizeof(uint64_t));
    SKT_EQ(sizeof(skua_wg), 4 * sizeof(uint64_t));
    SKT_EQ(offsetof(skua_config, size), 0);
    SKT_EQ(offsetof(skua_task_opts, size), 0);
    SKT_EQ(offsetof(skua_net_opts, size), 0);
    SKT_EQ(offsetof(skua_serve_opts, size), 0);
    SKT_EQ(offsetof(skua_stats_view, size), 0);
}

/* Goal: SKUA_NO_ERRNO_OVERRIDE leaves the C library's errno, which is the same variable. */
SKT_TEST(headers, own_errno)
{
    SKT_TRUE(own_errno_gnu11());
    SKT_TRUE(own_errno_posix());
    SKT_TRUE(own_errno_cxx17());
}
