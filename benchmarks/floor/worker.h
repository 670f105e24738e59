/* What every floor program shares: the clocks, the worker protocol of harness.py, and connecting.
 *
 * A worker says "ready", then answers every line "COUNT" with "WALL CPU OPS": nanoseconds on the
 * clock, nanoseconds of its own processor time, and how many operations that was.
 */
#ifndef DRYAD_NET_FLOOR_WORKER_H
#define DRYAD_NET_FLOOR_WORKER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline void check(int good, const char *what)
{
    if (!good) {
        perror(what);
        exit(1);
    }
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The part of a run that counts: what lies between start() and stop() is added up. */
struct stopwatch {
    int64_t wall, cpu, operations, wall_start, cpu_start;
};

static inline void start(struct stopwatch *watch)
{
    watch->cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    watch->wall_start = clock_ns(CLOCK_MONOTONIC);
}

static inline void stop(struct stopwatch *watch, int64_t operations)
{
    watch->wall += clock_ns(CLOCK_MONOTONIC) - watch->wall_start;
    watch->cpu += clock_ns(CLOCK_PROCESS_CPUTIME_ID) - watch->cpu_start;
    watch->operations += operations;
}

/* Answer the harness until it closes our standard input. */
static inline int serve(void (*run)(struct stopwatch *watch, int64_t count))
{
    char line[64];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        struct stopwatch watch = {0};
        run(&watch, atoll(line));
        printf("%lld %lld %lld\n", (long long)watch.wall, (long long)watch.cpu, (long long)watch.operations);
        fflush(stdout);
    }
    return 0;
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address;
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline int bound_port(int fd)
{
    struct sockaddr_in address;
    socklen_t length = sizeof address;
    check(getsockname(fd, (struct sockaddr *)&address, &length) == 0, "getsockname");
    return ntohs(address.sin_port);
}

static inline void no_delay(int fd)
{
    int on = 1;
    check(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0, "TCP_NODELAY");
}

static inline int connect_to(int port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    no_delay(fd);
    return fd;
}

static inline int listen_on_any_port(void)
{
    struct sockaddr_in address = loopback(0);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    check(fd >= 0, "socket");
    check(bind(fd, (struct sockaddr *)&address, sizeof address) == 0, "bind");
    check(listen(fd, 1024) == 0, "listen");
    return fd;
}

/* Both ends of a TCP connection, in one process. */
static inline void connected_pair(int ends[2])
{
    int listener = listen_on_any_port();
    ends[0] = connect_to(bound_port(listener));
    ends[1] = accept(listener, NULL, NULL);
    check(ends[1] >= 0, "accept");
    close(listener);
}

static inline void receive_exactly(int fd, void *data, size_t size)
{
    char *at = data;
    while (size > 0) {
        ssize_t n = recv(fd, at, size, 0);
        check(n > 0, "recv");
        at += n;
        size -= (size_t)n;
    }
}

#endif
