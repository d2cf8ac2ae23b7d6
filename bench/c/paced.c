/* Short connections at a steady rate, both ends in one process.
 *
 *   paced PORT RATE COUNT   listens on 127.0.0.1:PORT, and COUNT times, RATE in a second: connect, one line,
 *                           close, read to the end, close the other end
 *
 * Each has a client's address and port of its own (127.0.1.1:20000 and on), so that no two of them can be
 * taken for one. A port that somebody else has is passed over. Prints how many connections there were and
 * the seconds they took: {"count":…,"seconds":…}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, FIRST_PORT = 20000, PORTS = 40000, CLIENTS = 0x7f000101 };

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void sleep_until(double at) {
    struct timespec t = {.tv_sec = (time_t)at};
    t.tv_nsec = (long)((at - (double)t.tv_sec) * 1e9);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR) {}
}

/* A socket with the next address and port that nobody has. */
static int next_client(void) {
    static long next;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    for (;;) {
        struct sockaddr_in own = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)(FIRST_PORT + next % PORTS)),
                                  .sin_addr.s_addr = htonl((uint32_t)(CLIENTS + next / PORTS))};
        next++;
        if (!bind(fd, (struct sockaddr *)&own, sizeof own)) return fd;
        if (errno != EADDRINUSE) die("bind");
    }
}

static void one(int listener, const struct sockaddr_in *at) {
    char line[LINE];
    ssize_t n;
    memset(line, 'Q', sizeof line);
    int client = next_client();
    if (connect(client, (const struct sockaddr *)at, sizeof *at)) die("connect");
    int accepted = accept(listener, NULL, NULL);
    if (accepted < 0) die("accept");
    if (send(client, line, sizeof line, MSG_NOSIGNAL) != LINE) die("send");
    close(client);
    while ((n = read(accepted, line, sizeof line)) > 0) {}
    if (n < 0) die("read");
    close(accepted);
}

int main(int argc, char **argv) {
    int on = 1;
    if (argc != 4) return fprintf(stderr, "usage: paced PORT RATE COUNT\n"), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    double rate = atof(argv[2]);
    long count = atol(argv[3]);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1])),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128)) die("listen");
    double started = seconds();
    for (long i = 0; i < count; i++) {
        sleep_until(started + (double)i / rate);
        one(listener, &at);
    }
    printf("{\"count\":%ld,\"seconds\":%.6f}\n", count, seconds() - started);
    return 0;
}
