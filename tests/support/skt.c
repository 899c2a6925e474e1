/* tests/support/skt.c - registration, running, reporting. */
#include "tests/support/skt.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    SKT_EXIT_SKIPPED = 77,
    /* A joined thread, and a closed ring's kernel workers, are seen in /proc for a while. */
    SKT_SETTLE_S = 60,
    SKT_ENOUGH_S = 10,
    SKT_FD_MAX = 4096, /* descriptors beyond are not looked at one by one */
};

static struct skt_case *skt_cases;
static struct skt_case *skt_current;
static bool skt_skipped;
static int skt_foreign_threads; /* a sanitizer's own */

void skt_register(struct skt_case *c)
{
    struct skt_case **end = &skt_cases;
    while (*end)
        end = &(*end)->next;
    *end = c;
}

static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* One write, so that lines of several threads do not mix; no stdio lock, which a coroutine that
 * moved could hold for another thread. */
static void print_line(const char *text)
{
    size_t len = strlen(text);
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        text += n;
        len -= (size_t)n;
    }
}

_Noreturn void skt_fail(const char *file, int line, const char *fmt, ...)
{
    char text[2048];
    char what[1600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    snprintf(text, sizeof(text), "FAIL %s.%s\n%s:%d: %s\n", skt_current ? skt_current->group : "?",
             skt_current ? skt_current->name : "?", file, line, what);
    print_line(text);
    _exit(1);
}

void skt_skip(const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    int n = snprintf(text, sizeof(text), "skip %s.%s: ", skt_current->group, skt_current->name);
    va_start(ap, fmt);
    vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
    va_end(ap);
    strncat(text, "\n", sizeof(text) - strlen(text) - 1);
    print_line(text);
    skt_skipped = true;
}

static void format_int(struct skt_int v, char *out, size_t size)
{
    if (v.is_negative)
        snprintf(out, size, "%lld (%#llx)", (long long)v.bits, (unsigned long long)v.bits);
    else
        snprintf(out, size, "%llu (%#llx)", (unsigned long long)v.bits, (unsigned long long)v.bits);
}

/* Results are negative errno values more often than not: name them. */
static const char *errno_name(struct skt_int v)
{
    if (!v.is_negative || (int64_t)v.bits < -133)
        return NULL;
    return strerrorname_np((int)-(int64_t)v.bits);
}

_Noreturn void skt_fail_ints(struct skt_int a, struct skt_int b, const char *expr, const char *file,
                             int line)
{
    char left[64], right[64];
    format_int(a, left, sizeof(left));
    format_int(b, right, sizeof(right));
    const char *left_name = errno_name(a), *right_name = errno_name(b);
    skt_fail(file, line, "%s\n    left:  %s %s%s\n    right: %s %s%s", expr, left,
             left_name ? "-" : "", left_name ? left_name : "", right, right_name ? "-" : "",
             right_name ? right_name : "");
}

void skt_check_str(const char *a, const char *b, const char *ea, const char *eb, const char *file,
                   int line)
{
    if (a == b || (a && b && strcmp(a, b) == 0))
        return;
    skt_fail(file, line, "%s == %s\n    left:  \"%s\"\n    right: \"%s\"", ea, eb, a ? a : "(null)",
             b ? b : "(null)");
}

void skt_check_has(const char *hay, const char *part, const char *expr, const char *file, int line)
{
    if (hay && strstr(hay, part))
        return;
    skt_fail(file, line, "%s has no \"%s\"\n    it is: \"%s\"", expr, part, hay ? hay : "(null)");
}

void skt_check_mem(const void *a, const void *b, size_t n, const char *ea, const char *eb,
                   const char *file, int line)
{
    const unsigned char *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            skt_fail(file, line,
                     "%s == %s: byte %zu of %zu differs\n    left:  %#x\n    right: %#x", ea, eb, i,
                     n, x[i], y[i]);
}

void skt_check_between(double x, double low, double high, const char *expr, const char *file,
                       int line)
{
    if (!(x >= low && x <= high))
        skt_fail(file, line, "%s is %g, expected %g..%g", expr, x, low, high);
}

double skt_scale(void)
{
    const char *text = getenv("SKT_SCALE");
    double scale = text ? strtod(text, NULL) : 1.0;
    return scale > 0 ? scale : 1.0;
}

uint64_t skt_scaled(uint64_t n)
{
    uint64_t scaled = (uint64_t)((double)n * skt_scale());
    return scaled > 0 ? scaled : 1;
}

static int count_entries(const char *path)
{
    DIR *dir = opendir(path);
    if (!dir)
        return -1;
    int count = 0;
    for (struct dirent *e = readdir(dir); e; e = readdir(dir))
        if (e->d_name[0] != '.')
            count++;
    closedir(dir);
    return count;
}

int skt_fd_count(void)
{
    return count_entries("/proc/self/fd") - 1; /* one is the directory that is being read */
}

int skt_thread_count(void)
{
    return count_entries("/proc/self/task") - skt_foreign_threads;
}

static void *return_at_once(void *arg)
{
    return arg;
}

/* ThreadSanitizer starts a thread of its own beside the first of ours, and again in a child. */
static void note_foreign_threads(void)
{
    pthread_t thread;
    if (skt_tsan() && pthread_create(&thread, NULL, return_at_once, NULL) == 0) {
        pthread_join(thread, NULL);
        skt_foreign_threads = 1;
    }
}

static int64_t clock_ns(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t skt_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int64_t skt_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

int64_t skt_delay_ns(void)
{
    int64_t sum = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
        char path[320];
        long long ran = 0, waited = 0;
        snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", e->d_name);
        FILE *file = e->d_name[0] != '.' ? fopen(path, "re") : NULL;
        if (file && fscanf(file, "%lld %lld", &ran, &waited) == 2)
            sum += waited;
        if (file)
            fclose(file);
    }
    if (dir)
        closedir(dir);
    return sum;
}

#if defined(__has_feature)
#define HAS_FEATURE(name) __has_feature(name)
#else
#define HAS_FEATURE(name) 0
#endif

bool skt_tsan(void)
{
#if defined(__SANITIZE_THREAD__) || HAS_FEATURE(thread_sanitizer)
    return true;
#else
    return false;
#endif
}

bool skt_sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__) || HAS_FEATURE(address_sanitizer)
    return true;
#else
    return skt_tsan();
#endif
}

/* Keeps what fits, and reads on to the end, so that the child never waits for room. */
static void read_all(int fd, char *out, size_t size)
{
    size_t len = 0;
    for (;;) {
        char drop[512];
        bool room = len + 1 < size;
        ssize_t n = read(fd, room ? out + len : drop, room ? size - 1 - len : sizeof(drop));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        if (room)
            len += (size_t)n;
    }
    if (size > 0)
        out[len] = '\0';
}

int skt_in_child(void (*fn)(void *), void *arg, char *out, size_t out_size)
{
    int fds[2], status = 0;
    SKT_EQ(pipe(fds), 0);
    pid_t pid = fork();
    SKT_GE(pid, 0);
    if (pid == 0) {
        close(fds[0]);
        dup2(fds[1], STDERR_FILENO);
        close(fds[1]);
        fn(arg);
        _exit(0);
    }
    close(fds[1]);
    read_all(fds[0], out, out_size);
    close(fds[0]);
    while (waitpid(pid, &status, 0) < 0)
        SKT_EQ(errno, EINTR);
    return status;
}

bool skt_has_time(int64_t begin_ns)
{
    return skt_now_ns() - begin_ns < SKT_ENOUGH_S * INT64_C(1000000000);
}

/* Waits a while for a count to come back to what it was. */
static bool settles(int (*count)(void), int want)
{
    int64_t end = skt_now_ns() + SKT_SETTLE_S * INT64_C(1000000000);
    while (count() > want) {
        if (skt_now_ns() > end)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

void skt_check_threads(int want, const char *file, int line)
{
    if (!settles(skt_thread_count, want) || skt_thread_count() != want)
        skt_fail(file, line, "there are %d threads, expected %d", skt_thread_count(), want);
}

static void note_fds(bool open[SKT_FD_MAX])
{
    for (int fd = 0; fd < SKT_FD_MAX; fd++) {
        char path[64], target[8];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        open[fd] = readlink(path, target, sizeof(target)) > 0;
    }
}

_Noreturn static void fail_fds(const struct skt_case *c, const bool before[SKT_FD_MAX])
{
    char what[1024] = "";
    for (int fd = 0; fd < SKT_FD_MAX; fd++) {
        char path[64], target[128], item[224];
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        ssize_t n = readlink(path, target, sizeof(target) - 1);
        if (n <= 0 || before[fd])
            continue;
        target[n] = '\0';
        snprintf(item, sizeof(item), "\n    %d -> %s", fd, target);
        if (strlen(what) + strlen(item) < sizeof(what))
            strcat(what, item);
    }
    skt_fail(c->file, c->line, "the test left descriptors open:%s", what);
}

static void run_case(struct skt_case *c)
{
    char text[512];
    static bool open_before[SKT_FD_MAX];
    int fds = skt_fd_count(), threads = skt_thread_count();
    note_fds(open_before);
    skt_current = c;
    skt_skipped = false;
    snprintf(text, sizeof(text), "run  %s.%s\n", c->group, c->name);
    print_line(text);
    int64_t start = skt_now_ns();
    c->fn();
    int64_t took = skt_now_ns() - start;
    if (!settles(skt_fd_count, fds))
        fail_fds(c, open_before);
    if (!settles(skt_thread_count, threads))
        skt_fail(c->file, c->line, "the test left threads: %d before, %d after", threads,
                 skt_thread_count());
    if (!skt_skipped) {
        snprintf(text, sizeof(text), "ok   %s.%s (%.1f ms)\n", c->group, c->name,
                 (double)took / 1e6);
        print_line(text);
    }
}

static bool wanted(const struct skt_case *c, int argc, char **argv)
{
    char full[256];
    snprintf(full, sizeof(full), "%s.%s", c->group, c->name);
    for (int i = 1; i < argc; i++)
        if (fnmatch(argv[i], full, 0) == 0 || strstr(full, argv[i]))
            return true;
    return argc < 2;
}

int main(int argc, char **argv)
{
    bool list = argc == 2 && strcmp(argv[1], "--list") == 0;
    note_foreign_threads();
    int passed = 0, skipped = 0;
    for (struct skt_case *c = skt_cases; c; c = c->next) {
        if (list) {
            printf("%s.%s\n", c->group, c->name);
            continue;
        }
        if (!wanted(c, argc, argv))
            continue;
        run_case(c);
        if (skt_skipped)
            skipped++;
        else
            passed++;
    }
    if (list)
        return 0;
    if (passed + skipped == 0) {
        fprintf(stderr, "%s: no test matches\n", file_name(argv[0]));
        return 1;
    }
    printf("%d passed, %d skipped\n", passed, skipped);
    return passed == 0 ? SKT_EXIT_SKIPPED : 0;
}
