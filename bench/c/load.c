/* The load client of the benchmark: one thread, one epoll loop, to 127.0.0.1:PORT.
 *
 *   load lines  PORT CLIENTS LINES PACK   each client sends LINES lines of 64 bytes, PACK a send()
 *   load alone  PORT CLIENTS LINES PACK   the same with TCP_NODELAY: each send() is a segment
 *   load blocks PORT CLIENTS BLOCKS 1     each client sends BLOCKS blocks of 256 kB, one a send()
 *   load short  PORT CLIENTS TOTAL 1      TOTAL times: connect, one line, half-close, read to the
 *                                         end, close; CLIENTS of them at a time
 *   load trips  PORT CLIENTS TRIPS 1      each client sends a line and waits until it is back, TRIPS times
 *   load chat   PORT MEMBERS ROUNDS PACK  in each round PACK of the members send a line, and all others get each
 *                                         of them (whatever stands around its letters)
 *   load idle   PORT CLIENTS 0 PAUSE      connects with PAUSE microseconds between two, prints "ready",
 *                                         holds until standard input ends
 *
 * `lines`, `alone` and `blocks` half-close and wait until the server has closed, so that what is timed is what has
 * been read, not what lies in a buffer. But for `alone`, sockets have their defaults (Nagle's algorithm
 * included), as those of nc have. Prints when it began and ended, in seconds of the wall clock, its CPU
 * time in between, and how many short connections failed (any other that does ends it with status 1; so does a
 * chat in which nothing comes for 5 s, though more should):
 * {"started":…,"ended":…,"cpu_seconds":…,"failed":…}
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, BLOCK = 256 * 1024, MAX_EVENTS = 256, CHAT_QUIET_MS = 300, CHAT_WAITS_MS = 5000 };

struct client {
    int fd;
    int finished;  /* has sent all and half-closed */
    long left;     /* messages still to send */
    size_t offset; /* bytes of the current message already sent */
};

static struct sockaddr_in server;
static char message[BLOCK];
static int set, no_delay;
static long failed; /* short connections that did not end in order */

static void die(const char *what) {
    perror(what);
    exit(1);
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(int flags) {
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < 0) die("socket");
    if (no_delay && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, sizeof no_delay)) die("setsockopt");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) die("connect");
    return fd;
}

/* For servers that listen with a short backlog, or make a thread or a process for each client. */
static void dial_slowly(struct client *clients, int count) {
    for (int i = 0; i < count; i++) {
        clients[i].fd = dial(0);
        usleep(1000);
    }
}

static void watch(int operation, struct client *c, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(set, operation, c->fd, &event)) die("epoll_ctl");
}

/* Sends as far as the socket takes it, at most one message; true when the client has sent all. */
static int send_some(struct client *c, size_t size) {
    ssize_t n = send(c->fd, message + c->offset, size - c->offset, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        if (errno == EAGAIN) return 0;
        die("send");
    }
    c->offset += (size_t)n;
    if (c->offset == size) {
        c->offset = 0;
        c->left--;
    }
    return c->left == 0;
}

static void finish(struct client *c) {
    shutdown(c->fd, SHUT_WR);
    c->finished = 1;
    watch(EPOLL_CTL_MOD, c, EPOLLIN);
}

/* Reads and drops; true at the end of the stream. */
static int at_end(struct client *c) {
    static char drop[4096];
    ssize_t n = read(c->fd, drop, sizeof drop);
    if (n < 0) die("read");
    return n == 0;
}

static void stream(struct client *clients, int count, long each, size_t size) {
    struct epoll_event events[MAX_EVENTS];
    int open = count;
    for (int i = 0; i < count; i++) {
        clients[i].left = each;
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLOUT);
    }
    while (open) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        if (ready < 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            if (!c->finished) {
                if (send_some(c, size)) finish(c);
            } else if (at_end(c)) {
                close(c->fd);
                open--;
            }
        }
    }
}

/* Each client has one line on its way; `offset` counts what is back of it. */
static void trips(struct client *clients, int count, long each) {
    struct epoll_event events[MAX_EVENTS];
    static char back[LINE];
    int open = count;
    for (int i = 0; i < count; i++) {
        clients[i].left = each;
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLIN);
        if (send(clients[i].fd, message, LINE, MSG_NOSIGNAL) != LINE) die("send");
    }
    while (open) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        if (ready < 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            ssize_t n = recv(c->fd, back, LINE - c->offset, MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) continue;
            if (n <= 0 || memcmp(back, message + c->offset, (size_t)n)) die("what came back");
            if ((c->offset += (size_t)n) < LINE) continue;
            c->offset = 0;
            if (--c->left == 0) {
                close(c->fd);
                open--;
            } else if (send(c->fd, message, LINE, MSG_NOSIGNAL) != LINE) {
                die("send");
            }
        }
    }
}

/* How many letters of lines came to a member. */
static long letters(int fd) {
    static char in[65536];
    long found = 0;
    ssize_t n = recv(fd, in, sizeof in, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) die("a member");
    for (ssize_t i = 0; i < n; i++) found += in[i] == 'Q';
    return found;
}

/* Until the server has taken everybody in: one member says lines until each other one has heard one, and then nothing
 * comes any more. */
static void gather(struct client *members, int count) {
    struct epoll_event events[MAX_EVENTS];
    int deaf = count - 1, ready;
    for (int i = 0; i < count; i++) watch(EPOLL_CTL_ADD, &members[i], EPOLLIN);
    do {
        if (deaf && send(members[0].fd, message, LINE, MSG_NOSIGNAL) != LINE) die("send");
        while ((ready = epoll_wait(set, events, MAX_EVENTS, CHAT_QUIET_MS)))
            for (int i = 0; i < ready; i++) {
                struct client *c = events[i].data.ptr;
                if (letters(c->fd) && !c->finished) {
                    c->finished = 1;
                    deaf--;
                }
            }
    } while (deaf);
}

static void chat(struct client *members, int count, long rounds, int senders) {
    struct epoll_event events[MAX_EVENTS];
    for (long round = 0; round < rounds; round++) {
        for (int i = 0; i < senders; i++)
            if (send(members[(round + i) % count].fd, message, LINE, MSG_NOSIGNAL) != LINE) die("send");
        for (long due = (long)senders * (count - 1) * (LINE - 1); due;) {
            int ready = epoll_wait(set, events, MAX_EVENTS, CHAT_WAITS_MS);
            if (ready < 0) die("epoll_wait");
            if (!ready) {
                fprintf(stderr, "round %ld: %ld letters are missing\n", round, due);
                exit(1);
            }
            for (int i = 0; i < ready; i++) due -= letters(((struct client *)events[i].data.ptr)->fd);
        }
    }
}

static void begin(struct client *c) {
    c->fd = dial(SOCK_NONBLOCK);
    c->finished = 0;
    watch(EPOLL_CTL_ADD, c, EPOLLOUT);
}

/* One step of a short connection; true when it is over, in order or not. */
static int step(struct client *c) {
    char drop[LINE];
    if (!c->finished) {
        if (send(c->fd, message, LINE, MSG_NOSIGNAL) == LINE) {
            finish(c);
            return 0;
        }
    } else {
        ssize_t n = read(c->fd, drop, sizeof drop);
        if (n >= 0) return n == 0;
    }
    failed++;
    return 1;
}

static void short_connections(struct client *clients, int count, long total) {
    struct epoll_event events[MAX_EVENTS];
    long started = 0, done = 0;
    for (; started < count && started < total; started++) begin(&clients[started]);
    while (done < total) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        if (ready < 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            if (!step(c)) continue;
            close(c->fd);
            done++;
            if (started == total) continue;
            started++;
            begin(c);
        }
    }
}

/* A socket at a time, and slowly, for a server that listens with a short backlog. */
static int hold(int count, long pause_us) {
    char byte;
    for (int i = 0; i < count; i++) {
        dial(0);
        if (pause_us) usleep((useconds_t)pause_us);
    }
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 6) return fprintf(stderr, "usage: load lines|alone|blocks|trips|chat|short|idle PORT CLIENTS COUNT PACK\n"), 2;
    const char *mode = argv[1];
    int count = atoi(argv[3]);
    long each = atol(argv[4]), pack = atol(argv[5]);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (!strcmp(mode, "idle")) return hold(count, pack);
    if (count < 1 || pack < 1 || pack > BLOCK / LINE || (strcmp(mode, "chat") && each % pack)) return fprintf(stderr, "load: bad count\n"), 2;
    memset(message, 'Q', sizeof message);
    for (size_t end = LINE - 1; strcmp(mode, "blocks") && end < sizeof message; end += LINE) message[end] = '\n';
    set = epoll_create1(0);
    struct client *clients = calloc((size_t)count, sizeof *clients);
    if (!clients) die("calloc");

    no_delay = !strcmp(mode, "alone");
    if (strcmp(mode, "short")) dial_slowly(clients, count);
    if (!strcmp(mode, "chat")) gather(clients, count);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), started = seconds(CLOCK_REALTIME);
    if (!strcmp(mode, "lines") || no_delay) stream(clients, count, each / pack, (size_t)(LINE * pack));
    else if (!strcmp(mode, "blocks")) stream(clients, count, each, BLOCK);
    else if (!strcmp(mode, "trips")) trips(clients, count, each);
    else if (!strcmp(mode, "chat")) chat(clients, count, each, (int)pack);
    else if (!strcmp(mode, "short")) short_connections(clients, count, each);
    else return fprintf(stderr, "load: no such mode: %s\n", mode), 2;
    double ended = seconds(CLOCK_REALTIME);
    printf("{\"started\":%.6f,\"ended\":%.6f,\"cpu_seconds\":%.6f,\"failed\":%ld}\n", started, ended,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, failed);
    return 0;
}
