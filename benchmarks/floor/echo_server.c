/* Sends back what it receives. */
#include "serving.h"

static void echo(int fd)
{
    static char data[65536];
    ssize_t n, sent;
    while ((n = recv(fd, data, sizeof data, 0)) > 0)
        for (ssize_t at = 0; at < n; at += sent)
            if ((sent = send(fd, data + at, (size_t)(n - at), 0)) < 0)
                return;
}

int main(void)
{
    return serve_connections(echo);
}
