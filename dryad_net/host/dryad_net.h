/* TCP, UDP and WebSocket as plain function calls, for programs that are not Python.
 *
 * The library starts a Python of its own (or uses the one the process has), in which dryad_net
 * runs; docs/host.md tells how it is found. It may be opened with any flags, also RTLD_LOCAL, and
 * needs nothing of the host: no initialisation, no event loop, no signal handlers.
 *
 * Any thread may call. A call that waits lets other threads call. What a function returns as
 * `const char *` is never NULL, belongs to the library, and is valid until the same thread's next
 * call (dryad_net_status, dryad_net_error and dryad_net_length do not count).
 *
 * Every parameter of a typed function fits uintptr_t, and there are at most three, so that an
 * interpreter's foreign function interface can call them without knowing more about C.
 *
 * Text. dryad_net_call carries strings as JSON does: NUL is \u0000, and a received byte that is not
 * UTF-8 is a lone surrogate, \udc80 to \udcff (Python's surrogateescape). A C string cannot hold the
 * first, nor a strict JSON reader the second. So dryad_net_call_utf8 and the typed functions carry
 * "portable text": valid UTF-8 without NUL, in which such a byte is the private character
 * U+EF00 + byte (U+EF00 for NUL, U+EF80 to U+EFFF for bytes that are not UTF-8). These private
 * characters themselves, should somebody send them, come as the bytes of their UTF-8. Portable text
 * that is sent back gives the same bytes: nothing is lost.
 */
#ifndef DRYAD_NET_H
#define DRYAD_NET_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__) || defined(__clang__)
#define DRYAD_NET_API __attribute__((visibility("default")))
#else
#define DRYAD_NET_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Grows whenever something that is declared here changes its meaning. */
#define DRYAD_NET_ABI_VERSION 1
DRYAD_NET_API int32_t dryad_net_abi_version(void);

/* ---- the JSON door: every function */

/* Calls the function of this name ("native_tcp_connect") with a JSON array of arguments; NULL or ""
 * is an empty one. Returns JSON, ASCII only:
 *   {"ok":true,"value":...}
 *   {"ok":false,"code":"E5006","error":"E5006 native_tcp_connect: 127.0.0.1:9: connection refused (ECONNREFUSED)"}
 * Whole numbers may be written 8080.0; a byte array is an array of numbers, both ways. */
DRYAD_NET_API const char *dryad_net_call(const char *function, const char *args_json);

/* As dryad_net_call, with all strings as portable text. */
DRYAD_NET_API const char *dryad_net_call_utf8(const char *function, const char *args_json);

/* Every function, as a JSON array of {"name","module","parameters","arity","extension"}; where Python
 * cannot be started, the envelope of that error. */
DRYAD_NET_API const char *dryad_net_functions(void);

/* ---- what the thread's last typed call did */

#define DRYAD_NET_VALUE 1
#define DRYAD_NET_NULL 0
#define DRYAD_NET_ERROR (-1)

/* One of the three above: this is what tells "" from null. */
DRYAD_NET_API int32_t dryad_net_status(void);

/* The message after DRYAD_NET_ERROR, starting with its code; "" otherwise. */
DRYAD_NET_API const char *dryad_net_error(void);

/* The size in bytes of the text or bytes that the call returned. */
DRYAD_NET_API int64_t dryad_net_length(void);

/* ---- the typed functions: for loops, without JSON
 *
 * Each does what the native function of its name does. IDs are 0 and below for what is none: 0 is
 * null, -1 an error. Text that is null or an error is "". Timeouts are milliseconds; UINTPTR_MAX
 * waits without limit. */

DRYAD_NET_API int64_t dryad_net_tcp_accept(uintptr_t server_id);
DRYAD_NET_API int64_t dryad_net_tcp_accept_blocking(uintptr_t server_id, uintptr_t timeout_ms);
DRYAD_NET_API int64_t dryad_net_ws_accept(uintptr_t server_id);

/* 1 or 0; -1 is an error. */
DRYAD_NET_API int32_t dryad_net_tcp_is_connected(uintptr_t socket_id);
DRYAD_NET_API int32_t dryad_net_ws_is_connected(uintptr_t socket_id);

/* The number of bytes sent, or -1. */
DRYAD_NET_API int64_t dryad_net_tcp_send(uintptr_t socket_id, const char *data);
DRYAD_NET_API const char *dryad_net_tcp_recv(uintptr_t socket_id, uintptr_t size);
DRYAD_NET_API const char *dryad_net_tcp_recv_blocking(uintptr_t socket_id, uintptr_t size, uintptr_t timeout_ms);
DRYAD_NET_API const char *dryad_net_tcp_recv_all(uintptr_t socket_id);
DRYAD_NET_API const char *dryad_net_tcp_recv_until(uintptr_t socket_id, const char *delimiter);

/* 0, or -1. */
DRYAD_NET_API int32_t dryad_net_ws_send(uintptr_t socket_id, const char *message);
DRYAD_NET_API const char *dryad_net_ws_recv(uintptr_t socket_id);
DRYAD_NET_API const char *dryad_net_ws_recv_blocking(uintptr_t socket_id, uintptr_t timeout_ms);

/* The bytes themselves. What is returned ends with a NUL that dryad_net_length does not count. */
DRYAD_NET_API int64_t dryad_net_tcp_send_bytes(uintptr_t socket_id, const void *data, uintptr_t length);
DRYAD_NET_API const char *dryad_net_tcp_recv_bytes(uintptr_t socket_id, uintptr_t size);
DRYAD_NET_API const char *dryad_net_tcp_recv_bytes_blocking(uintptr_t socket_id, uintptr_t size, uintptr_t timeout_ms);
DRYAD_NET_API int32_t dryad_net_ws_send_binary(uintptr_t socket_id, const void *data, uintptr_t length);
DRYAD_NET_API const char *dryad_net_ws_recv_binary(uintptr_t socket_id);
DRYAD_NET_API const char *dryad_net_ws_recv_binary_blocking(uintptr_t socket_id, uintptr_t timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
