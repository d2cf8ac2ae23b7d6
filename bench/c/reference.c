/* The C reference of the benchmark: one thread, one epoll loop, no cleverness beyond that.
 *
 *   reference log PORT    write every line to standard output as "HH:MM:SS.mmm  #N PEER  > LINE"
 *   reference sink PORT   read and drop
 *   reference echo PORT   send back what arrives
 *
 * Listens on 127.0.0.1:PORT and ends on SIGTERM. A connection is closed when its peer has sent FIN.
 * What is the same for a connection's life is formatted once, the time once a turn of the loop, and
 * a turn's output leaves in one write(). A line longer than its buffer is cut there.
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

enum { MAX_EVENTS = 1024, READ_SIZE = 256 * 1024, LINE_SIZE = 4096, OUT_SIZE = 1024 * 1024 };
enum mode { LOG, SINK, ECHO };

struct connection {
    int fd;
    unsigned held;      /* bytes in `buffer`: of an unfinished line, or not yet echoed */
    unsigned sent;      /* bytes of those that have been echoed */
    unsigned name_size;
    char *buffer;       /* made when first needed: an idle connection has none */
    char name[64];      /* what stands between the time and the text */
};

static enum mode mode;
static int set, listener;
static unsigned accepted;
static char input[READ_SIZE];
static char out[OUT_SIZE];
static size_t out_used;
static char stamp[32];
static size_t stamp_size;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void watch(int operation, int fd, unsigned events, void *what) {
    struct epoll_event event = {.events = events, .data.ptr = what};
    if (epoll_ctl(set, operation, fd, &event)) die("epoll_ctl");
}

static char *buffer(struct connection *c, size_t size) {
    if (!c->buffer && !(c->buffer = malloc(size))) die("malloc");
    return c->buffer;
}

static void flush_out(void) {
    size_t done = 0;
    while (done < out_used) {
        ssize_t n = write(1, out + done, out_used - done);
        if (n < 0 && errno != EINTR) die("write");
        if (n > 0) done += (size_t)n;
    }
    out_used = 0;
}

static void stamp_now(void) {
    static time_t last_second = -1;
    static char second[16];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != last_second) {
        struct tm tm;
        localtime_r(&now.tv_sec, &tm);
        strftime(second, sizeof second, "%H:%M:%S", &tm);
        last_second = now.tv_sec;
    }
    stamp_size = (size_t)snprintf(stamp, sizeof stamp, "%s.%03ld", second, now.tv_nsec / 1000000);
}

static void put(const char *bytes, size_t size) {
    memcpy(out + out_used, bytes, size);
    out_used += size;
}

static void log_text(struct connection *c, const char *sign, const char *text, size_t size) {
    if (out_used + size + 128 > OUT_SIZE) flush_out();
    put(stamp, stamp_size);
    put(c->name, c->name_size);
    put(sign, strlen(sign));
    put(text, size);
    put("\n", 1);
}

static void log_lines(struct connection *c, const char *bytes, size_t size) {
    while (size) {
        const char *end = memchr(bytes, '\n', size);
        size_t part = end ? (size_t)(end - bytes) : size;
        if (end && c->held == 0) {
            log_text(c, "> ", bytes, part);
        } else {
            size_t room = LINE_SIZE - c->held, take = part < room ? part : room;
            memcpy(buffer(c, LINE_SIZE) + c->held, bytes, take);
            c->held += (unsigned)take;
            if (end || c->held == LINE_SIZE) {
                log_text(c, "> ", c->buffer, c->held);
                c->held = 0;
            }
        }
        bytes += part + (end != NULL);
        size -= part + (end != NULL);
    }
}

/* Sends what it can; the rest is kept, and nothing more is read from this peer until it has gone. */
static int echo(struct connection *c, const char *bytes, size_t size) {
    ssize_t n = send(c->fd, bytes, size, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return -1;
    if (n < 0) n = 0;
    if ((size_t)n == size) return 0;
    c->held = (unsigned)(size - (size_t)n);
    memcpy(buffer(c, READ_SIZE), bytes + n, c->held);
    watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    return 0;
}

static int echo_rest(struct connection *c) {
    ssize_t n = send(c->fd, c->buffer + c->sent, c->held - c->sent, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN ? 0 : -1;
    c->sent += (unsigned)n;
    if (c->sent < c->held) return 0;
    c->held = c->sent = 0;
    watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    return 0;
}

static void accept_all(void) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    int fd;
    while ((fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (!c) die("calloc");
        c->fd = fd;
        char host[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &peer.sin_addr, host, sizeof host);
        c->name_size = (unsigned)snprintf(c->name, sizeof c->name, "  #%u %s:%d  ", ++accepted, host,
                                          ntohs(peer.sin_port));
        watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
        if (mode == LOG) log_text(c, "connected", "", 0);
    }
    if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) die("accept");
}

static void serve(struct connection *c, unsigned events) {
    ssize_t n;
    if (events & EPOLLOUT) {
        n = echo_rest(c);
        if (n == 0) return;
    } else {
        n = recv(c->fd, input, sizeof input, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n > 0) {
            if (mode == LOG) log_lines(c, input, (size_t)n);
            if (mode != ECHO || echo(c, input, (size_t)n) == 0) return;
            n = -1;
        }
    }
    if (mode == LOG && c->held) log_text(c, "> ", c->buffer, c->held);
    if (mode == LOG) log_text(c, n ? "reset" : "closed", "", 0);
    close(c->fd);
    free(c->buffer);
    free(c);
}

static void start(int port) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    set = epoll_create1(0);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: reference log|sink|echo PORT\n"), 2;
    if (!strcmp(argv[1], "log")) mode = LOG;
    else if (!strcmp(argv[1], "sink")) mode = SINK;
    else if (!strcmp(argv[1], "echo")) mode = ECHO;
    else return fprintf(stderr, "reference: no such mode: %s\n", argv[1]), 2;
    start(atoi(argv[2]));

    struct epoll_event events[MAX_EVENTS];
    for (;;) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        stamp_now();
        for (int i = 0; i < ready; i++) {
            if (events[i].data.ptr) serve(events[i].data.ptr, events[i].events);
            else accept_all();
        }
        if (out_used) flush_out();
    }
}
