/* udp_echo PORT SIZE [promises]: round trips of one datagram of SIZE bytes, a blocking send and a blocking recvfrom each. */
#include "promises.h"

static int fd;
static size_t size;
static char data[65536];

static void run(struct stopwatch *watch, int64_t count)
{
    struct sockaddr_storage from;
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
    check(argc == 3 || argc == 4, "udp_echo PORT SIZE [promises]");
    size = (size_t)atoi(argv[2]);
    check(size > 0 && size <= sizeof data, "SIZE");
    if (argc == 4) {
        fd = connect_udp_of_both_families(atoi(argv[1]));
        bound_waits(fd);
    } else {
        struct sockaddr_in target = loopback(atoi(argv[1]));
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        check(fd >= 0, "socket");
        check(connect(fd, (struct sockaddr *)&target, sizeof target) == 0, "connect");
    }
    return serve(run);
}
