/* feed SIZE: sends records of SIZE bytes that end in a newline, as fast as the peer takes them. */
#include "serving.h"

static size_t size;

static void feed(int fd)
{
    size_t records = size < 262144 ? 262144 / size : 1;
    size_t total = records * size;
    char *data = malloc(total);
    check(data != NULL, "malloc");
    memset(data, 'x', total);
    for (size_t i = 1; i <= records; i++)
        data[i * size - 1] = '\n';
    for (;;)
        for (size_t at = 0; at < total;) {
            ssize_t sent = send(fd, data + at, total - at, 0);
            if (sent < 0)
                return;
            at += (size_t)sent;
        }
}

int main(int argc, char **argv)
{
    size = argc > 1 ? (size_t)atoll(argv[1]) : 0;
    check(size > 0, "feed SIZE");
    return serve_connections(feed);
}
