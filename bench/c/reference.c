/* The C reference of the benchmark: one thread, one epoll loop, no cleverness beyond that.
 *
 *   reference log FILE   append every line to FILE as "HH:MM:SS.mmm  #N PEER  > LINE"
 *   reference sink       read and drop
 *   reference echo       send back what arrives
 *
 * Prints the port it listens on, alone on a line, and ends on SIGTERM. A connection is closed when
 * its peer has sent FIN. Lines longer than its buffer are cut there.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 1024, READ_SIZE = 256 * 1024, LINE_SIZE = 4096, OUT_SIZE = 1024 * 1024 };
enum mode { LOG, SINK, ECHO };

struct connection {
    int fd;
    unsigned number;
    unsigned held; /* bytes of an unfinished line */
    char name[64]; /* what stands between the time and the text */
    unsigned name_size;
    char *line;
};

static char input[READ_SIZE];
static char out[OUT_SIZE];
static size_t out_used;
static int out_fd = -1;
static char stamp[32];
static size_t stamp_size;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void flush_out(void) {
    size_t done = 0;
    while (done < out_used) {
        ssize_t n = write(out_fd, out + done, out_used - done);
        if (n < 0) die("write");
        done += (size_t)n;
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
            if (!c->line && !(c->line = malloc(LINE_SIZE))) die("malloc");
            memcpy(c->line + c->held, bytes, take);
            c->held += (unsigned)take;
            if (end || c->held == LINE_SIZE) {
                log_text(c, "> ", c->line, c->held);
                c->held = 0;
            }
        }
        bytes += part + (end != NULL);
        size -= part + (end != NULL);
    }
}

static void echo(int fd, const char *bytes, size_t size) {
    while (size) {
        ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) return;
            struct timespec pause = {0, 50000};
            nanosleep(&pause, NULL);
            continue;
        }
        bytes += n;
        size -= (size_t)n;
    }
}

int main(int argc, char **argv) {
    enum mode mode;
    if (argc == 3 && !strcmp(argv[1], "log")) mode = LOG;
    else if (argc == 2 && !strcmp(argv[1], "sink")) mode = SINK;
    else if (argc == 2 && !strcmp(argv[1], "echo")) mode = ECHO;
    else return fprintf(stderr, "usage: reference log FILE | sink | echo\n"), 2;
    if (mode == LOG && (out_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0644)) < 0) die(argv[2]);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_size = sizeof at;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 4096)) die("listen");
    getsockname(listener, (struct sockaddr *)&at, &at_size);
    printf("%d\n", ntohs(at.sin_port));
    fflush(stdout);

    int set = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[MAX_EVENTS];
    epoll_ctl(set, EPOLL_CTL_ADD, listener, &event);
    unsigned count = 0;
    for (;;) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        if (ready < 0) die("epoll_wait");
        stamp_now();
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                for (;;) {
                    socklen_t size = sizeof at;
                    int fd = accept4(listener, (struct sockaddr *)&at, &size, SOCK_NONBLOCK);
                    if (fd < 0) break;
                    c = calloc(1, sizeof *c);
                    if (!c) die("calloc");
                    c->fd = fd;
                    c->number = ++count;
                    char host[INET_ADDRSTRLEN];
                    inet_ntop(AF_INET, &at.sin_addr, host, sizeof host);
                    c->name_size = (unsigned)snprintf(c->name, sizeof c->name, "  #%u %s:%d  ", c->number, host,
                                                      ntohs(at.sin_port));
                    event.data.ptr = c;
                    epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
                    if (mode == LOG) log_text(c, "connected", "", 0);
                }
                continue;
            }
            ssize_t n = recv(c->fd, input, sizeof input, 0);
            if (n < 0 && errno == EAGAIN) continue;
            if (n > 0) {
                if (mode == LOG) log_lines(c, input, (size_t)n);
                else if (mode == ECHO) echo(c->fd, input, (size_t)n);
                continue;
            }
            if (mode == LOG) log_text(c, n ? "reset" : "closed", "", 0);
            close(c->fd);
            free(c->line);
            free(c);
        }
        if (out_used) flush_out();
    }
}
