/* connections accept PORT_IS_PRINTED | connections connect PORT: many connections, for memory.py.
 *
 * Lines on standard input: "open N" brings the number of connections to N, "say" sends 64 bytes on
 * every one, "hear" receives 64 bytes on every one. Each is answered with the bytes of memory that
 * are private to this process.
 */
#include "private.h"
#include "worker.h"

enum { SIZE = 64 };

int main(int argc, char **argv)
{
    char line[64], data[SIZE] = {0};
    int *fds = NULL, listener = -1, port;
    long count = 0, room = 0;
    check(argc == 3, "connections accept 0 | connect PORT");
    port = atoi(argv[2]);
    if (port == 0) {
        listener = listen_on_any_port();
        printf("%d\n", bound_port(listener));
    } else {
        printf("0\n");
    }
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "open ", 5) == 0) {
            long wanted = atol(line + 5);
            if (wanted > room) {
                fds = realloc(fds, (size_t)wanted * sizeof *fds);
                check(fds != NULL, "realloc");
                room = wanted;
            }
            for (; count < wanted; count++) {
                /* Ended by a reset, so that thousands of ports do not stay in TIME_WAIT. */
                struct linger reset = {1, 0};
                fds[count] = listener >= 0 ? accept(listener, NULL, NULL) : connect_to(port);
                check(fds[count] >= 0, "accept");
                setsockopt(fds[count], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            }
        }
        for (long i = 0; i < count; i++) {
            if (strncmp(line, "say", 3) == 0)
                check(send(fds[i], data, SIZE, 0) == SIZE, "send");
            if (strncmp(line, "hear", 4) == 0)
                receive_exactly(fds[i], data, SIZE);
        }
        printf("%lld\n", private_bytes());
        fflush(stdout);
    }
    return 0;
}
