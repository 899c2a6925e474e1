/* bench/system/http_reader.h - counts the replies in what an HTTP server sends.
 *
 * Owns:    struct load_http_reader, one per connection.
 * Threads: none of its own.
 *
 * libhttp-parser reads a reply for the first time. The reader then keeps the bytes of its head: as
 * long as replies begin with the very same bytes, they are as long as that one was, and comparing
 * costs a tenth of parsing. (The Date in it changes once a second, and is then parsed anew.) */
#ifndef BENCH_SYSTEM_HTTP_READER_H
#define BENCH_SYSTEM_HTTP_READER_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOAD_HTTP_HEAD_MAX = 512 /* bytes of a head that is kept; longer ones are always parsed */ };

struct load_http_reader {
    bool closes;         /* the server ends the connection after the reply that was read last */
    unsigned bad_status; /* of a reply that was not a 200 */
    unsigned bad_count;  /* how many such replies load_http_reader_feed saw in its last call */

    http_parser parser;
    uint64_t body_len;
    bool is_inside; /* a reply has begun */
    bool is_complete;
    size_t known_head_len; /* 0: none is known */
    size_t known_len;      /* head and body */
    char known_head[LOAD_HTTP_HEAD_MAX];
};

void load_http_reader_init(struct load_http_reader *r);

/* Reads n bytes, n = 0 being the end of the stream, in which at most `due` replies may end. Returns
 * how many ended; -EPROTO if the bytes are not HTTP, or more than was due. After a reply that
 * closes, the rest is ignored. */
int load_http_reader_feed(struct load_http_reader *r, const char *data, size_t n, unsigned due);

#endif
