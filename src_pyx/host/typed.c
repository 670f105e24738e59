/* The typed functions: the calls that loops are made of, without JSON.
 *
 * A call is described by its arguments (where Python's lock is not needed yet), then made and its
 * result taken while the lock is held. The Python functions are looked up once.
 */
#include <stdatomic.h>
#include <string.h>

#include "../../dryad_net/host/dryad_net.h"
#include "caller.h"
#include "runtime.h"

enum native {
    TCP_ACCEPT,
    TCP_ACCEPT_BLOCKING,
    TCP_IS_CONNECTED,
    TCP_SEND,
    TCP_RECV,
    TCP_RECV_BLOCKING,
    TCP_RECV_ALL,
    TCP_RECV_UNTIL,
    TCP_RECV_BYTES,
    TCP_RECV_BYTES_BLOCKING,
    WS_ACCEPT,
    WS_IS_CONNECTED,
    WS_SEND,
    WS_SEND_BINARY,
    WS_RECV,
    WS_RECV_BLOCKING,
    WS_RECV_BINARY,
    WS_RECV_BINARY_BLOCKING,
    NATIVES
};

static const char *const NAMES[NATIVES] = {
    [TCP_ACCEPT] = "native_tcp_accept",
    [TCP_ACCEPT_BLOCKING] = "native_tcp_accept_blocking",
    [TCP_IS_CONNECTED] = "native_tcp_is_connected",
    [TCP_SEND] = "native_tcp_send",
    [TCP_RECV] = "native_tcp_recv",
    [TCP_RECV_BLOCKING] = "native_tcp_recv_blocking",
    [TCP_RECV_ALL] = "native_tcp_recv_all",
    [TCP_RECV_UNTIL] = "native_tcp_recv_until",
    [TCP_RECV_BYTES] = "native_tcp_recv_bytes",
    [TCP_RECV_BYTES_BLOCKING] = "native_tcp_recv_bytes_blocking",
    [WS_ACCEPT] = "native_ws_accept",
    [WS_IS_CONNECTED] = "native_ws_is_connected",
    [WS_SEND] = "native_ws_send",
    [WS_SEND_BINARY] = "native_ws_send_binary",
    [WS_RECV] = "native_ws_recv",
    [WS_RECV_BLOCKING] = "native_ws_recv_blocking",
    [WS_RECV_BINARY] = "native_ws_recv_binary",
    [WS_RECV_BINARY_BLOCKING] = "native_ws_recv_binary_blocking",
};

/* The first byte, in UTF-8, of the private characters of portable text (and of others). */
enum { LEAD_OF_ESCAPES = 0xee };

/* Never let go of: they live as long as Python does. Guarded by Python's lock. */
static PyObject *natives[NATIVES];
static PyObject *from_portable;
static PyObject *to_portable;
static PyObject *describe;

struct argument {
    enum { NUMBER, TIMEOUT, TEXT, BYTES } kind;
    uintptr_t number; /* of BYTES: the length */
    const char *bytes;
};

static struct argument number(uintptr_t value)
{
    return (struct argument){NUMBER, value, NULL};
}

static struct argument timeout(uintptr_t value)
{
    return (struct argument){TIMEOUT, value, NULL};
}

static struct argument text(const char *value)
{
    return (struct argument){TEXT, 0, value};
}

static struct argument data(const void *value, uintptr_t length)
{
    return (struct argument){BYTES, length, value};
}

static PyObject *found_once(PyObject **kept, PyObject *(*find)(const char *), const char *name)
{
    if (*kept == NULL)
        *kept = find(name);
    return *kept;
}

static PyObject *text_object(const char *bytes)
{
    size_t length = strlen(bytes);
    PyObject *plain = py.PyUnicode_DecodeUTF8(bytes, (Py_ssize_t)length, "surrogateescape");
    if (plain == NULL || memchr(bytes, LEAD_OF_ESCAPES, length) == NULL)
        return plain;
    PyObject *call = found_once(&from_portable, runtime_door, "from_portable");
    PyObject *exact = call == NULL ? NULL : py.PyObject_CallFunctionObjArgs(call, plain, NULL);
    py.Py_DecRef(plain);
    return exact;
}

static PyObject *as_object(const struct argument *argument)
{
    switch (argument->kind) {
    case TIMEOUT:
        if (argument->number == UINTPTR_MAX)
            return py.PyLong_FromLong(-1);
        return py.PyLong_FromUnsignedLongLong(argument->number);
    case TEXT:
        return text_object(argument->bytes == NULL ? "" : argument->bytes);
    case BYTES:
        return py.PyBytes_FromStringAndSize(argument->bytes, (Py_ssize_t)argument->number);
    default:
        return py.PyLong_FromUnsignedLongLong(argument->number);
    }
}

static PyObject *call_native(enum native native, const struct argument *arguments, int count)
{
    PyObject *function = found_once(&natives[native], runtime_native, NAMES[native]);
    PyObject *objects[3] = {NULL, NULL, NULL};
    PyObject *result = NULL;
    int made = 0;
    while (function != NULL && made < count && (objects[made] = as_object(&arguments[made])) != NULL)
        made++;
    /* The arguments end at the first NULL. */
    if (made == count)
        result = py.PyObject_CallFunctionObjArgs(function, objects[0], objects[1], objects[2], NULL);
    for (int i = 0; i < made; i++)
        py.Py_DecRef(objects[i]);
    return result;
}

/* ---- results, taken while the lock is held */

static void take_error(struct caller *caller)
{
    PyObject *type, *value, *traceback, *message = NULL;
    const char *said = NULL;
    PyObject *call;
    py.PyErr_Fetch(&type, &value, &traceback);
    py.PyErr_NormalizeException(&type, &value, &traceback);
    call = found_once(&describe, runtime_door, "describe");
    if (call != NULL && value != NULL)
        message = py.PyObject_CallFunctionObjArgs(call, value, NULL);
    if (message != NULL)
        said = py.PyUnicode_AsUTF8AndSize(message, NULL);
    caller_fail(caller, said == NULL ? "E5006 dryad_net: out of memory" : said);
    py.PyErr_Clear();
    PyObject *const used[] = {type, value, traceback, message};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        if (used[i] != NULL)
            py.Py_DecRef(used[i]);
    }
}

typedef bool (*take_result)(struct caller *caller, PyObject *result, int64_t *value);

static bool take_nothing(struct caller *caller, PyObject *result, int64_t *value)
{
    (void)caller, (void)result;
    *value = 0;
    return true;
}

static bool take_bool(struct caller *caller, PyObject *result, int64_t *value)
{
    (void)caller;
    *value = result == py.true_;
    return true;
}

static bool take_number(struct caller *caller, PyObject *result, int64_t *value)
{
    (void)caller;
    *value = py.PyLong_AsLongLong(result);
    return *value >= 0;
}

static bool take_bytes(struct caller *caller, PyObject *result, int64_t *value)
{
    char *bytes;
    Py_ssize_t size;
    *value = 0;
    return py.PyBytes_AsStringAndSize(result, &bytes, &size) == 0 && caller_keep(caller, bytes, (size_t)size);
}

static bool take_text(struct caller *caller, PyObject *result, int64_t *value)
{
    Py_ssize_t size;
    const char *utf8 = py.PyUnicode_AsUTF8AndSize(result, &size);
    *value = 0;
    if (utf8 != NULL && memchr(utf8, '\0', (size_t)size) == NULL && memchr(utf8, LEAD_OF_ESCAPES, (size_t)size) == NULL)
        return caller_keep(caller, utf8, (size_t)size);
    py.PyErr_Clear();
    PyObject *call = found_once(&to_portable, runtime_door, "to_portable_bytes");
    PyObject *portable = call == NULL ? NULL : py.PyObject_CallFunctionObjArgs(call, result, NULL);
    bool kept = portable != NULL && take_bytes(caller, portable, value);
    if (portable != NULL)
        py.Py_DecRef(portable);
    return kept;
}

/* ---- the whole of a call */

static int64_t call_for(enum native native, take_result take, const struct argument *arguments, int count)
{
    char reason[REASON_SIZE];
    int64_t value = -1;
    struct caller *caller = caller_find();
    if (caller == NULL)
        return -1;
    caller_forget_error(caller);
    caller->status = DRYAD_NET_ERROR;
    if (!runtime_start(reason)) {
        char message[REASON_SIZE + 64] = "E5006 ";
        make_plain(reason);
        strcat(strcat(strcat(message, NAMES[native]), ": "), reason);
        caller_fail(caller, message);
        caller_keep(caller, "", 0);
        return -1;
    }
    caller_enter(caller);
    PyObject *result = call_native(native, arguments, count);
    /* Not before: an argument may be what the last call returned. */
    caller_keep(caller, "", 0);
    if (result == py.none && take != take_nothing) {
        caller->status = DRYAD_NET_NULL;
        value = 0;
    } else if (result != NULL && take(caller, result, &value)) {
        caller->status = DRYAD_NET_VALUE;
    } else {
        take_error(caller);
        value = -1;
    }
    if (result != NULL)
        py.Py_DecRef(result);
    caller_leave(caller);
    return value;
}

static const char *buffer_of(enum native native, take_result take, const struct argument *arguments, int count)
{
    call_for(native, take, arguments, count);
    const struct caller *caller = caller_find();
    return caller == NULL || caller->buffer == NULL ? "" : caller->buffer;
}

#define ARGUMENTS(...) ((const struct argument[]){__VA_ARGS__})

int32_t dryad_net_status(void)
{
    const struct caller *caller = caller_find();
    return caller == NULL ? DRYAD_NET_ERROR : caller->status;
}

const char *dryad_net_error(void)
{
    const struct caller *caller = caller_find();
    return caller == NULL ? "E5006 dryad_net: out of memory" : caller_error(caller);
}

int64_t dryad_net_length(void)
{
    const struct caller *caller = caller_find();
    return caller == NULL ? 0 : (int64_t)caller->length;
}

int64_t dryad_net_tcp_accept(uintptr_t server_id)
{
    return call_for(TCP_ACCEPT, take_number, ARGUMENTS(number(server_id)), 1);
}

int64_t dryad_net_tcp_accept_blocking(uintptr_t server_id, uintptr_t timeout_ms)
{
    return call_for(TCP_ACCEPT_BLOCKING, take_number, ARGUMENTS(number(server_id), timeout(timeout_ms)), 2);
}

int64_t dryad_net_ws_accept(uintptr_t server_id)
{
    return call_for(WS_ACCEPT, take_number, ARGUMENTS(number(server_id)), 1);
}

int32_t dryad_net_tcp_is_connected(uintptr_t socket_id)
{
    return (int32_t)call_for(TCP_IS_CONNECTED, take_bool, ARGUMENTS(number(socket_id)), 1);
}

int32_t dryad_net_ws_is_connected(uintptr_t socket_id)
{
    return (int32_t)call_for(WS_IS_CONNECTED, take_bool, ARGUMENTS(number(socket_id)), 1);
}

int64_t dryad_net_tcp_send(uintptr_t socket_id, const char *value)
{
    return call_for(TCP_SEND, take_number, ARGUMENTS(number(socket_id), text(value)), 2);
}

int64_t dryad_net_tcp_send_bytes(uintptr_t socket_id, const void *value, uintptr_t length)
{
    return call_for(TCP_SEND, take_number, ARGUMENTS(number(socket_id), data(value, length)), 2);
}

const char *dryad_net_tcp_recv(uintptr_t socket_id, uintptr_t size)
{
    return buffer_of(TCP_RECV, take_text, ARGUMENTS(number(socket_id), number(size)), 2);
}

const char *dryad_net_tcp_recv_blocking(uintptr_t socket_id, uintptr_t size, uintptr_t timeout_ms)
{
    return buffer_of(TCP_RECV_BLOCKING, take_text, ARGUMENTS(number(socket_id), number(size), timeout(timeout_ms)), 3);
}

const char *dryad_net_tcp_recv_all(uintptr_t socket_id)
{
    return buffer_of(TCP_RECV_ALL, take_text, ARGUMENTS(number(socket_id)), 1);
}

const char *dryad_net_tcp_recv_until(uintptr_t socket_id, const char *delimiter)
{
    return buffer_of(TCP_RECV_UNTIL, take_text, ARGUMENTS(number(socket_id), text(delimiter)), 2);
}

const char *dryad_net_tcp_recv_bytes(uintptr_t socket_id, uintptr_t size)
{
    return buffer_of(TCP_RECV_BYTES, take_bytes, ARGUMENTS(number(socket_id), number(size)), 2);
}

const char *dryad_net_tcp_recv_bytes_blocking(uintptr_t socket_id, uintptr_t size, uintptr_t timeout_ms)
{
    return buffer_of(TCP_RECV_BYTES_BLOCKING, take_bytes,
                     ARGUMENTS(number(socket_id), number(size), timeout(timeout_ms)), 3);
}

int32_t dryad_net_ws_send(uintptr_t socket_id, const char *message)
{
    return (int32_t)call_for(WS_SEND, take_nothing, ARGUMENTS(number(socket_id), text(message)), 2);
}

int32_t dryad_net_ws_send_binary(uintptr_t socket_id, const void *value, uintptr_t length)
{
    return (int32_t)call_for(WS_SEND_BINARY, take_nothing, ARGUMENTS(number(socket_id), data(value, length)), 2);
}

const char *dryad_net_ws_recv(uintptr_t socket_id)
{
    return buffer_of(WS_RECV, take_text, ARGUMENTS(number(socket_id)), 1);
}

const char *dryad_net_ws_recv_blocking(uintptr_t socket_id, uintptr_t timeout_ms)
{
    return buffer_of(WS_RECV_BLOCKING, take_text, ARGUMENTS(number(socket_id), timeout(timeout_ms)), 2);
}

const char *dryad_net_ws_recv_binary(uintptr_t socket_id)
{
    return buffer_of(WS_RECV_BINARY, take_bytes, ARGUMENTS(number(socket_id)), 1);
}

const char *dryad_net_ws_recv_binary_blocking(uintptr_t socket_id, uintptr_t timeout_ms)
{
    return buffer_of(WS_RECV_BINARY_BLOCKING, take_bytes, ARGUMENTS(number(socket_id), timeout(timeout_ms)), 2);
}
