/* udp recv|sendto|send SIZE: datagrams of SIZE bytes, filled into and drained from a socket of our own. */
#include "worker.h"

enum { BATCH = 64 };

static int sender, receiver;
static size_t size;
static struct sockaddr_in target;
static char data[65536];

static void fill(int to_address)
{
    for (int i = 0; i < BATCH; i++) {
        ssize_t n = to_address ? sendto(sender, data, size, 0, (struct sockaddr *)&target, sizeof target)
                               : send(sender, data, size, 0);
        check(n == (ssize_t)size, "send");
    }
}

/* The sender's address too, as in what is compared with it. */
static void drain(void)
{
    struct sockaddr_in from;
    for (int i = 0; i < BATCH; i++) {
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(receiver, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
        check(n == (ssize_t)size, "recvfrom");
    }
}

static void time_drain(struct stopwatch *watch, int64_t count)
{
    for (; count > 0; count -= BATCH) {
        fill(1);
        start(watch);
        drain();
        stop(watch, BATCH);
    }
}

static void time_fill(struct stopwatch *watch, int64_t count, int to_address)
{
    for (; count > 0; count -= BATCH) {
        start(watch);
        fill(to_address);
        stop(watch, BATCH);
        drain();
    }
}

static void time_sendto(struct stopwatch *watch, int64_t count)
{
    time_fill(watch, count, 1);
}

static void time_send(struct stopwatch *watch, int64_t count)
{
    time_fill(watch, count, 0);
}

int main(int argc, char **argv)
{
    check(argc == 3, "udp WHAT SIZE");
    size = (size_t)atoi(argv[2]);
    check(size <= sizeof data, "SIZE");
    sender = socket(AF_INET, SOCK_DGRAM, 0);
    receiver = socket(AF_INET, SOCK_DGRAM, 0);
    check(sender >= 0 && receiver >= 0, "socket");
    target = loopback(0);
    check(bind(receiver, (struct sockaddr *)&target, sizeof target) == 0, "bind");
    target = loopback(bound_port(receiver));
    if (strcmp(argv[1], "recv") == 0)
        return serve(time_drain);
    if (strcmp(argv[1], "sendto") == 0)
        return serve(time_sendto);
    check(connect(sender, (struct sockaddr *)&target, sizeof target) == 0, "connect");
    return serve(time_send);
}
