/* bench/system/options.c - the command line of the load generator. */
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/system/load.h"

static const char usage[] =
    "usage: load [OPTION]... ADDRESS\n"
    "Keeps a server busy, checks what it answers, and prints how long that took.\n"
    "ADDRESS is tcp:HOST:PORT with a numeric host, or unix:PATH.\n"
    "\n"
    "  --http            GET requests of HTTP/1.1, each to be answered by a 200 (default)\n"
    "  --echo            messages that are to come back unchanged\n"
    "  --connections N   1..10000 at once (64)\n"
    "  --pipeline N      1..1000 requests in flight on each connection (1)\n"
    "  --duration S      seconds (5)\n"
    "  --path PATH       what to GET (/)\n"
    "  --bytes N         of an echo message, 1..67108864 (64)\n"
    "  --workers N       1..1024 threads (as many as the machine has for us)\n"
    "  --json            one JSON object on standard output, nothing on the way\n"
    "\n"
    "Exit status: 0 all was answered and right; 1 an error; 2 wrong usage.\n";

enum { HTTP = 1, ECHO, CONNECTIONS, PIPELINE, DURATION, PATH, BYTES, WORKERS, JSON, HELP };

static const struct option long_options[] = {
    {"http", no_argument, NULL, HTTP},
    {"echo", no_argument, NULL, ECHO},
    {"connections", required_argument, NULL, CONNECTIONS},
    {"pipeline", required_argument, NULL, PIPELINE},
    {"duration", required_argument, NULL, DURATION},
    {"path", required_argument, NULL, PATH},
    {"bytes", required_argument, NULL, BYTES},
    {"workers", required_argument, NULL, WORKERS},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

static bool parse_count(const char *name, const char *text, unsigned long max, unsigned long *out)
{
    char *end;
    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && n >= 1 && n <= max) {
        *out = n;
        return true;
    }
    fprintf(stderr, "load: --%s '%s': expected 1..%lu\n", name, text, max);
    return false;
}

static bool parse_unsigned(const char *name, const char *text, unsigned max, unsigned *out)
{
    unsigned long n;
    if (!parse_count(name, text, max, &n))
        return false;
    *out = (unsigned)n;
    return true;
}

static bool parse_duration(const char *text, int64_t *out)
{
    char *end;
    double seconds = strtod(text, &end);
    if (end != text && *end == '\0' && isfinite(seconds) && seconds >= 0.01 && seconds <= 86400) {
        *out = (int64_t)(seconds * 1e9);
        return true;
    }
    fprintf(stderr, "load: --duration '%s': expected seconds, 0.01..86400\n", text);
    return false;
}

static bool parse_path(const char *text, const char **out)
{
    for (const char *p = text; *p; p++) {
        if (*p <= ' ' || *p > '~') {
            fprintf(stderr, "load: --path '%s': expected printable ASCII without spaces\n", text);
            return false;
        }
    }
    if (text[0] != '/') {
        fprintf(stderr, "load: --path '%s': expected a path that begins with /\n", text);
        return false;
    }
    *out = text;
    return true;
}

static bool parse_one(struct load_options *o, int option)
{
    unsigned long n;
    switch (option) {
    case HTTP:
    case ECHO:
        o->is_echo = option == ECHO;
        return true;
    case JSON:
        o->is_json = true;
        return true;
    case CONNECTIONS:
        return parse_unsigned("connections", optarg, LOAD_CONNECTIONS_MAX, &o->connections);
    case PIPELINE:
        return parse_unsigned("pipeline", optarg, LOAD_PIPELINE_MAX, &o->pipeline);
    case WORKERS:
        return parse_unsigned("workers", optarg, LOAD_WORKERS_MAX, &o->workers);
    case DURATION:
        return parse_duration(optarg, &o->duration_ns);
    case PATH:
        return parse_path(optarg, &o->path);
    case BYTES:
        if (!parse_count("bytes", optarg, LOAD_BYTES_MAX, &n))
            return false;
        o->bytes = n;
        return true;
    case HELP:
        fputs(usage, stdout);
        exit(0);
    default: /* getopt has said what is wrong */
        fputs("load --help tells more.\n", stderr);
        return false;
    }
}

bool load_options_parse(struct load_options *o, int argc, char **argv)
{
    *o = (struct load_options){
        .connections = 64, .pipeline = 1, .bytes = 64, .duration_ns = SKUA_S(5), .path = "/"};
    int option;
    while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (!parse_one(o, option))
            return false;
    }
    if (optind != argc - 1) {
        fprintf(stderr, "load: expected one ADDRESS, got %d\nload --help tells more.\n",
                argc - optind);
        return false;
    }
    o->address = argv[optind];
    if (strncmp(o->address, "tcp:", 4) != 0 && strncmp(o->address, "unix:", 5) != 0) {
        fprintf(stderr, "load: '%s' is not an address: expected tcp:HOST:PORT or unix:PATH\n",
                o->address);
        return false;
    }
    return true;
}
