/* runtime/base/env_parse.h - what a setting's text means.
 * Owns:    the grammar of the SKUA_* variables and the words of its refusals.
 * Threads: pure functions of their arguments.
 * env.c holds the table of settings; here is what every row of one kind has in common. */
#ifndef SK_RUNTIME_BASE_ENV_PARSE_H
#define SK_RUNTIME_BASE_ENV_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sk_env_kind {
    SK_ENV_KIND_COUNT, /* decimal digits */
    SK_ENV_KIND_AUTO,  /* the same, or 'auto', which is 0 */
    SK_ENV_KIND_BYTES, /* digits, then nothing, K or M */
    SK_ENV_KIND_TIME,  /* digits, then ns, us, ms or s; the value is in ns */
    SK_ENV_KIND_WORD,  /* one of words; the value is its index */
    SK_ENV_KIND_LIST,  /* words between commas; the value has bit 1 << index for each */
};

/* One setting. In env.c's table each variable has one row, and nothing about it is written a second
 * time. */
struct sk_env_row {
    const char *name; /* SKUA_WORKERS */
    const char *doc;  /* one sentence for docs/TUNING.md */
    enum sk_env_kind kind;
    int64_t min, max;         /* of the kinds with digits */
    int64_t fallback;         /* the default */
    const char *const *words; /* of WORD and LIST; ends with NULL */
    int64_t rivals;           /* LIST: bits of which only one may be set */
    size_t offset, width;     /* in struct sk_settings */
    const char *field;        /* of skua_config; NULL: the program has no say */
    size_t field_offset, field_width;
};

/* Why a text was refused: `what`, then, if `at` is not NULL, the rest of the text from where it
 * went wrong. */
struct sk_env_fault {
    const char *what;
    const char *at;
};

/* 0 and *value, or -EINVAL and *fault. The text is not empty: an empty variable counts as unset. */
int sk_env_parse(const struct sk_env_row *row, const char *text, int64_t *value,
                 struct sk_env_fault *fault);

/* Whether a number may be the value of this row. */
bool sk_env_parse_in_range(const struct sk_env_row *row, int64_t value);

/* Enough for what the two functions below write for any row. */
#define SK_ENV_TEXT_BYTES 96

/* A value as a user would write it: 128K, 200us, warn, auto; an empty list is "none". Returns
 * buf. */
char *sk_env_parse_print(const struct sk_env_row *row, int64_t value, char buf[SK_ENV_TEXT_BYTES]);

/* What may be written: "'auto' or 1..1024", "one of error, warn, info, debug". Returns buf. */
char *sk_env_parse_expect(const struct sk_env_row *row, char buf[SK_ENV_TEXT_BYTES]);

/* Number of insertions, deletions, replacements and swaps of neighbours that make b of a. */
unsigned sk_env_parse_distance(const char *a, const char *b);

#endif
