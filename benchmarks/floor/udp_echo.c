/* udp_echo PORT SIZE: round trips of one datagram of SIZE bytes, a blocking send and a blocking recvfrom each. */
#include "worker.h"

static int fd;
static size_t size;
static char data[65536];

static void run(struct stopwatch *watch, int64_t count)
{
    struct sockaddr_in from;
    start(watch);
    for (int64_t i = 0; i < count; i++) {
        socklen_t length = sizeof from;
        check(send(fd, data, size, 0) == (ssize_t)size, "send");
        /* The sender's address too, as in what is compared with it. */
        check(recvfrom(fd, data, sizeof data, 0, (struct sockaddr *)&from, &length) == (ssize_t)size, "recvfrom");
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    struct sockaddr_in target;
    check(argc == 3, "udp_echo PORT SIZE");
    target = loopback(atoi(argv[1]));
    size = (size_t)atoi(argv[2]);
    check(size > 0 && size <= sizeof data, "SIZE");
    fd = socket(AF_INET, SOCK_DGRAM, 0);
    check(fd >= 0, "socket");
    check(connect(fd, (struct sockaddr *)&target, sizeof target) == 0, "connect");
    return serve(run);
}
