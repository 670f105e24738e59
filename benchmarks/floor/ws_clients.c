/* ws_clients PORT SOURCE: many clients, connected from the address SOURCE.
 *
 * Lines on standard input: "open N" brings their number to N; "say SIZE" sends a message of SIZE
 * bytes on every one; "hear COUNT SIZE" receives COUNT messages of SIZE bytes on every one; "finish"
 * receives a Close frame on every one, answers it and waits for the end of the stream. Each is
 * answered with one number: how many clients are there; for "finish", how many got the code 1001.
 */
#include "websocket.h"

enum { ROOM = 65536, GOING_AWAY = 1001 };

static int *fds, port;
static char data[ROOM], frame[ROOM + LONGEST_HEADER];

static int connect_from(const char *source)
{
    struct sockaddr_in from = loopback(0), to = loopback(port);
    /* Ended by a reset where "finish" has not ended it: no TIME_WAIT. */
    struct linger reset = {1, 0};
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    check(fd >= 0, "socket");
    check(inet_pton(AF_INET, source, &from.sin_addr) == 1, "SOURCE");
    /* The port is chosen at connect, where one that is taken towards another address will do. */
    check(setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0, "IP_BIND_ADDRESS_NO_PORT");
    check(bind(fd, (struct sockaddr *)&from, sizeof from) == 0, "bind");
    check(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    check(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0, "SO_LINGER");
    no_delay(fd);
    return fd;
}

/* Receive a Close frame and answer it; returns its code. */
static int answer_close(int fd)
{
    unsigned char close_frame[4];
    receive_exactly(fd, close_frame, sizeof close_frame);
    check(close_frame[0] == (0x80 | CLOSE) && close_frame[1] >= 2 && close_frame[1] <= 125, "a Close frame");
    receive_exactly(fd, data, (size_t)close_frame[1] - 2);
    send_exactly(fd, frame, build_masked(frame, CLOSE, (char *)close_frame + 2, 2));
    return close_frame[2] << 8 | close_frame[3];
}

int main(int argc, char **argv)
{
    char line[64];
    long count = 0;
    check(argc == 3, "ws_clients PORT SOURCE");
    port = atoi(argv[1]);
    dryad_mask_choose();
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        long number = 0, size = 0, answer;
        if (sscanf(line, "open %ld", &number) == 1) {
            if (number > count)
                fds = realloc(fds, (size_t)number * sizeof *fds);
            check(fds != NULL, "realloc");
            for (; count < number; count++) {
                fds[count] = connect_from(argv[2]);
                ask_for_upgrade(fds[count], port);
            }
        } else if (sscanf(line, "say %ld", &size) == 1) {
            check(size <= ROOM, "SIZE");
            for (long i = 0; i < count; i++)
                send_exactly(fds[i], frame, build_masked(frame, BINARY, data, (size_t)size));
        } else if (sscanf(line, "hear %ld %ld", &number, &size) == 2) {
            size_t one = header_size((size_t)size, 0) + (size_t)size;
            check(one <= ROOM, "SIZE");
            for (long i = 0; i < count; i++)
                for (size_t left = (size_t)number * one; left > 0;) {
                    ssize_t n = recv(fds[i], data, left < ROOM ? left : ROOM, 0);
                    check(n > 0, "recv");
                    left -= (size_t)n;
                }
        }
        answer = count;
        if (strncmp(line, "finish", 6) == 0) {
            answer = 0;
            for (long i = 0; i < count; i++)
                answer += answer_close(fds[i]) == GOING_AWAY;
            for (; count > 0; count--) {
                check(recv(fds[count - 1], data, 1, 0) == 0, "the end of the stream");
                close(fds[count - 1]);
            }
        }
        printf("%ld\n", answer);
        fflush(stdout);
    }
    return 0;
}
