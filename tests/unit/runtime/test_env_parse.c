/* tests/unit/runtime/test_env_parse.c - what a setting's text means. */
#include "runtime/base/env_parse.h"

#include "tests/support/skt.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

static const char *const colours[] = { "red", "green", "blue", NULL };
static const struct sk_env_row count = {
    .name = "N", .kind = SK_ENV_KIND_COUNT, .min = 2, .max = 99
};
static const struct sk_env_row bit = { .name = "B", .kind = SK_ENV_KIND_COUNT, .min = 0, .max = 1 };
static const struct sk_env_row automatic = {
    .name = "A", .kind = SK_ENV_KIND_AUTO, .min = 1, .max = 8
};
static const struct sk_env_row bytes = {
    .name = "S", .kind = SK_ENV_KIND_BYTES, .min = 1000, .max = 32 << 20
};
static const struct sk_env_row times = {
    .name = "T", .kind = SK_ENV_KIND_TIME, .min = 5, .max = 2000000000
};
static const struct sk_env_row any_time = {
    .name = "T", .kind = SK_ENV_KIND_TIME, .min = 0, .max = INT64_MAX
};
static const struct sk_env_row word = { .name = "W", .kind = SK_ENV_KIND_WORD, .words = colours };
static const struct sk_env_row list = {
    .name = "L", .kind = SK_ENV_KIND_LIST, .words = colours, .rivals = 1 | 4
};

/* Goal: every form that is promised means what it says. */
SKT_TEST(env_parse, accepts)
{
    static const struct {
        const struct sk_env_row *row;
        const char *text;
        int64_t value;
    } cases[] = {
        { &count, "2", 2 },
        { &count, "99", 99 },
        { &count, "007", 7 },
        { &bit, "0", 0 },
        { &automatic, "auto", 0 },
        { &automatic, "8", 8 },
        { &bytes, "1000", 1000 },
        { &bytes, "16K", 16384 },
        { &bytes, "32M", 32 << 20 },
        { &times, "5ns", 5 },
        { &times, "10us", 10000 },
        { &times, "3ms", 3000000 },
        { &times, "2s", 2000000000 },
        { &any_time, "9223372036854775807ns", INT64_MAX },
        { &any_time, "9223372036s", 9223372036000000000 },
        { &word, "red", 0 },
        { &word, "blue", 2 },
        { &list, "green", 2 },
        { &list, "blue,green", 6 },
        { &list, "red,red", 1 },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = -1;
        struct sk_env_fault fault;
        SKT_EQ(sk_env_parse(cases[i].row, cases[i].text, &value, &fault), 0);
        SKT_EQ(value, cases[i].value);
    }
}

/* Goal: every refusal says what is wrong and where, and leaves the value alone. */
SKT_TEST(env_parse, refuses)
{
    static const struct {
        const struct sk_env_row *row;
        const char *text, *what, *at;
    } cases[] = {
        { &count, "8x", "junk", "x" },
        { &count, "x8", "junk", "x8" },
        { &count, "+8", "junk", "+8" },
        { &count, "-", "junk", "-" },
        { &count, "8.5", "junk", ".5" },
        { &count, "8K", "junk", "K" },
        { &count, "auto", "junk", "auto" },
        { &count, "-8", "negative", NULL },
        { &count, "1", "too small", NULL },
        { &count, "100", "too large", NULL },
        { &count, "18446744073709551618", "too large", NULL },
        { &count, "99999999999999999999999x", "junk", "x" },
        { &count, " 8", "white space", " 8" },
        { &count, "8 ", "white space", " " },
        { &count, "8\n", "white space", "\n" },
        { &count, "0x10", "not a decimal number: junk", "x10" },
        { &automatic, "0", "too small", NULL },
        { &automatic, "AUTO", "junk", "AUTO" },
        { &automatic, "auto8", "junk", "auto8" },
        { &bytes, "16k", "junk", "k" },
        { &bytes, "16KB", "junk", "KB" },
        { &bytes, "1G", "junk", "G" },
        { &bytes, "999", "too small", NULL },
        { &bytes, "33M", "too large", NULL },
        { &bytes, "9007199254740993K", "too large", NULL },
        { &times, "200", "the unit is missing: ns, us, ms or s", NULL },
        { &times, "2m", "junk", "m" },
        { &times, "2 s", "white space", " s" },
        { &times, "4ns", "too small", NULL },
        { &times, "3s", "too large", NULL },
        { &any_time, "9223372037s", "too large", NULL },
        { &word, "Red", "unknown word", "Red" },
        { &word, "red,blue", "unknown word", "red,blue" },
        { &list, "grey", "unknown word", "grey" },
        { &list, "green,grey,red", "unknown word", "grey,red" },
        { &list, ",", "an empty word in the list", NULL },
        { &list, "red,", "an empty word in the list", NULL },
        { &list, "red,,green", "an empty word in the list", NULL },
        { &list, "red,green,blue", "these words contradict each other", NULL },
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t value = 4711;
        struct sk_env_fault fault = { NULL, NULL };
        SKT_EQ(sk_env_parse(cases[i].row, cases[i].text, &value, &fault), -EINVAL);
        SKT_EQ(value, 4711);
        SKT_STR_EQ(fault.what, cases[i].what);
        SKT_EQ(fault.at == NULL, cases[i].at == NULL);
        SKT_TRUE(!fault.at || strcmp(fault.at, cases[i].at) == 0);
    }
}

static bool prints(const struct sk_env_row *row, int64_t value, const char *text)
{
    char buf[SK_ENV_TEXT_BYTES];
    return strcmp(sk_env_parse_print(row, value, buf), text) == 0;
}

/* Goal: a value is shown in the form in which it may be set. */
SKT_TEST(env_parse, prints)
{
    SKT_TRUE(prints(&count, 42, "42"));
    SKT_TRUE(prints(&automatic, 0, "auto"));
    SKT_TRUE(prints(&automatic, 7, "7"));
    SKT_TRUE(prints(&bytes, 128 << 10, "128K"));
    SKT_TRUE(prints(&bytes, 2 << 20, "2M"));
    SKT_TRUE(prints(&bytes, 1500, "1500"));
    SKT_TRUE(prints(&times, 1000000000, "1s"));
    SKT_TRUE(prints(&times, 1500000, "1500us"));
    SKT_TRUE(prints(&times, 7, "7ns"));
    SKT_TRUE(prints(&word, 1, "green"));
    SKT_TRUE(prints(&list, 0, "none"));
    SKT_TRUE(prints(&list, 6, "green,blue"));
}

static bool expects(const struct sk_env_row *row, const char *text)
{
    char buf[SK_ENV_TEXT_BYTES];
    return strcmp(sk_env_parse_expect(row, buf), text) == 0;
}

SKT_TEST(env_parse, expects)
{
    SKT_TRUE(expects(&count, "2..99"));
    SKT_TRUE(expects(&bit, "0 or 1"));
    SKT_TRUE(expects(&automatic, "'auto' or 1..8"));
    SKT_TRUE(expects(&bytes, "1000..32M"));
    SKT_TRUE(expects(&times, "5ns..2s"));
    SKT_TRUE(expects(&word, "one of red, green, blue"));
    SKT_TRUE(expects(&list, "a comma list of red, green, blue"));
}

/* Goal: a slip of the finger costs 1 each, and names of any length are safe to compare. */
SKT_TEST(env_parse, distance)
{
    static const char endless[] =
        "SKUA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    SKT_EQ(sk_env_parse_distance("SKUA_LOG", "SKUA_LOG"), 0);
    SKT_EQ(sk_env_parse_distance("SKUA_LGO", "SKUA_LOG"), 1);
    SKT_EQ(sk_env_parse_distance("SKUA_LG", "SKUA_LOG"), 1);
    SKT_EQ(sk_env_parse_distance("SKUA_LOGS", "SKUA_LOG"), 1);
    SKT_EQ(sk_env_parse_distance("SKUA_LAG", "SKUA_LOG"), 1);
    SKT_EQ(sk_env_parse_distance("", "abc"), 3);
    SKT_TRUE(sk_env_parse_distance(endless, "SKUA_LOG") > 8);
    SKT_TRUE(sk_env_parse_distance("SKUA_LOG", endless) > 8);
}
