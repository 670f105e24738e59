/* An echo over TCP and one over WebSocket, from C: ./echo /path/to/libdryad_net.so
 *
 * Shows the two ways to call: by name with JSON, for everything that is done once, and the typed
 * functions, for what is done over and over. Server and client share the one thread, as in a script.
 */
#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dryad_net.h"

/* The functions of dryad_net.h that are used here, with their types. */
#define FUNCTIONS(X)               \
    X(dryad_net_abi_version)       \
    X(dryad_net_call)              \
    X(dryad_net_status)            \
    X(dryad_net_error)             \
    X(dryad_net_length)            \
    X(dryad_net_tcp_send)          \
    X(dryad_net_tcp_recv_until)    \
    X(dryad_net_ws_accept)         \
    X(dryad_net_ws_send)           \
    X(dryad_net_ws_recv_blocking)

static struct {
#define X(name) __typeof__(name) *name;
    FUNCTIONS(X)
#undef X
} net;

static void open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
#define X(name)                                             \
    {                                                       \
        void *symbol = dlsym(library, #name);               \
        memcpy(&net.name, &symbol, sizeof symbol);          \
    }
    FUNCTIONS(X)
#undef X
    if (net.dryad_net_abi_version == NULL || net.dryad_net_abi_version() != DRYAD_NET_ABI_VERSION) {
        fprintf(stderr, "%s: another version\n", path);
        exit(1);
    }
}

/* The number that follows a key in an answer; a real program has a JSON library for this. */
static int64_t number_after(const char *answer, const char *key)
{
    const char *found = strstr(answer, key);
    return found == NULL ? 0 : strtoll(found + strlen(key), NULL, 10);
}

/* Call a function by its name; arguments are a format for the JSON array. Ends the program on an error. */
static const char *call(const char *function, const char *arguments, ...)
{
    char json[512];
    va_list values;
    va_start(values, arguments);
    vsnprintf(json, sizeof json, arguments, values);
    va_end(values);
    const char *answer = net.dryad_net_call(function, json);
    if (strncmp(answer, "{\"ok\":true", 10) != 0) {
        fprintf(stderr, "%s\n", answer);
        exit(1);
    }
    return answer;
}

static int64_t call_for_id(const char *function, const char *arguments, int64_t value)
{
    return number_after(call(function, arguments, value), "\"value\":");
}

/* What a typed function returned, unless it failed or had nothing. */
static const char *checked(const char *text)
{
    if (net.dryad_net_status() != DRYAD_NET_VALUE) {
        fprintf(stderr, "%s\n", net.dryad_net_status() == DRYAD_NET_NULL ? "nothing came" : net.dryad_net_error());
        exit(1);
    }
    return text;
}

static void tcp_echo(void)
{
    int64_t server = call_for_id("native_tcp_listen", "[%" PRId64 "]", 0);
    int64_t port = number_after(call("native_tcp_get_local_addr", "[%" PRId64 "]", server), "\"port\":");
    int64_t client = call_for_id("native_tcp_connect", "[\"127.0.0.1\", %" PRId64 "]", port);
    int64_t accepted = call_for_id("native_tcp_accept_blocking", "[%" PRId64 ", 5000]", server);
    net.dryad_net_tcp_send((uintptr_t)client, "hello over TCP\n");
    /* What was received may be passed on as it is: it is read before it is overwritten. */
    net.dryad_net_tcp_send((uintptr_t)accepted, checked(net.dryad_net_tcp_recv_until((uintptr_t)accepted, "\n")));
    const char *line = checked(net.dryad_net_tcp_recv_until((uintptr_t)client, "\n"));
    printf("%" PRId64 " bytes: %s", net.dryad_net_length(), line);
    call("native_tcp_stop_server", "[%" PRId64 "]", server);
    call("native_tcp_close", "[%" PRId64 "]", client);
}

static void ws_echo(void)
{
    int64_t server = call_for_id("native_ws_listen", "[%" PRId64 "]", 0);
    int64_t port = number_after(call("native_ws_get_local_addr", "[%" PRId64 "]", server), "\"port\":");
    int64_t client = call_for_id("native_ws_connect", "[\"ws://127.0.0.1:%" PRId64 "/echo\"]", port);
    net.dryad_net_ws_send((uintptr_t)client, "hello over WebSocket"); /* completes the handshake */
    call("native_net_wait", "[[%" PRId64 "], 5000]", server);
    uintptr_t accepted = (uintptr_t)net.dryad_net_ws_accept((uintptr_t)server);
    net.dryad_net_ws_send(accepted, checked(net.dryad_net_ws_recv_blocking(accepted, 5000)));
    const char *message = checked(net.dryad_net_ws_recv_blocking((uintptr_t)client, 5000));
    printf("%" PRId64 " bytes: %s\n", net.dryad_net_length(), message);
    call("native_ws_stop_server", "[%" PRId64 "]", server);
    call("native_ws_close", "[%" PRId64 "]", client);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: %s \"$(python3 -m dryad_net paths library)\"\n", arguments[0]);
        return 1;
    }
    open_library(arguments[1]);
    tcp_echo();
    ws_echo();
    return 0;
}
