/* bench/system/report.c - what the load generator prints. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/system/load.h"

static const char *const error_names[] = {
    [LOAD_ERROR_CONNECT] = "connect", [LOAD_ERROR_WRITE] = "write",
    [LOAD_ERROR_READ] = "read",       [LOAD_ERROR_CLOSED] = "closed",
    [LOAD_ERROR_STATUS] = "status",   [LOAD_ERROR_CONTENT] = "content",
    [LOAD_ERROR_TIMEOUT] = "timeout",
};

static uint64_t add_errors(const struct load *load, enum load_error kind, int *code)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < load->workers; i++) {
        struct load_tally *tally = &load->tallies[i];
        uint64_t n = atomic_load_explicit(&tally->x_errors[kind], memory_order_relaxed);
        if (n > 0)
            *code = atomic_load_explicit(&tally->x_codes[kind], memory_order_relaxed);
        sum += n;
    }
    return sum;
}

uint64_t load_report_errors(const struct load *load)
{
    uint64_t sum = 0;
    int code;
    for (unsigned kind = 0; kind < LOAD_ERROR_KINDS; kind++)
        sum += add_errors(load, (enum load_error)kind, &code);
    return sum;
}

/* Adds up one counter of every tally, given by its place in the structure. */
static uint64_t add_up(const struct load *load, size_t offset)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < load->workers; i++) {
        char *tally = (char *)&load->tallies[i];
        sum += atomic_load_explicit((_Atomic(uint64_t) *)(void *)(tally + offset),
                                    memory_order_relaxed);
    }
    return sum;
}

uint64_t load_report_requests(const struct load *load)
{
    return add_up(load, offsetof(struct load_tally, x_requests));
}

/* One line a second: on a terminal always the same one. */
void load_report_progress(const struct load *load, unsigned second, uint64_t rate)
{
    bool is_terminal = isatty(STDERR_FILENO);
    fprintf(stderr, "%s%3u s  %8" PRIu64 " requests/s  %u connections  %" PRIu64 " errors%s",
            is_terminal ? "\r" : "", second, rate,
            atomic_load_explicit(&load->x_connected, memory_order_relaxed),
            load_report_errors(load), is_terminal ? "\033[K" : "\n");
    fflush(stderr);
}

struct result {
    uint64_t requests, errors, bytes_in, bytes_out, reconnects;
    double seconds, per_second;
    struct load_hist *hist;
};

static double percentile_us(const struct result *r, double percent)
{
    return (double)load_hist_percentile(r->hist, percent) / 1e3;
}

static void print_json(const struct load *load, const struct result *r)
{
    printf("{\"requests\": %" PRIu64 ", \"requests_per_s\": %.1f, \"errors\": %" PRIu64
           ", \"p50_us\": %.2f, \"p90_us\": %.2f, \"p99_us\": %.2f, \"p999_us\": %.2f"
           ", \"max_us\": %.2f, \"duration_s\": %.3f, \"connections\": %u, \"pipeline\": %u"
           ", \"bytes_in\": %" PRIu64 ", \"bytes_out\": %" PRIu64 ", \"reconnects\": %" PRIu64,
           r->requests, r->per_second, r->errors, percentile_us(r, 50), percentile_us(r, 90),
           percentile_us(r, 99), percentile_us(r, 99.9), (double)r->hist->max / 1e3, r->seconds,
           load->options.connections, load->options.pipeline, r->bytes_in, r->bytes_out,
           r->reconnects);
    printf(", \"errors_by_kind\": {");
    for (unsigned kind = 0; kind < LOAD_ERROR_KINDS; kind++) {
        int code;
        printf("%s\"%s\": %" PRIu64, kind ? ", " : "", error_names[kind],
               add_errors(load, (enum load_error)kind, &code));
    }
    printf("}}\n");
}

static void print_errors(const struct load *load)
{
    for (unsigned kind = 0; kind < LOAD_ERROR_KINDS; kind++) {
        int code = 0;
        uint64_t n = add_errors(load, (enum load_error)kind, &code);
        if (n == 0)
            continue;
        printf("  %-12s %12" PRIu64, error_names[kind], n);
        if (code < 0)
            printf("   %s", skua_strerror(code));
        else if (code > 0)
            printf("   HTTP status %d", code);
        printf("\n");
    }
}

static void print_table(const struct load *load, const struct result *r)
{
    static const double percents[] = {50, 90, 99, 99.9};
    const struct load_options *o = &load->options;
    printf("%s, %s, %u connections, %u in flight each, %.2f s\n", o->address,
           o->is_echo ? "echo" : "HTTP", o->connections, o->pipeline, r->seconds);
    printf("requests       %12" PRIu64 "\n", r->requests);
    printf("requests/s     %12.0f\n", r->per_second);
    for (unsigned i = 0; i < sizeof(percents) / sizeof(*percents); i++)
        printf("p%-5g          %11.1f us\n", percents[i], percentile_us(r, percents[i]));
    printf("max            %12.1f us\n", (double)r->hist->max / 1e3);
    printf("received       %12.1f MB\n", (double)r->bytes_in / 1e6);
    printf("sent           %12.1f MB\n", (double)r->bytes_out / 1e6);
    if (r->reconnects > 0)
        printf("reconnects     %12" PRIu64 "\n", r->reconnects);
    printf("errors         %12" PRIu64 "\n", r->errors);
    print_errors(load);
}

void load_report_print(const struct load *load)
{
    struct result r = {
        .requests = load_report_requests(load),
        .errors = load_report_errors(load),
        .bytes_in = add_up(load, offsetof(struct load_tally, x_bytes_in)),
        .bytes_out = add_up(load, offsetof(struct load_tally, x_bytes_out)),
        .reconnects = add_up(load, offsetof(struct load_tally, x_reconnects)),
        .seconds = (double)load->elapsed_ns / 1e9,
        .hist = &load->tallies[0].hist, /* all are added to the first; nobody counts any more */
    };
    r.per_second = r.seconds > 0 ? (double)r.requests / r.seconds : 0;
    for (unsigned i = 1; i < load->workers; i++)
        load_hist_merge(r.hist, &load->tallies[i].hist);
    if (!load->options.is_json && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (load->options.is_json)
        print_json(load, &r);
    else
        print_table(load, &r);
    fflush(stdout);
}
