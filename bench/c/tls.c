/* The load client of the benchmark for TLS: one thread, one epoll loop, to 127.0.0.1:PORT.
 *
 *   tls trips PORT CLIENTS TRIPS   each client sends a line of 64 bytes and waits until it is back, TRIPS times
 *   tls shake PORT CLIENTS TOTAL   TOTAL times: connect, a full handshake, close_notify, close; CLIENTS at a time
 *
 * No certificate is checked and no session is resumed. Prints as load.c does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 64, MAX_EVENTS = 256 };

struct client {
    int fd;
    SSL *ssl;
    long left;  /* trips still to make */
    int came;   /* bytes of the line that are back */
};

static struct sockaddr_in server;
static SSL_CTX *context;
static char line[LINE];
static int set;
static long failed;

static void die(const char *what) {
    perror(what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void dial(struct client *c) {
    int on = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&server, sizeof server)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    c->ssl = SSL_new(context);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd)) die("SSL_new");
    SSL_set_connect_state(c->ssl);
}

static void watch(int operation, struct client *c, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    if (epoll_ctl(set, operation, c->fd, &event)) die("epoll_ctl");
}

static void block(struct client *c, int blocking) {
    int flags = fcntl(c->fd, F_GETFL);
    fcntl(c->fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static void trips(struct client *clients, int count, long each) {
    struct epoll_event events[MAX_EVENTS];
    int open = count;
    for (int i = 0; i < count; i++) {
        clients[i].left = each;
        if (SSL_write(clients[i].ssl, line, LINE) != LINE) die("SSL_write");
    }
    while (open) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            char back[LINE];
            int n;
            while ((n = SSL_read(c->ssl, back, LINE - c->came)) > 0) {
                c->came += n;
                if (c->came < LINE) continue;
                c->came = 0;
                if (--c->left == 0) {
                    open--;
                    watch(EPOLL_CTL_DEL, c, 0);
                    break;
                }
                if (SSL_write(c->ssl, line, LINE) != LINE) die("SSL_write");
            }
            if (n <= 0 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) die("SSL_read");
        }
    }
}

static void shake(struct client *clients, int count, long total) {
    struct epoll_event events[MAX_EVENTS];
    long begun = 0, done = 0;
    for (int i = 0; i < count && begun < total; i++, begun++) {
        dial(&clients[i]);
        block(&clients[i], 0);
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLOUT);
    }
    while (done < total) {
        int ready = epoll_wait(set, events, MAX_EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            struct client *c = events[i].data.ptr;
            int n = SSL_do_handshake(c->ssl);
            int why = n == 1 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, n);
            if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
                watch(EPOLL_CTL_MOD, c, why == SSL_ERROR_WANT_READ ? EPOLLIN : EPOLLOUT);
                continue;
            }
            if (n == 1)
                SSL_shutdown(c->ssl);
            else
                failed++;
            ERR_clear_error();
            SSL_free(c->ssl);
            close(c->fd);
            done++;
            if (begun < total) {
                begun++;
                dial(c);
                block(c, 0);
                watch(EPOLL_CTL_ADD, c, EPOLLOUT);
            }
        }
    }
}

int main(int argc, char **argv) {
    if (argc < 5) {
        fprintf(stderr, "usage: tls trips|shake PORT CLIENTS COUNT\n");
        return 2;
    }
    int count = atoi(argv[3]);
    long number = atol(argv[4]);
    int keeps = !strcmp(argv[1], "trips");
    struct client *clients = calloc((size_t)count, sizeof *clients);
    server = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argv[2]))};
    inet_pton(AF_INET, "127.0.0.1", &server.sin_addr);
    memset(line, 'Q', LINE - 1);
    line[LINE - 1] = '\n';
    context = SSL_CTX_new(TLS_client_method());
    set = epoll_create1(0);
    if (!clients || !context || set < 0) die("start");
    for (int i = 0; keeps && i < count; i++) {
        dial(&clients[i]);
        if (SSL_do_handshake(clients[i].ssl) != 1) die("handshake");
        block(&clients[i], 0);
        watch(EPOLL_CTL_ADD, &clients[i], EPOLLIN);
    }
    double started = seconds(CLOCK_REALTIME), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    if (keeps)
        trips(clients, count, number);
    else
        shake(clients, count, number);
    double ended = seconds(CLOCK_REALTIME);
    printf("{\"started\":%.6f,\"ended\":%.6f,\"cpu_seconds\":%.6f,\"failed\":%ld}\n", started, ended,
           seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu, failed);
    return 0;
}
