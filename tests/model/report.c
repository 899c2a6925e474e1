/* tests/model/report.c - the steps of a failed schedule, with the lines of the source. */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/model/engine.h"

enum { STEPS = 8192, SHOWN = 200, LINE_BYTES = 512, ORDERS = 6 };

struct step {
    const char *what; /* NULL: a note */
    const char *note;
    const void *address;
    uint64_t before, after;
    void *pc;
    int thread, order;
    unsigned bytes;
};

static struct step steps[STEPS];
static unsigned count;

static const char *const orders[ORDERS] = {"relaxed", "consume", "acquire",
                                           "release", "acq_rel", "seq_cst"};

void report_begin(void)
{
    count = 0;
}

static void add(struct step step)
{
    if (engine.tracing && count < STEPS)
        steps[count++] = step;
}

void report_step(const char *what, int order, const void *address, unsigned bytes, uint64_t before,
                 uint64_t after, void *pc)
{
    if (engine.tracing)
        add((struct step){.what = what,
                          .order = order,
                          .address = address,
                          .bytes = bytes,
                          .before = before,
                          .after = after,
                          .pc = pc,
                          .thread = engine.current});
}

void report_note(const char *text, int thread)
{
    if (engine.tracing)
        add((struct step){.note = text, .thread = thread});
}

/* ---- where a step stands ---- */

static void source_line(const char *file, unsigned line, char *out, size_t bytes)
{
    FILE *f = fopen(file, "r");
    out[0] = 0;
    for (unsigned i = 0; f != NULL && i < line && fgets(out, (int)bytes, f) != NULL; i++) {
    }
    if (f != NULL)
        fclose(f);
    size_t blank = strspn(out, " \t");
    memmove(out, out + blank, strlen(out + blank) + 1);
    out[strcspn(out, "\n")] = 0;
}

/* "dir/file.c:12 function: text", from the two lines that addr2line prints. */
static void describe(void *pc, char *out, size_t bytes)
{
    char command[128], function[LINE_BYTES] = "?", place[LINE_BYTES] = "?:0", text[LINE_BYTES] = "";
    snprintf(command, sizeof(command), "addr2line -f -e /proc/%d/exe %p", (int)getpid(),
             (void *)((char *)pc - 1));
    FILE *pipe = popen(command, "r");
    if (pipe != NULL) {
        if (fgets(function, sizeof(function), pipe) != NULL)
            (void)!fgets(place, sizeof(place), pipe);
        pclose(pipe);
    }
    function[strcspn(function, "\n")] = 0;
    place[strcspn(place, " \n")] = 0;
    char *colon = strrchr(place, ':');
    unsigned line = 0;
    if (colon != NULL && sscanf(colon + 1, "%u", &line) == 1) {
        *colon = 0;
        source_line(place, line, text, sizeof(text));
    }
    const char *name = strrchr(place, '/');
    snprintf(out, bytes, "%s:%u %s: %s", name != NULL ? name + 1 : place, line, function, text);
}

static void print_step(const struct step *s)
{
    char where[2 * LINE_BYTES];
    if (s->what == NULL) {
        printf("  T%d %s\n", s->thread, s->note);
        return;
    }
    describe(s->pc, where, sizeof(where));
    printf("  T%d %-8s %-7s", s->thread, s->what, s->order >= 0 ? orders[s->order % ORDERS] : "");
    if (s->order < 0)
        printf(" %p %u bytes", s->address, s->bytes);
    else if (s->address != NULL && s->before == s->after)
        printf(" %p = %#llx", s->address, (unsigned long long)s->before);
    else if (s->address != NULL)
        printf(" %p %#llx -> %#llx", s->address, (unsigned long long)s->before,
               (unsigned long long)s->after);
    printf("   %s\n", where);
}

void report_print(void)
{
    unsigned first = count > SHOWN ? count - SHOWN : 0;
    if (first > 0)
        printf("  (%u steps before)\n", first);
    for (unsigned i = first; i < count; i++)
        print_step(&steps[i]);
}
