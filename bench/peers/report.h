/* bench/peers/report.h - what every small program here ends with: one line of JSON on standard
 * output. bench/peers/compare reads the line; a person can, too. C and C++. */
#ifndef SKUA_BENCH_PEERS_REPORT_H
#define SKUA_BENCH_PEERS_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static inline int64_t report_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* One measurement: `ops` operations took `ns` nanoseconds. */
static inline void report_ns(const char *impl, const char *name, unsigned workers, int64_t ns,
                             uint64_t ops)
{
    printf("{\"impl\": \"%s\", \"name\": \"%s\", \"workers\": %u, \"ops\": %llu, \"ns\": %.3f}\n",
           impl, name, workers, (unsigned long long)ops, (double)ns / (double)ops);
    fflush(stdout);
}

/* The argument at `index` as a positive number, or `otherwise` where there is none. */
static inline uint64_t report_arg(int argc, char **argv, int index, uint64_t otherwise)
{
    if (index >= argc)
        return otherwise;
    char *end;
    unsigned long long value = strtoull(argv[index], &end, 10);
    if (*argv[index] == '\0' || *end != '\0' || value == 0) {
        fprintf(stderr, "%s: '%s' is not a positive number\n", argv[0], argv[index]);
        exit(2);
    }
    return value;
}

/* What a measurement cannot go on without. */
static inline void report_must(int rc)
{
    if (rc >= 0)
        return;
    fprintf(stderr, "error %d\n", -rc);
    exit(1);
}

/* Whether this can be the sum of 0 .. count-1, each of which was to come once. */
static inline bool report_sum_is_right(uint64_t sum, uint64_t count)
{
    return sum == count * (count - 1) / 2;
}

/* Resident memory and page tables of this process; 0 if they cannot be read. */
static inline int64_t report_memory_bytes(void)
{
    char line[256];
    int64_t bytes = 0;
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL)
        return 0;
    while (fgets(line, sizeof(line), status) != NULL) {
        if (strncmp(line, "VmRSS:", 6) == 0 || strncmp(line, "VmPTE:", 6) == 0)
            bytes += strtoll(line + 6, NULL, 10) * 1024;
    }
    fclose(status);
    return bytes;
}

#endif
