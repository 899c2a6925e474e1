/* runtime/base/env.c - the settings of a runtime. */
#include "runtime/base/env.h"

#include "runtime/base/env_parse.h"
#include "runtime/base/log.h"
#include "runtime/base/sys.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX_WORKERS       1024
#define MAX_BLOCK_THREADS 4096
/* They sleep most of the time. */
#define BLOCK_THREADS_PER_CPU 4

static const char *const chaos_words[] = {"migrate", "inline", "noinline", NULL};
static const char *const log_words[] = {"error", "warn", "info", "debug", NULL};
static const char *const io_words[] = {"auto", "uring", "epoll", NULL};

/* The words' places are their values. */
static_assert(SK_CHAOS_MIGRATE == 1 << 0 && SK_CHAOS_INLINE == 1 << 1 &&
                  SK_CHAOS_NOINLINE == 1 << 2,
              "chaos_words");
static_assert(SK_LOG_ERROR == 0 && SK_LOG_WARN == 1 && SK_LOG_INFO == 2 && SK_LOG_DEBUG == 3,
              "log_words");
static_assert(SK_IO_AUTO == 0 && SK_IO_URING == 1 && SK_IO_EPOLL == 2, "io_words");

#define SETTING(member)                             \
    .offset = offsetof(struct sk_settings, member), \
    .width = sizeof(((struct sk_settings *)0)->member)
#define FIELD(member)                                                \
    .field = #member, .field_offset = offsetof(skua_config, member), \
    .field_width = sizeof(((skua_config *)0)->member)

/* The one table. Whoever changes it brings docs/TUNING.md up to date with ci/tuning. */
/* clang-format off */
static const struct sk_env_row rows[] = {
    [SK_ENV_WORKERS] = {
        .name = "SKUA_WORKERS", .kind = SK_ENV_KIND_AUTO, .min = 1, .max = MAX_WORKERS,
        SETTING(workers), FIELD(workers),
        .doc = "Threads that run coroutines; 'auto' is the smaller of the CPU affinity and the "
               "cgroup's CPU quota rounded up." },
    [SK_ENV_STACK_SIZE] = {
        .name = "SKUA_STACK_SIZE", .kind = SK_ENV_KIND_BYTES, .min = 16 << 10, .max = 32 << 20,
        .fallback = 128 << 10, SETTING(stack_bytes), FIELD(stack_size),
        .doc = "Stack that a coroutine, a fiber or a generator is promised, in bytes (suffixes K and "
               "M); it takes twice as much address space, below 128K 64K more, and memory only where it "
               "is touched." },
    [SK_ENV_RING_ENTRIES] = {
        .name = "SKUA_RING_ENTRIES", .kind = SK_ENV_KIND_COUNT, .min = 4, .max = 32768,
        .fallback = 256, SETTING(ring_entries), FIELD(ring_entries),
        .doc = "Submission entries of each worker's io_uring; the kernel rounds up to a power of "
               "two." },
    [SK_ENV_BATCH] = {
        .name = "SKUA_BATCH", .kind = SK_ENV_KIND_COUNT, .min = 1, .max = 65536, .fallback = 64,
        SETTING(batch), FIELD(batch),
        .doc = "Dispatches after which a worker looks at I/O and timers." },
    [SK_ENV_SLICE] = {
        .name = "SKUA_SLICE", .kind = SK_ENV_KIND_TIME, .min = 10000, .max = 1000000000,
        .fallback = 200000, SETTING(slice_ns), FIELD(slice_ns),
        .doc = "Time after which a worker looks at I/O and timers although the batch is not spent "
               "(a unit is required: ns, us, ms or s)." },
    [SK_ENV_BLOCK_THREADS] = {
        .name = "SKUA_BLOCK_THREADS", .kind = SK_ENV_KIND_AUTO, .min = 1,
        .max = MAX_BLOCK_THREADS, SETTING(block_threads), FIELD(block_threads),
        .doc = "Threads that run what skua_block is given, at most, and as many for reading, "
               "writing and closing files; 'auto' is four for each CPU of the affinity and "
               "the cgroup's quota." },
    [SK_ENV_BLOCK_IDLE] = {
        .name = "SKUA_BLOCK_IDLE", .kind = SK_ENV_KIND_TIME, .min = 1000000,
        .max = INT64_C(86400000000000), .fallback = INT64_C(10000000000), SETTING(block_idle_ns),
        FIELD(block_idle_ns),
        .doc = "Time after which a thread of skua_block that has nothing to do leaves (a unit is "
               "required: ns, us, ms or s)." },
    [SK_ENV_CHAOS] = {
        .name = "SKUA_CHAOS", .kind = SK_ENV_KIND_LIST, .words = chaos_words,
        .rivals = SK_CHAOS_INLINE | SK_CHAOS_NOINLINE, SETTING(chaos),
        .doc = "For tests: moves a coroutine to another worker at every suspension (migrate), runs "
               "children on their closer's stack whenever that is allowed (inline) or never "
               "(noinline); inline and noinline exclude each other." },
    [SK_ENV_LOG] = {
        .name = "SKUA_LOG", .kind = SK_ENV_KIND_WORD, .words = log_words, .fallback = SK_LOG_WARN,
        SETTING(log),
        .doc = "The least urgent lines that still go to standard error." },
    [SK_ENV_IO] = {
        .name = "SKUA_IO", .kind = SK_ENV_KIND_WORD, .words = io_words, .fallback = SK_IO_AUTO,
        SETTING(io),
        .doc = "The driver; auto and uring are io_uring, and epoll is not supported: the start "
               "fails with -ENOTSUP." },
    [SK_ENV_SHOW] = {
        .name = "SKUA_SHOW", .kind = SK_ENV_KIND_COUNT, .min = 0, .max = 1, .fallback = 0,
        SETTING(show),
        .doc = "With 1 the start prints every setting and where it came from." },
};
/* clang-format on */
static_assert(sizeof(rows) / sizeof(rows[0]) == SK_ENV_ROWS, "one row per enum sk_env_id");

/* Numbers of either width, by address: the rows name members of different types. */
static int64_t load_number(const void *base, size_t offset, size_t width)
{
    const unsigned char *at = (const unsigned char *)base + offset;
    if (width == sizeof(unsigned)) {
        unsigned n;
        memcpy(&n, at, sizeof(n));
        return n;
    }
    int64_t n;
    memcpy(&n, at, sizeof(n));
    return n;
}

static void store_number(void *base, size_t offset, size_t width, int64_t value)
{
    unsigned char *at = (unsigned char *)base + offset;
    unsigned narrow = (unsigned)value; /* every row's range fits its member */
    if (width == sizeof(narrow))
        memcpy(at, &narrow, sizeof(narrow));
    else
        memcpy(at, &value, sizeof(value));
}

/* ---- the program's skua_config ---- */

/* The first version ended with slice_ns. A program that was built against it stays welcome when
 * fields are added. */
#define CONFIG_FIRST_BYTES (offsetof(skua_config, slice_ns) + sizeof(int64_t))
/* No skua_config will be as large as this; a size field beyond it was never set, and is not
 * followed. */
#define CONFIG_MAX_BYTES 4096

static bool all_zero(const unsigned char *p, size_t n)
{
    while (n > 0 && p[n - 1] == 0)
        n--;
    return n == 0;
}

static int copy_config(skua_config *full, const skua_config *cfg)
{
    size_t size = cfg->size;
    if (size < CONFIG_FIRST_BYTES || size > CONFIG_MAX_BYTES) {
        sk_log(SK_LOG_ERROR, "skua_config.size=%zu: expected %zu, as SKUA_CONFIG_INIT sets it",
               size, sizeof(*cfg));
        return -EINVAL;
    }
    if (size > sizeof(*full)) {
        if (!all_zero((const unsigned char *)cfg + sizeof(*full), size - sizeof(*full))) {
            sk_log(SK_LOG_ERROR,
                   "skua_config.size=%zu: the program sets fields that this version of skua, which "
                   "knows %zu bytes, does not have",
                   size, sizeof(*full));
            return -EINVAL;
        }
        size = sizeof(*full);
    }
    memset(full, 0, sizeof(*full));
    memcpy(full, cfg, size);
    if (full->flags != 0) {
        sk_log(SK_LOG_ERROR, "skua_config.flags=%#x: expected 0 (no flag is defined)", full->flags);
        return -EINVAL;
    }
    return 0;
}

/* 1 if the program set this row, 0 if it left the default, -EINVAL after a line. */
static int from_program(const struct sk_env_row *row, const skua_config *cfg, int64_t *value)
{
    if (!row->field)
        return 0;
    int64_t n = load_number(cfg, row->field_offset, row->field_width);
    if (n == 0)
        return 0;
    if (sk_env_parse_in_range(row, n)) {
        *value = n;
        return 1;
    }
    char number[24], fallback[SK_ENV_TEXT_BYTES], low[SK_ENV_TEXT_BYTES], high[SK_ENV_TEXT_BYTES];
    if (row->kind == SK_ENV_KIND_TIME)
        snprintf(number, sizeof(number), "%" PRId64, n);
    else
        snprintf(number, sizeof(number), "%" PRIu64, (uint64_t)n); /* the others are unsigned */
    sk_log(SK_LOG_ERROR, "skua_config.%s=%s: expected 0 (%s) or %s..%s", row->field, number,
           sk_env_parse_print(row, row->fallback, fallback), sk_env_parse_print(row, row->min, low),
           sk_env_parse_print(row, row->max, high));
    return -EINVAL;
}

/* ---- the environment ---- */

/* As much of a foreign text as a line repeats. */
#define QUOTED_CHARS 64

static const char *ellipsis(const char *text)
{
    return strnlen(text, QUOTED_CHARS + 1) > QUOTED_CHARS ? "..." : "";
}

/* The value in an entry `name=value`, or NULL if the entry is another's. */
static const char *value_of(const char *entry, const char *name)
{
    size_t len = strlen(name);
    return strncmp(entry, name, len) == 0 && entry[len] == '=' ? entry + len + 1 : NULL;
}

/* NULL if unset or empty. Of several entries with one name the first counts, as for getenv. */
static const char *find_variable(const char *name)
{
    for (char **e = environ; e && *e; e++) {
        const char *value = value_of(*e, name);
        if (value)
            return *value ? value : NULL;
    }
    return NULL;
}

/* As from_program. */
static int from_environment(const struct sk_env_row *row, int64_t *value)
{
    const char *text = find_variable(row->name);
    if (!text)
        return 0;
    struct sk_env_fault fault;
    if (sk_env_parse(row, text, value, &fault) == 0)
        return 1;
    char expect[SK_ENV_TEXT_BYTES], where[QUOTED_CHARS + 16] = "";
    if (fault.at)
        snprintf(where, sizeof(where), " at '%.*s%s'", QUOTED_CHARS, fault.at, ellipsis(fault.at));
    sk_log(SK_LOG_ERROR, "%s='%.*s%s': expected %s (%s%s)", row->name, QUOTED_CHARS, text,
           ellipsis(text), sk_env_parse_expect(row, expect), fault.what, where);
    return -EINVAL;
}

static const char *nearest_name(const char *name)
{
    const char *best = rows[0].name;
    unsigned best_distance = sk_env_parse_distance(name, best);
    for (size_t i = 1; i < SK_ENV_ROWS; i++) {
        unsigned distance = sk_env_parse_distance(name, rows[i].name);
        if (distance < best_distance) {
            best = rows[i].name;
            best_distance = distance;
        }
    }
    return best;
}

static bool is_known(const char *entry)
{
    for (size_t i = 0; i < SK_ENV_ROWS; i++) {
        if (value_of(entry, rows[i].name))
            return true;
    }
    return false;
}

/* A misspelt name would otherwise be a setting that silently does nothing. */
static void warn_unknown(void)
{
    for (char **e = environ; e && *e; e++) {
        if (strncmp(*e, "SKUA_", 5) != 0 || !strchr(*e, '=') || is_known(*e))
            continue;
        char name[QUOTED_CHARS + 1];
        size_t len = strcspn(*e, "=");
        len = len < QUOTED_CHARS ? len : QUOTED_CHARS;
        memcpy(name, *e, len);
        name[len] = '\0';
        sk_log(SK_LOG_WARN, "%s%s is not a variable of skua; the nearest one is %s", name,
               ellipsis(*e), nearest_name(name));
    }
}

/* ---- how many workers are 'auto' ---- */

/* Affinity masks are read up to this many CPUs (the kernel's own limit is 8192). */
#define AFFINITY_CPUS 65536
#define PATH_BYTES    4096
/* Rarely more than 1 KiB; a line that is cut leads to a directory that does not exist, then to its
 * parents. */
#define CGROUP_BYTES 8192

static unsigned count_affinity(void)
{
    unsigned long mask[AFFINITY_CPUS / (8 * sizeof(unsigned long))];
    memset(mask, 0, sizeof(mask));
    if (sched_getaffinity(0, sizeof(mask), (cpu_set_t *)mask) == 0)
        return (unsigned)CPU_COUNT_S(sizeof(mask), (cpu_set_t *)mask);
    long online = sysconf(_SC_NPROCESSORS_ONLN); /* a sandbox may forbid the question */
    return online > 0 ? (unsigned)online : 1;
}

/* The beginning of a small file as text; false if there is none. */
static bool read_text(const char *dir, const char *file, char *text, size_t size)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof(path), "%s/%s", dir, file);
    if (n < 0 || (size_t)n >= sizeof(path))
        return false;
    return sk_sys_read_text(path, text, size) > 0;
}

/* The quota that one cgroup sets, in CPUs rounded up; 0: none. "max" (v2) and -1 (v1) say that
 * there is none. */
static unsigned read_quota(const char *dir)
{
    char text[64], period_text[64];
    int64_t quota = 0, period = 0;
    if (read_text(dir, "cpu.max", text, sizeof(text))) {
        if (sscanf(text, "%" SCNd64 " %" SCNd64, &quota, &period) != 2)
            return 0;
    } else if (read_text(dir, "cpu.cfs_quota_us", text, sizeof(text)) &&
               read_text(dir, "cpu.cfs_period_us", period_text, sizeof(period_text))) {
        if (sscanf(text, "%" SCNd64, &quota) != 1 || sscanf(period_text, "%" SCNd64, &period) != 1)
            return 0;
    }
    if (quota <= 0 || period <= 0)
        return 0;
    int64_t cpus = quota / period + (quota % period != 0);
    return cpus < MAX_WORKERS ? (unsigned)cpus : MAX_WORKERS;
}

/* A group is held by the quotas of all groups above it, so the smallest counts. A container may see
 * its own group mounted as the root under the name that the host knows: what does not exist is
 * passed over on the way up. */
static unsigned walk_quotas(const char *root, const char *mount, const char *group, unsigned least)
{
    char dir[PATH_BYTES];
    int n = snprintf(dir, sizeof(dir), "%s/sys/fs/cgroup%s", root, mount);
    if (n < 0 || (size_t)n >= sizeof(dir))
        return least;
    size_t top = (size_t)n;
    bool outside = strncmp(group, "/..", 3) == 0; /* not below this namespace's root */
    n = snprintf(dir + top, sizeof(dir) - top, "%s", outside ? "/" : group);
    if (n < 0 || (size_t)n >= sizeof(dir) - top)
        dir[top] = '\0';
    for (;;) {
        unsigned cpus = read_quota(dir);
        if (cpus != 0 && (least == 0 || cpus < least))
            least = cpus;
        if (strlen(dir) <= top)
            return least;
        *strrchr(dir, '/') = '\0';
    }
}

static bool has_cpu(const char *controllers)
{
    for (const char *p = controllers; *p; p += strcspn(p, ","), p += *p == ',') {
        if (strcspn(p, ",") == 3 && memcmp(p, "cpu", 3) == 0)
            return true;
    }
    return false;
}

/* The lines of /proc/self/cgroup are `id:controllers:group`; version 2 has one, without
 * controllers. */
unsigned sk_env_quota_cpus(const char *root)
{
    char proc[PATH_BYTES], text[CGROUP_BYTES];
    snprintf(proc, sizeof(proc), "%s/proc/self", root);
    if (!read_text(proc, "cgroup", text, sizeof(text)))
        return 0;
    unsigned least = 0;
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *controllers++ = '\0';
        *group++ = '\0';
        if (*controllers == '\0') {
            least = walk_quotas(root, "", group, least);
            least = walk_quotas(root, "/unified", group, least); /* beside version 1 */
        } else if (has_cpu(controllers)) {
            char mount[QUOTED_CHARS];
            snprintf(mount, sizeof(mount), "/%s", controllers);
            least = walk_quotas(root, "/cpu", group, least);
            least = walk_quotas(root, mount, group, least);
        }
    }
    return least;
}

/* ---- all of it ---- */

static void resolve_autos(struct sk_settings *s)
{
    unsigned affinity = count_affinity(), quota = sk_env_quota_cpus("");
    unsigned cpus = quota != 0 && quota < affinity ? quota : affinity;
    if (s->workers == 0) {
        s->affinity_cpus = affinity;
        s->quota_cpus = quota;
        s->workers = cpus < MAX_WORKERS ? cpus : MAX_WORKERS;
    }
    if (s->block_threads == 0)
        s->block_threads = cpus < MAX_BLOCK_THREADS / BLOCK_THREADS_PER_CPU
                               ? cpus * BLOCK_THREADS_PER_CPU
                               : MAX_BLOCK_THREADS;
}

int sk_env_load(struct sk_settings *out, const skua_config *cfg)
{
    struct sk_settings s = {0};
    skua_config full = {0};
    if (cfg) {
        int rc = copy_config(&full, cfg);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < SK_ENV_ROWS; i++) {
        const struct sk_env_row *row = &rows[i];
        int64_t value = row->fallback;
        int program = from_program(row, &full, &value);
        if (program < 0)
            return program;
        int environment = from_environment(row, &value);
        if (environment < 0)
            return environment;
        store_number(&s, row->offset, row->width, value);
        s.origin[i] = environment ? SK_ENV_FROM_ENV
                      : program   ? SK_ENV_FROM_PROGRAM
                                  : SK_ENV_FROM_DEFAULT;
    }
    if (s.workers == 0 || s.block_threads == 0)
        resolve_autos(&s);
    *out = s;
    sk_log_level_set(s.log);
    warn_unknown();
    return 0;
}

int sk_env_stack_bytes(size_t *out)
{
    const struct sk_env_row *row = &rows[SK_ENV_STACK_SIZE];
    int64_t value = row->fallback;
    int rc = from_environment(row, &value);
    if (rc < 0)
        return rc;
    *out = (size_t)value;
    return 0;
}

static void show_auto(const struct sk_settings *s, char *buf, size_t size)
{
    char quota[24] = "none";
    if (s->quota_cpus != 0)
        snprintf(quota, sizeof(quota), "%u", s->quota_cpus);
    snprintf(buf, size, "; auto: affinity %u, cgroup quota %s", s->affinity_cpus, quota);
}

void sk_env_show(const struct sk_settings *s, int fd)
{
    static const char *const origins[] = {
        [SK_ENV_FROM_DEFAULT] = "default",
        [SK_ENV_FROM_PROGRAM] = "program",
        [SK_ENV_FROM_ENV] = "env",
    };
    for (size_t i = 0; i < SK_ENV_ROWS; i++) {
        const struct sk_env_row *row = &rows[i];
        char value[SK_ENV_TEXT_BYTES], more[80] = "", line[SK_ENV_TEXT_BYTES + 128];
        if (i == SK_ENV_WORKERS && s->affinity_cpus != 0)
            show_auto(s, more, sizeof(more));
        int n = snprintf(line, sizeof(line), "skua: %s=%s (%s%s)\n", row->name,
                         sk_env_parse_print(row, load_number(s, row->offset, row->width), value),
                         origins[s->origin[i]], more);
        sk_log_write(fd, line, (size_t)n);
    }
}

void sk_env_document(int fd)
{
    static const char head[] =
        "| Variable | Values | Default | Field of `skua_config` | Meaning |\n"
        "|---|---|---|---|---|\n";
    sk_log_write(fd, head, sizeof(head) - 1);
    for (size_t i = 0; i < SK_ENV_ROWS; i++) {
        const struct sk_env_row *row = &rows[i];
        char expect[SK_ENV_TEXT_BYTES], fallback[SK_ENV_TEXT_BYTES], line[1024];
        const char *tick = row->field ? "`" : "";
        int n = snprintf(line, sizeof(line), "| `%s` | %s | %s | %s%s%s | %s |\n", row->name,
                         sk_env_parse_expect(row, expect),
                         sk_env_parse_print(row, row->fallback, fallback), tick,
                         row->field ? row->field : "", tick, row->doc);
        sk_log_write(fd, line, (size_t)n);
    }
}
