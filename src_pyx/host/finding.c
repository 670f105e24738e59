/* glibc declares dladdr only so. */
#define _GNU_SOURCE

#include "finding.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
static const char *const LIBRARY_NAMES[] = {"libpython%s.dylib"};
#else
/* The first is what a system without the development files has. */
static const char *const LIBRARY_NAMES[] = {"libpython%s.so.1.0", "libpython%s.so"};
#endif
enum { NAMES = sizeof LIBRARY_NAMES / sizeof *LIBRARY_NAMES, VERSION_SIZE = 16 };

static const char VARIABLE[] = "DRYAD_NET_PYTHON";

/* An installation: where its modules are, and the one it was made from if it is a virtual one. */
struct installation {
    char prefix[PATH_SIZE];
    char base[PATH_SIZE];
    char version[VERSION_SIZE]; /* "3.11", "3.13t" */
};

static bool format(char *text, size_t size, const char *pattern, ...)
{
    va_list values;
    va_start(values, pattern);
    int length = vsnprintf(text, size, pattern, values);
    va_end(values);
    return length >= 0 && (size_t)length < size;
}

static bool is_there(const char *folder, const char *name)
{
    char path[PATH_SIZE];
    struct stat found;
    return format(path, sizeof path, "%s/%s", folder, name) && stat(path, &found) == 0;
}

/* Cut the last component off; false if there is none. */
static bool to_parent(char *path)
{
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return false;
    *slash = '\0';
    return true;
}

static const char *last_component(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* The version in a name such as "python3.11" or "libpython3.13t.so.1.0". */
static bool version_in(const char *name, const char *before, char version[VERSION_SIZE])
{
    size_t skipped = strlen(before);
    if (strncmp(name, before, skipped) != 0)
        return false;
    size_t length = strspn(name + skipped, "0123456789.t");
    const char *end = strstr(name + skipped, ".so");
    if (end != NULL)
        length = (size_t)(end - name) - skipped;
    if (length < 3 || length >= VERSION_SIZE || strncmp(name + skipped, "3.", 2) != 0)
        return false;
    memcpy(version, name + skipped, length);
    version[length] = '\0';
    return true;
}

bool find_own_file(char path[PATH_SIZE])
{
    static const char anchor = 0;
    Dl_info info;
    return dladdr(&anchor, &info) != 0 && info.dli_fname != NULL && realpath(info.dli_fname, path) != NULL;
}

static bool has_modules(const char *prefix, const char *version)
{
    char landmark[64];
    return format(landmark, sizeof landmark, "lib/python%s/os.py", version) && is_there(prefix, landmark);
}

/* Of an installation whose version nobody has said: the newest it has modules for. */
static bool version_of(const char *prefix, char version[VERSION_SIZE])
{
    char path[PATH_SIZE], candidate[VERSION_SIZE], inside[64];
    long newest = -1;
    DIR *folder = format(path, sizeof path, "%s/lib", prefix) ? opendir(path) : NULL;
    if (folder == NULL)
        return false;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        if (!version_in(entry->d_name, "python", candidate))
            continue;
        format(inside, sizeof inside, "lib/python%s/site-packages", candidate);
        if (!has_modules(prefix, candidate) && !is_there(prefix, inside))
            continue;
        if (strtol(candidate + 2, NULL, 10) > newest) {
            newest = strtol(candidate + 2, NULL, 10);
            strcpy(version, candidate);
        }
    }
    closedir(folder);
    return newest >= 0;
}

/* A virtual environment says in pyvenv.cfg where the program is that made it (PEP 405). */
static void find_base(struct installation *found)
{
    char path[PATH_SIZE], line[PATH_SIZE + 16];
    strcpy(found->base, found->prefix);
    FILE *file = format(path, sizeof path, "%s/pyvenv.cfg", found->prefix) ? fopen(path, "r") : NULL;
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        char *value = strchr(line, '=');
        if (value == NULL || strncmp(line, "home", 4) != 0)
            continue;
        value += strspn(value, "= \t");
        value[strcspn(value, "\r\n")] = '\0';
        if (format(found->base, sizeof found->base, "%s", value))
            to_parent(found->base);
        break;
    }
    fclose(file);
}

/* Packages may lie apart from the installation (pip's --user, Debian's /usr/local). Then it is the one
 * whose library the system's loader finds. */
static void find_elsewhere(struct installation *found)
{
    char name[64], path[PATH_SIZE];
    Dl_info info;
    for (size_t i = 0; i < NAMES; i++) {
        format(name, sizeof name, LIBRARY_NAMES[i], found->version);
        void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
        if (library == NULL)
            continue;
        void *symbol = dlsym(library, "Py_IsInitialized");
        bool told = symbol != NULL && dladdr(symbol, &info) != 0 && realpath(info.dli_fname, path) != NULL;
        dlclose(library);
        while (told && to_parent(path)) {
            if (has_modules(path, found->version)) {
                strcpy(found->prefix, path);
                strcpy(found->base, path);
                return;
            }
        }
    }
}

/* The installation whose modules are in path: <prefix>/lib/python3.11/site-packages. */
static bool installation_around(const char *path, struct installation *found)
{
    char folder[PATH_SIZE];
    strcpy(folder, path);
    do {
        if (version_in(last_component(folder), "python", found->version)) {
            strcpy(found->prefix, folder);
            return to_parent(found->prefix) && to_parent(found->prefix);
        }
    } while (to_parent(folder));
    return false;
}

/* What DRYAD_NET_PYTHON names: a program, the folder of an installation, or a libpython. */
static bool installation_named(const char *named, struct installation *found, char *library)
{
    char real[PATH_SIZE];
    struct stat about;
    library[0] = '\0';
    if (stat(named, &about) != 0 || realpath(named, real) == NULL)
        return false;
    if (S_ISDIR(about.st_mode)) {
        strcpy(found->prefix, real);
        return version_of(real, found->version);
    }
    if (version_in(last_component(real), "libpython", found->version)) {
        strcpy(library, real);
        strcpy(found->prefix, real);
        while (to_parent(found->prefix)) {
            if (has_modules(found->prefix, found->version))
                return true;
        }
        return false;
    }
    /* Not its real path: the program of a virtual environment is a link to another's. */
    if (named[0] != '/' || !format(found->prefix, sizeof found->prefix, "%s", named))
        return false;
    if (!to_parent(found->prefix) || !to_parent(found->prefix))
        return false;
    return version_in(last_component(real), "python", found->version) || version_of(found->prefix, found->version);
}

/* Debian keeps libraries in a folder for each architecture: lib/x86_64-linux-gnu. */
static void *open_in_architectures(const char *base, const char *name)
{
    char path[PATH_SIZE];
    void *library = NULL;
    DIR *folder = format(path, sizeof path, "%s/lib", base) ? opendir(path) : NULL;
    if (folder == NULL)
        return NULL;
    for (struct dirent *entry; library == NULL && (entry = readdir(folder)) != NULL;) {
        if (strstr(entry->d_name, "-linux-") != NULL &&
            format(path, sizeof path, "%s/lib/%s/%s", base, entry->d_name, name))
            library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    }
    closedir(folder);
    return library;
}

/* Only the installation's own library will do: another Python of the same version has other modules. */
static void *open_library(const struct installation *found, char *looked, size_t size)
{
    static const char *const FOLDERS[] = {"lib", "lib64"};
    char name[64], path[PATH_SIZE];
    void *library = NULL;
    looked[0] = '\0';
    for (size_t i = 0; i < NAMES && library == NULL; i++) {
        format(name, sizeof name, LIBRARY_NAMES[i], found->version);
        for (size_t j = 0; j < 2 && library == NULL; j++) {
            if (format(path, sizeof path, "%s/%s/%s", found->base, FOLDERS[j], name))
                library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
        }
        if (library == NULL)
            library = open_in_architectures(found->base, name);
        size_t used = strlen(looked);
        format(looked + used, size - used, "%s%s", used > 0 ? " or " : "", name);
    }
    return library;
}

static bool explain(char *reason, const char *pattern, const char *first, const char *second, const char *third)
{
    format(reason, REASON_SIZE, pattern, first, second, third);
    return false;
}

static bool open_python(struct python_place *place, struct installation *found, const char *library, char *reason)
{
    char looked[256];
    /* Without its modules Python ends the whole process when it is started. */
    if (!has_modules(found->base, found->version))
        return explain(reason, "no Python %s in %s: there is no lib/python%s/os.py", found->version, found->base,
                       found->version);
    const char *home = getenv("PYTHONHOME");
    if (home != NULL && home[0] != '\0') {
        char folder[PATH_SIZE];
        format(folder, sizeof folder, "%.*s", (int)strcspn(home, ":"), home);
        if (!has_modules(folder, found->version))
            return explain(reason, "PYTHONHOME=%s: there is no Python %s in it%s", home, found->version, "");
    }
    if (library[0] != '\0') {
        place->library = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
        if (place->library == NULL)
            return explain(reason, "%s (%s): %s", library, VARIABLE, dlerror());
    } else {
        place->library = open_library(found, looked, sizeof looked);
        if (place->library == NULL)
            return explain(reason,
                           "the Python in %s has no shared library, which a program that is not Python needs: "
                           "looked for %s in its lib and lib64. Install it "
                           "(Debian: libpython3), build Python with --enable-shared, or name another Python in %s",
                           found->base, looked, VARIABLE);
    }
    if (!format(place->program, sizeof place->program, "%s/bin/python3", found->prefix))
        return explain(reason, "the path of %s is too long%s%s", found->prefix, "", "");
    return true;
}

bool find_python(struct python_place *place, char reason[REASON_SIZE])
{
    struct installation found;
    char own[PATH_SIZE], library[PATH_SIZE] = "";
    const char *named = getenv(VARIABLE);
    if (named != NULL && named[0] == '\0')
        named = NULL;
    place->library = NULL;
    place->packages[0] = '\0';
    if (find_own_file(own) && to_parent(own) && strcmp(last_component(own), "host") == 0 && to_parent(own) &&
        strcmp(last_component(own), "dryad_net") == 0 && to_parent(own))
        strcpy(place->packages, own);
    if (named != NULL) {
        if (!installation_named(named, &found, library))
            return explain(reason,
                           "%s=%s: it must be the full path of a Python program (of a virtual environment, "
                           "too), of the folder it is installed in, or of its libpython%s",
                           VARIABLE, named, "");
    } else if (place->packages[0] == '\0' || !installation_around(place->packages, &found)) {
        find_own_file(own);
        return explain(reason,
                       "no Python around %s: looked for a folder lib/python3.x above it. Name one in %s, "
                       "by the full path of its program%s",
                       own, VARIABLE, "");
    }
    find_base(&found);
    if (named == NULL && !has_modules(found.base, found.version) && strcmp(found.base, found.prefix) == 0)
        find_elsewhere(&found);
    return open_python(place, &found, library, reason);
}
