/* The load client of the benchmark: one thread, one epoll loop.
 *
 *   load lines  PORT CLIENTS LINES     each client sends LINES lines of 64 bytes, one send() a line
 *   load blocks PORT CLIENTS BLOCKS    each client sends BLOCKS blocks of 256 kB
 *   load short  PORT CLIENTS COUNT     COUNT times: connect, one line, half-close, read to the end,
 *                                      close; CLIENTS of them at a time
 *   load idle   PORT CLIENTS 0         connects, prints "ready", holds until standard input ends
 *
 * The first two half-close and wait until the server has closed, so that what is timed is what has
 * been read, not what lies in a buffer. Prints {"seconds":…,"cpu_seconds":…}.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, BLOCK = 256 * 1024, MAX_EVENTS = 256 };

struct client {
    int fd;
    int finished;  /* sent all, half-closed */
    long left;     /* messages still to send */
    size_t offset; /* bytes of the current message already sent */
};

static struct sockaddr_in server;
static char message[BLOCK];
static int set;

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
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS) die("connect");
    return fd;
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

static void stream(struct client *clients, int count, long each, size_t size) {
    struct epoll_event events[MAX_EVENTS];
    char drop[4096];
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
                if (send_some(c, size)) {
                    shutdown(c->fd, SHUT_WR);
                    c->finished = 1;
                    watch(EPOLL_CTL_MOD, c, EPOLLIN);
                }
                continue;
            }
            ssize_t n = read(c->fd, drop, sizeof drop);
            if (n < 0) die("read");
            if (n == 0) {
                close(c->fd);
                open--;
            }
        }
    }
}

static void short_connections(struct client *clients, int count, long total) {
    struct epoll_event events[MAX_EVENTS];
    char drop[4096];
    long started = 0, done = 0;
    for (int i = 0; i < count && started < total; i++, started++) {
        clients[i].fd = dial(SOCK_NONBLOCK);
        clients[i].finished = 0;
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLOUT);
    }
    while (done < total) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        if (ready < 0) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            if (!c->finished) {
                if (send(c->fd, message, LINE, MSG_NOSIGNAL) != LINE) die("send");
                shutdown(c->fd, SHUT_WR);
                c->finished = 1;
                watch(EPOLL_CTL_MOD, c, EPOLLIN);
                continue;
            }
            ssize_t n = read(c->fd, drop, sizeof drop);
            if (n < 0) die("read");
            if (n > 0) continue;
            close(c->fd);
            done++;
            if (started < total) {
                started++;
                c->fd = dial(SOCK_NONBLOCK);
                c->finished = 0;
                watch(EPOLL_CTL_ADD, c, EPOLLOUT);
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc != 5) return fprintf(stderr, "usage: load lines|blocks|short|idle PORT CLIENTS COUNT\n"), 2;
    const char *mode = argv[1];
    int count = atoi(argv[3]);
    long each = atol(argv[4]);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(message, 'x', sizeof message);
    if (strcmp(mode, "blocks")) message[LINE - 1] = '\n';
    set = epoll_create1(0);
    struct client *clients = calloc((size_t)count, sizeof *clients);
    if (!clients) die("calloc");

    if (strcmp(mode, "short"))
        for (int i = 0; i < count; i++) clients[i].fd = dial(0);
    if (!strcmp(mode, "idle")) {
        puts("ready");
        fflush(stdout);
        char byte;
        while (read(0, &byte, 1) > 0) {}
        return 0;
    }
    double wall = seconds(CLOCK_MONOTONIC);
    if (!strcmp(mode, "lines")) stream(clients, count, each, LINE);
    else if (!strcmp(mode, "blocks")) stream(clients, count, each, BLOCK);
    else if (!strcmp(mode, "short")) short_connections(clients, count, each);
    else return fprintf(stderr, "load: no such mode: %s\n", mode), 2;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    printf("{\"seconds\":%.6f,\"cpu_seconds\":%.6f}\n", wall, seconds(CLOCK_PROCESS_CPUTIME_ID));
    return 0;
}
