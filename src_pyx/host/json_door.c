/* The JSON door: every native function by its name, arguments and values as JSON.
 *
 * All that knows JSON, names and errors is Python (dryad_net/host/door.py). What is made here are
 * the envelopes of the errors that Python cannot report itself, because it is not there.
 */
#include <stdio.h>
#include <string.h>

#include "../../dryad_net/host/dryad_net.h"
#include "caller.h"
#include "runtime.h"

static const char OUT_OF_MEMORY[] =
    "{\"ok\":false,\"code\":\"E5006\",\"error\":\"E5006 dryad_net: out of memory\"}";

static void append_escaped(char *json, size_t size, const char *text)
{
    size_t used = strlen(json);
    for (; *text != '\0' && used + 2 < size; text++) {
        if (*text == '"' || *text == '\\')
            json[used++] = '\\';
        json[used++] = *text;
    }
    json[used] = '\0';
}

static const char *failure(struct caller *caller, const char *function, char *reason)
{
    char json[2 * REASON_SIZE] = "{\"ok\":false,\"code\":\"E5006\",\"error\":\"E5006 ", name[128];
    snprintf(name, sizeof name, "%s", function);
    make_plain(name);
    make_plain(reason);
    append_escaped(json, sizeof json - 8, name);
    append_escaped(json, sizeof json - 8, ": ");
    append_escaped(json, sizeof json - 8, reason);
    strcat(json, "\"}");
    return caller_keep(caller, json, strlen(json)) ? caller->buffer : OUT_OF_MEMORY;
}

static const char *keep_answer(struct caller *caller, PyObject *answer)
{
    char *bytes;
    Py_ssize_t size;
    if (answer == NULL || py.PyBytes_AsStringAndSize(answer, &bytes, &size) != 0)
        return NULL;
    return caller_keep(caller, bytes, (size_t)size) ? caller->buffer : OUT_OF_MEMORY;
}

/* Call a function of door.py, with both strings as bytes or, without a name, with nothing. */
static const char *through_door(const char *door, const char *function, const char *arguments)
{
    char reason[REASON_SIZE];
    struct caller *caller = caller_find();
    if (caller == NULL)
        return OUT_OF_MEMORY;
    if (!runtime_start(reason))
        return failure(caller, function == NULL ? "dryad_net" : function, reason);
    caller_enter(caller);
    PyObject *answer = NULL, *call = runtime_door(door);
    if (call != NULL && function == NULL) {
        answer = py.PyObject_CallFunctionObjArgs(call, NULL);
    } else if (call != NULL) {
        PyObject *name = py.PyBytes_FromStringAndSize(function, (Py_ssize_t)strlen(function));
        PyObject *json = py.PyBytes_FromStringAndSize(arguments, (Py_ssize_t)strlen(arguments));
        if (name != NULL && json != NULL)
            answer = py.PyObject_CallFunctionObjArgs(call, name, json, NULL);
        if (name != NULL)
            py.Py_DecRef(name);
        if (json != NULL)
            py.Py_DecRef(json);
    }
    const char *returned = keep_answer(caller, answer);
    if (returned == NULL) {
        runtime_take_error(reason, sizeof reason);
        returned = failure(caller, function == NULL ? "dryad_net" : function, reason);
    }
    if (answer != NULL)
        py.Py_DecRef(answer);
    if (call != NULL)
        py.Py_DecRef(call);
    caller_leave(caller);
    return returned;
}

int32_t dryad_net_abi_version(void)
{
    return DRYAD_NET_ABI_VERSION;
}

const char *dryad_net_call(const char *function, const char *args_json)
{
    return through_door("call", function == NULL ? "" : function, args_json == NULL ? "" : args_json);
}

const char *dryad_net_call_utf8(const char *function, const char *args_json)
{
    return through_door("call_utf8", function == NULL ? "" : function, args_json == NULL ? "" : args_json);
}

const char *dryad_net_functions(void)
{
    return through_door("functions", NULL, NULL);
}
