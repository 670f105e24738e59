/* For pthread_atfork, and for RTLD_NODELETE, which macOS and the BSDs hide from who asks for POSIX alone. */
#define _GNU_SOURCE

#include "runtime.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caller.h"

static pthread_mutex_t starting = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool started;
static bool python_is_ours;
static PyObject *door;
static PyObject *package;
/* Set by before_fork, for the two handlers that follow it in the same thread. */
static bool fork_is_ours;
static PyGILState_STATE state_at_fork;

bool runtime_is_up(void)
{
    return atomic_load(&started) && py.Py_IsInitialized();
}

void make_plain(char *text)
{
    for (; *text != '\0'; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

void runtime_take_error(char *text, size_t size)
{
    PyObject *type, *value, *traceback;
    const char *said = NULL;
    py.PyErr_Fetch(&type, &value, &traceback);
    py.PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *string = value == NULL ? NULL : py.PyObject_Str(value);
    if (string != NULL)
        said = py.PyUnicode_AsUTF8AndSize(string, NULL);
    snprintf(text, size, "%s", said == NULL ? "out of memory" : said);
    py.PyErr_Clear();
    PyObject *const used[] = {type, value, traceback, string};
    for (size_t i = 0; i < sizeof used / sizeof *used; i++) {
        if (used[i] != NULL)
            py.Py_DecRef(used[i]);
    }
}

PyObject *runtime_door(const char *name)
{
    return py.PyObject_GetAttrString(door, name);
}

PyObject *runtime_native(const char *name)
{
    return py.PyObject_GetAttrString(package, name);
}

/* ---- fork: what os.fork() does around the system call, for a host that calls fork(2) itself */

static void before_fork(void)
{
    pthread_mutex_lock(&starting);
    /* Whoever holds the lock while forking is Python, which does all this on its own. */
    fork_is_ours = runtime_is_up() && !py.PyGILState_Check();
    if (fork_is_ours) {
        state_at_fork = py.PyGILState_Ensure();
        py.PyOS_BeforeFork();
    }
}

static void after_fork_in_parent(void)
{
    if (fork_is_ours) {
        py.PyOS_AfterFork_Parent();
        py.PyGILState_Release(state_at_fork);
    }
    pthread_mutex_unlock(&starting);
}

static void after_fork_in_child(void)
{
    if (fork_is_ours) {
        py.PyOS_AfterFork_Child();
        py.PyGILState_Release(state_at_fork);
    }
    pthread_mutex_unlock(&starting);
}

/* ---- exit */

/* Python is not finalized: other threads of the host may be in the middle of calls, and would be
 * ended inside them. What dryad_net does at exit (deliver what was closed) is done all the same. */
static void at_exit(void)
{
    if (!runtime_is_up())
        return;
    PyGILState_STATE state = py.PyGILState_Ensure();
    PyObject *finish = runtime_door("at_exit");
    PyObject *done = finish == NULL ? NULL : py.PyObject_CallFunctionObjArgs(finish, NULL);
    if (done == NULL)
        py.PyErr_Clear();
    py.PyGILState_Release(state);
}

/* ---- start */

/* Threads, fork handlers and at_exit point into this library: dlclose must leave it where it is. */
static void stay_loaded(void)
{
    char own[PATH_SIZE];
    if (find_own_file(own))
        dlopen(own, RTLD_LAZY | RTLD_NODELETE);
}

/* A host in Python (through ctypes) has one running, and its functions are visible to everybody. */
static bool use_running_python(void)
{
    void *process = dlopen(NULL, RTLD_LAZY);
    bool found = process != NULL && dlsym(process, "Py_IsInitialized") != NULL && python_api_load(process) == NULL &&
                 py.Py_IsInitialized();
    if (process != NULL)
        dlclose(process);
    return found;
}

static bool start_python(const struct python_place *place, char *reason)
{
    const char *missing = python_api_load(place->library);
    if (missing != NULL) {
        snprintf(reason, REASON_SIZE, "the Python found has no %s: CPython 3.10 to 3.14 is needed", missing);
        return false;
    }
    if (!py.Py_IsInitialized()) {
        wchar_t *program = py.Py_DecodeLocale(place->program, NULL);
        if (program == NULL) {
            snprintf(reason, REASON_SIZE, "out of memory");
            return false;
        }
        /* Python keeps the pointer. */
        py.Py_SetProgramName(program);
        py.Py_InitializeEx(0);
        py.PyEval_SaveThread();
        python_is_ours = true;
    }
    return true;
}

/* With a Python named by hand, or one that was running, dryad_net may be nowhere on its path. */
static void add_own_folder(const char *packages)
{
    PyObject *path = py.PySys_GetObject("path");
    PyObject *folder = packages[0] == '\0' ? NULL : py.PyUnicode_DecodeFSDefault(packages);
    if (folder != NULL && path != NULL && py.PySequence_Contains(path, folder) == 0)
        py.PyList_Append(path, folder);
    if (folder != NULL)
        py.Py_DecRef(folder);
    py.PyErr_Clear();
}

static bool import_package(const struct python_place *place, char *reason)
{
    PyGILState_STATE state = py.PyGILState_Ensure();
    add_own_folder(place->packages);
    package = py.PyImport_ImportModule("dryad_net");
    door = package == NULL ? NULL : py.PyImport_ImportModule("dryad_net.host.door");
    if (door == NULL) {
        int used = snprintf(reason, REASON_SIZE, "dryad_net cannot be imported: ");
        runtime_take_error(reason + used, REASON_SIZE - (size_t)used);
    }
    py.PyGILState_Release(state);
    return door != NULL;
}

static bool start(char *reason)
{
    static bool python_is_up;
    static struct python_place place;
    if (!python_is_up) {
        stay_loaded();
        python_is_up = use_running_python() || (find_python(&place, reason) && start_python(&place, reason));
        if (!python_is_up)
            return false;
    }
    if (!import_package(&place, reason))
        return false;
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
    if (python_is_ours)
        atexit(at_exit);
    return true;
}

bool runtime_start(char reason[REASON_SIZE])
{
    if (atomic_load(&started)) {
        if (!py.Py_IsInitialized())
            snprintf(reason, REASON_SIZE, "the process has ended its Python");
        return py.Py_IsInitialized();
    }
    pthread_mutex_lock(&starting);
    bool up = atomic_load(&started) || start(reason);
    if (up)
        atomic_store(&started, true);
    pthread_mutex_unlock(&starting);
    return up;
}
