/* examples/common/announce.h - what every server does before it serves. */
#ifndef EXAMPLES_ANNOUNCE_H
#define EXAMPLES_ANNOUNCE_H

/* Raises the limit of open descriptors as far as it goes, listens on addr ("tcp:127.0.0.1:8080",
 * "tcp:[::]:0", "unix:/run/x") and prints "listening on ..." with the port that it got. Returns the
 * descriptor; or, after a line on standard error, a negative errno. */
int announce_listen(const char *program, const char *addr);

#endif
