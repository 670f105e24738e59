/* The functions of CPython that the host library uses, looked up in a libpython opened at run time.
 *
 * Python.h is not included: its macros and inline functions differ between versions, and the library
 * is compiled once for all. Everything here is an exported function, unchanged from 3.10 to 3.14.
 */
#ifndef DRYAD_NET_PYTHON_API_H
#define DRYAD_NET_PYTHON_API_H

#include <stdbool.h>
#include <stddef.h>
#include <wchar.h>

typedef struct PyObject PyObject;
typedef struct PyThreadState PyThreadState;
typedef ptrdiff_t Py_ssize_t;
typedef int PyGILState_STATE;

#define PYTHON_FUNCTIONS(X)                                                        \
    X(int, Py_IsInitialized, (void))                                               \
    X(void, Py_InitializeEx, (int install_signal_handlers))                        \
    X(void, Py_SetProgramName, (const wchar_t *name))                              \
    X(wchar_t *, Py_DecodeLocale, (const char *text, size_t *size))                \
    X(PyThreadState *, PyEval_SaveThread, (void))                                  \
    X(void, PyEval_AcquireThread, (PyThreadState *state))                          \
    X(PyGILState_STATE, PyGILState_Ensure, (void))                                 \
    X(void, PyGILState_Release, (PyGILState_STATE state))                          \
    X(int, PyGILState_Check, (void))                                               \
    X(PyThreadState *, PyGILState_GetThisThreadState, (void))                      \
    X(void, PyThreadState_Clear, (PyThreadState *state))                           \
    X(void, PyThreadState_DeleteCurrent, (void))                                   \
    X(void, PyOS_BeforeFork, (void))                                               \
    X(void, PyOS_AfterFork_Parent, (void))                                         \
    X(void, PyOS_AfterFork_Child, (void))                                          \
    X(PyObject *, PySys_GetObject, (const char *name))                             \
    X(int, PyList_Append, (PyObject *list, PyObject *item))                        \
    X(int, PySequence_Contains, (PyObject *sequence, PyObject *item))              \
    X(PyObject *, PyImport_ImportModule, (const char *name))                       \
    X(PyObject *, PyObject_GetAttrString, (PyObject *object, const char *name))    \
    X(PyObject *, PyObject_CallFunctionObjArgs, (PyObject *callable, ...))         \
    X(PyObject *, PyObject_Str, (PyObject *object))                                \
    X(PyObject *, PyLong_FromUnsignedLongLong, (unsigned long long value))         \
    X(PyObject *, PyLong_FromLong, (long value))                                   \
    X(long long, PyLong_AsLongLong, (PyObject *number))                            \
    X(PyObject *, PyUnicode_DecodeFSDefault, (const char *text))                   \
    X(PyObject *, PyUnicode_DecodeUTF8, (const char *, Py_ssize_t, const char *))  \
    X(const char *, PyUnicode_AsUTF8AndSize, (PyObject *text, Py_ssize_t *size))   \
    X(PyObject *, PyBytes_FromStringAndSize, (const char *bytes, Py_ssize_t size)) \
    X(int, PyBytes_AsStringAndSize, (PyObject *, char **, Py_ssize_t *))           \
    X(void, PyErr_Fetch, (PyObject **, PyObject **, PyObject **))                  \
    X(void, PyErr_NormalizeException, (PyObject **, PyObject **, PyObject **))     \
    X(void, PyErr_Clear, (void))                                                   \
    X(void, Py_DecRef, (PyObject *object))

struct python_api {
#define X(type, name, parameters) type(*name) parameters;
    PYTHON_FUNCTIONS(X)
#undef X
    PyObject *none;
    PyObject *true_;
};

/* Filled by python_api_load; nothing else may be called before. */
extern struct python_api py;

/* Look everything up in an opened library. Returns NULL, or the name of what it does not have. */
const char *python_api_load(void *library);

#endif
