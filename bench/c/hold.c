/* Connections that are there and say nothing: a process that holds both ends of them.
 *
 *   hold ADDRESS PORT COUNT   listens on ADDRESS:PORT, connects to it COUNT times, prints "ready", and holds
 *                             until standard input ends or its parent does
 *
 * Two descriptors a connection, and one for the listener. At the end all are reset, so that no connection
 * stays in TIME_WAIT.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void reset_at_end(int fd) {
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger)) die("setsockopt");
}

int main(int argc, char **argv) {
    char byte;
    int on = 1;
    if (argc != 4) return fprintf(stderr, "usage: hold ADDRESS PORT COUNT\n"), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);

    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &at.sin_addr) != 1) return fprintf(stderr, "hold: bad address\n"), 2;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0) die("socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, 128)) die("listen");
    for (int left = atoi(argv[3]); left > 0; left--) {
        int client = socket(AF_INET, SOCK_STREAM, 0);
        if (client < 0) die("socket");
        if (connect(client, (struct sockaddr *)&at, sizeof at)) die("connect");
        int accepted = accept(listener, NULL, NULL);
        if (accepted < 0) die("accept");
        reset_at_end(client);
        reset_at_end(accepted);
    }
    puts("ready");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
    return 0;
}
