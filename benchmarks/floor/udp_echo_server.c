/* udp_echo_server: sends every datagram back; prints its port first. Ends when its standard input does. */
#include <poll.h>

#include "worker.h"

int main(void)
{
    static char data[65536];
    struct sockaddr_in here = loopback(0), from;
    struct pollfd watched[2];
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    check(fd >= 0, "socket");
    check(bind(fd, (struct sockaddr *)&here, sizeof here) == 0, "bind");
    printf("%d\n", bound_port(fd));
    fflush(stdout);
    watched[0] = (struct pollfd){.fd = fd, .events = POLLIN};
    watched[1] = (struct pollfd){.fd = 0, .events = POLLIN};
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t n;
        check(poll(watched, 2, -1) > 0, "poll");
        if (watched[1].revents)
            return 0;
        n = recvfrom(fd, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
        if (n >= 0)
            sendto(fd, data, (size_t)n, 0, (struct sockaddr *)&from, length);
    }
}
