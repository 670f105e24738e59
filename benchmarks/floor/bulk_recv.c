/* bulk_recv PORT SIZE: receives at most SIZE bytes a call; an operation is SIZE bytes received. */
#include "worker.h"

static int fd;
static size_t size;
static char *data;

static void run(struct stopwatch *watch, int64_t count)
{
    int64_t left = count * (int64_t)size;
    start(watch);
    while (left > 0) {
        ssize_t n = recv(fd, data, size, 0);
        check(n > 0, "recv");
        left -= n;
    }
    stop(watch, count);
}

int main(int argc, char **argv)
{
    check(argc == 3, "bulk_recv PORT SIZE");
    fd = connect_to(atoi(argv[1]));
    size = (size_t)atoi(argv[2]);
    data = malloc(size);
    check(data != NULL, "malloc");
    return serve(run);
}
