/* runtime/base/env_parse.c - what a setting's text means. */
#include "runtime/base/env_parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct unit {
    const char *suffix;
    int64_t scale;
};

/* From the largest to the smallest: printing takes the first that divides the value. */
static const struct unit bytes_units[] = {{"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit time_units[] = {
    {"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}, {NULL, 0}};
static const struct unit plain_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(const struct sk_env_row *row)
{
    switch (row->kind) {
    case SK_ENV_KIND_BYTES:
        return bytes_units;
    case SK_ENV_KIND_TIME:
        return time_units;
    case SK_ENV_KIND_COUNT:
    case SK_ENV_KIND_AUTO:
    case SK_ENV_KIND_WORD:
    case SK_ENV_KIND_LIST:
        break;
    }
    return plain_units;
}

static int refuse(struct sk_env_fault *fault, const char *what, const char *at)
{
    fault->what = what;
    fault->at = at;
    return -EINVAL;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Own digits rather than strtol: that one skips white space, takes signs and follows the locale. */
static bool read_digits(const char **text, int64_t *value)
{
    int64_t n = 0;
    bool fits = true;
    for (; is_digit(**text); ++*text) {
        int64_t digit = **text - '0';
        if (fits && n <= (INT64_MAX - digit) / 10)
            n = n * 10 + digit;
        else
            fits = false; /* read on: junk behind it is the clearer complaint */
    }
    *value = n;
    return fits;
}

bool sk_env_parse_in_range(const struct sk_env_row *row, int64_t value)
{
    return value >= row->min && value <= row->max;
}

static int parse_number(const struct sk_env_row *row, const char *text, int64_t *value,
                        struct sk_env_fault *fault)
{
    const char *p = text;
    if (*p == '-' && is_digit(p[1]))
        return refuse(fault, "negative", NULL);
    if (!is_digit(*p))
        return refuse(fault, "junk", p);
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        return refuse(fault, "not a decimal number: junk", p + 1);

    int64_t n;
    bool fits = read_digits(&p, &n);
    const struct unit *unit = units_of(row);
    while (unit->suffix && strcmp(p, unit->suffix) != 0)
        unit++;
    if (!unit->suffix) {
        if (*p == '\0')
            return refuse(fault, "the unit is missing: ns, us, ms or s", NULL);
        return refuse(fault, "junk", p);
    }
    if (!fits || n > INT64_MAX / unit->scale || n * unit->scale > row->max)
        return refuse(fault, "too large", NULL);
    if (n * unit->scale < row->min)
        return refuse(fault, "too small", NULL);
    *value = n * unit->scale;
    return 0;
}

/* Index of the word that stands in text[0..len), or -1. */
static int find_word(const struct sk_env_row *row, const char *text, size_t len)
{
    for (int i = 0; row->words[i]; i++) {
        if (strlen(row->words[i]) == len && memcmp(row->words[i], text, len) == 0)
            return i;
    }
    return -1;
}

static int parse_list(const struct sk_env_row *row, const char *text, int64_t *value,
                      struct sk_env_fault *fault)
{
    int64_t bits = 0;
    const char *p = text;
    for (;;) {
        size_t len = strcspn(p, ",");
        if (len == 0)
            return refuse(fault, "an empty word in the list", NULL);
        int i = find_word(row, p, len);
        if (i < 0)
            return refuse(fault, "unknown word", p);
        bits |= INT64_C(1) << i;
        if (p[len] == '\0')
            break;
        p += len + 1;
    }
    int64_t both = bits & row->rivals;
    if (both & (both - 1))
        return refuse(fault, "these words contradict each other", NULL);
    *value = bits;
    return 0;
}

int sk_env_parse(const struct sk_env_row *row, const char *text, int64_t *value,
                 struct sk_env_fault *fault)
{
    const char *space = strpbrk(text, " \t\r\n\v\f");
    if (space)
        return refuse(fault, "white space", space);
    if (row->kind == SK_ENV_KIND_LIST)
        return parse_list(row, text, value, fault);
    if (row->kind == SK_ENV_KIND_WORD) {
        int i = find_word(row, text, strlen(text));
        if (i < 0)
            return refuse(fault, "unknown word", text);
        *value = i;
        return 0;
    }
    if (row->kind == SK_ENV_KIND_AUTO && strcmp(text, "auto") == 0) {
        *value = 0;
        return 0;
    }
    return parse_number(row, text, value, fault);
}

/* Appends to a text that is always cut in time and always ended. */
static void append(char buf[SK_ENV_TEXT_BYTES], const char *text)
{
    size_t len = strlen(buf);
    snprintf(buf + len, SK_ENV_TEXT_BYTES - len, "%s", text);
}

static void append_number(const struct sk_env_row *row, int64_t value, char buf[SK_ENV_TEXT_BYTES])
{
    const struct unit *unit = units_of(row);
    while (value % unit->scale != 0)
        unit++; /* ends at the latest at scale 1 */
    size_t len = strlen(buf);
    snprintf(buf + len, SK_ENV_TEXT_BYTES - len, "%" PRId64 "%s", value / unit->scale,
             unit->suffix);
}

/* The words whose bit is set. */
static void append_words(const struct sk_env_row *row, int64_t bits, const char *separator,
                         char buf[SK_ENV_TEXT_BYTES])
{
    bool first = true;
    for (int i = 0; row->words[i]; i++) {
        if (!(bits & (INT64_C(1) << i)))
            continue;
        if (!first)
            append(buf, separator);
        append(buf, row->words[i]);
        first = false;
    }
}

char *sk_env_parse_print(const struct sk_env_row *row, int64_t value, char buf[SK_ENV_TEXT_BYTES])
{
    buf[0] = '\0';
    if (row->kind == SK_ENV_KIND_AUTO && value == 0)
        append(buf, "auto");
    else if (row->kind == SK_ENV_KIND_WORD)
        append(buf, row->words[value]);
    else if (row->kind == SK_ENV_KIND_LIST && value == 0)
        append(buf, "none");
    else if (row->kind == SK_ENV_KIND_LIST)
        append_words(row, value, ",", buf);
    else
        append_number(row, value, buf);
    return buf;
}

char *sk_env_parse_expect(const struct sk_env_row *row, char buf[SK_ENV_TEXT_BYTES])
{
    buf[0] = '\0';
    if (row->kind == SK_ENV_KIND_WORD || row->kind == SK_ENV_KIND_LIST) {
        append(buf, row->kind == SK_ENV_KIND_WORD ? "one of " : "a comma list of ");
        append_words(row, -1, ", ", buf);
        return buf;
    }
    if (row->kind == SK_ENV_KIND_AUTO)
        append(buf, "'auto' or ");
    append_number(row, row->min, buf);
    append(buf, row->max - row->min == 1 ? " or " : "..");
    append_number(row, row->max, buf);
    return buf;
}

static unsigned min2(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Longer names are compared by their beginnings: far above every known one, so their order of
 * nearness stands. */
#define DISTANCE_CHARS 40

unsigned sk_env_parse_distance(const char *a, const char *b)
{
    unsigned d[DISTANCE_CHARS + 1][DISTANCE_CHARS + 1]; /* d[i][j]: from a[0..i) to b[0..j) */
    size_t la = strnlen(a, DISTANCE_CHARS), lb = strnlen(b, DISTANCE_CHARS);
    for (size_t i = 0; i <= la; i++)
        d[i][0] = (unsigned)i;
    for (size_t j = 0; j <= lb; j++)
        d[0][j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            best = min2(best, min2(d[i - 1][j], d[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = min2(best, d[i - 2][j - 2] + 1);
            d[i][j] = best;
        }
    }
    return d[la][lb];
}
