/* Calls functions of a library by the rules of the Dryad interpreter's ffi_call, and no others:
 * 0 to 6 arguments, all uintptr_t; a number is truncated to an unsigned integer, a string becomes a
 * pointer to a copy that lives as long as the call, a NULL that is returned as a string is a crash.
 *
 * It obeys the lines of its standard input, one after the other, and answers each with one:
 *
 *     load PATH                        opens the library (RTLD_LAZY | RTLD_LOCAL)
 *     unload                           closes it once
 *     call SYMBOL TYPE ARGUMENT...     n<number>  s<hex>  b0  b1  z (null)
 *     threads COUNT TIMES SYMBOL TYPE ARGUMENT...    the call, so often in so many threads at once
 *     start SYMBOL TYPE ARGUMENT...    the call in a thread that nobody waits for
 *     fork LINE                        has a child obey the line, and waits for it to exit
 *     exit STATUS                      calls exit(3)
 *
 * An answer is "TYPE VALUE" (strings in hex), "forked STATUS", "ok", or "error WHY".
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_ARGUMENTS = 6, MOST_WORDS = 16, MOST_THREADS = 64 };

struct call {
    void *symbol;
    const char *type;
    uintptr_t arguments[MOST_ARGUMENTS];
    char *strings[MOST_ARGUMENTS];
    int count;
    long times;
    bool failed;
};

static void *library;

/* As Rust's `number as usize`: NaN and what is negative become 0, what is too large the largest. */
static uintptr_t as_usize(double number)
{
    if (!(number >= 1.0))
        return 0;
    return number >= 18446744073709551616.0 ? UINTPTR_MAX : (uintptr_t)number;
}

static const char DIGITS[] = "0123456789abcdef";

static int digit(char character)
{
    return (int)(strchr(DIGITS, character) - DIGITS);
}

static char *from_hex(const char *hex)
{
    size_t length = strlen(hex) / 2;
    char *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    bytes[length] = '\0';
    return bytes;
}

static void print_hex(const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        putchar_unlocked(DIGITS[(unsigned char)bytes[i] >> 4]);
        putchar_unlocked(DIGITS[bytes[i] & 15]);
    }
}

static const char *prepare(struct call *call, char **words, int count)
{
    if (library == NULL)
        return "no library";
    if (count < 2 || count - 2 > MOST_ARGUMENTS)
        return "number of arguments";
    call->symbol = dlsym(library, words[0]);
    if (call->symbol == NULL)
        return dlerror();
    call->type = words[1];
    for (char **word = words + 2; word < words + count; word++) {
        uintptr_t *argument = &call->arguments[call->count];
        switch (**word) {
        case 'n': *argument = as_usize(strtod(*word + 1, NULL)); break;
        case 's': *argument = (uintptr_t)(call->strings[call->count] = from_hex(*word + 1)); break;
        case 'b': *argument = (*word)[1] == '1'; break;
        case 'z': *argument = 0; break;
        default: return "kind of argument";
        }
        call->count++;
    }
    return NULL;
}

#define PERFORM(type)                                                                                           \
    (call->count == 0   ? ((type(*)(void))function)()                                                           \
     : call->count == 1 ? ((type(*)(uintptr_t))function)(a[0])                                                  \
     : call->count == 2 ? ((type(*)(uintptr_t, uintptr_t))function)(a[0], a[1])                                 \
     : call->count == 3 ? ((type(*)(uintptr_t, uintptr_t, uintptr_t))function)(a[0], a[1], a[2])                \
     : call->count == 4 ? ((type(*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t))function)(a[0], a[1], a[2],     \
                                                                                         a[3])                  \
     : call->count == 5                                                                                         \
         ? ((type(*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t))function)(a[0], a[1], a[2], a[3],   \
                                                                                      a[4])                     \
         : ((type(*)(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t))function)(               \
               a[0], a[1], a[2], a[3], a[4], a[5]))

/* Make the call; print what it returned, or only look at it. */
static void perform(struct call *call, bool print)
{
    typedef void (*function_pointer)(void);
    const uintptr_t *a = call->arguments;
    function_pointer function;
    memcpy(&function, &call->symbol, sizeof function);
    if (strcmp(call->type, "void") == 0) {
        PERFORM(void);
        if (print)
            puts("void");
    } else if (strcmp(call->type, "i32") == 0) {
        int32_t value = PERFORM(int32_t);
        call->failed = value < 0;
        if (print)
            printf("i32 %ld\n", (long)value);
    } else if (strcmp(call->type, "i64") == 0) {
        int64_t value = PERFORM(int64_t);
        call->failed = value < 0;
        if (print)
            printf("i64 %lld\n", (long long)value);
    } else if (strcmp(call->type, "string") == 0) {
        const char *value = PERFORM(const char *);
        size_t length = strlen(value); /* the crash, if it is NULL */
        call->failed = strncmp(value, "{\"ok\":false", 11) == 0;
        if (print) {
            fputs("string ", stdout);
            print_hex(value, length);
            putchar('\n');
        }
    } else {
        puts("error type");
    }
}

static void release(struct call *call)
{
    for (int i = 0; i < MOST_ARGUMENTS; i++)
        free(call->strings[i]);
}

static void *repeat(void *argument)
{
    struct call *call = argument;
    long failures = 0;
    for (long i = 0; i < call->times; i++) {
        perform(call, false);
        failures += call->failed;
    }
    call->times = failures;
    return NULL;
}

static void in_threads(char **words, int count)
{
    long threads = strtol(words[0], NULL, 10), failures = 0;
    pthread_t identifiers[MOST_THREADS];
    struct call calls[MOST_THREADS];
    memset(calls, 0, sizeof calls);
    for (long i = 0; i < threads; i++) {
        const char *wrong = prepare(&calls[i], words + 2, count - 2);
        if (wrong != NULL) {
            printf("error %s\n", wrong);
            return;
        }
        calls[i].times = strtol(words[1], NULL, 10);
        pthread_create(&identifiers[i], NULL, repeat, &calls[i]);
    }
    for (long i = 0; i < threads; i++) {
        pthread_join(identifiers[i], NULL);
        failures += calls[i].times;
        release(&calls[i]);
    }
    printf("failures %ld\n", failures);
}

static void in_background(char **words, int count)
{
    pthread_t identifier;
    struct call *call = calloc(1, sizeof *call);
    const char *wrong = prepare(call, words, count);
    if (wrong != NULL) {
        printf("error %s\n", wrong);
        return;
    }
    call->times = 1;
    call->type = strdup(call->type);
    pthread_create(&identifier, NULL, repeat, call);
    pthread_detach(identifier);
    puts("ok");
}

static void obey(char *line);

static void in_child(char *line)
{
    int status;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        obey(line);
        exit(0);
    }
    waitpid(child, &status, 0);
    printf("forked %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
}

static void load(const char *path)
{
    void *opened = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    if (opened != NULL)
        library = opened;
    puts(opened == NULL ? dlerror() : "ok");
}

static void make_call(char **words, int count)
{
    struct call call;
    memset(&call, 0, sizeof call);
    const char *wrong = prepare(&call, words, count);
    if (wrong == NULL)
        perform(&call, true);
    else
        printf("error %s\n", wrong);
    release(&call);
}

static void obey(char *line)
{
    char *words[MOST_WORDS], *rest = NULL;
    int count = 0;
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "fork ", 5) == 0) {
        in_child(line + 5);
        return;
    }
    for (char *word = strtok_r(line, " ", &rest); word != NULL && count < MOST_WORDS; word = strtok_r(NULL, " ", &rest))
        words[count++] = word;
    if (count == 2 && strcmp(words[0], "load") == 0)
        load(words[1]);
    else if (count == 1 && strcmp(words[0], "unload") == 0)
        puts(dlclose(library) == 0 ? "ok" : "error dlclose");
    else if (count >= 3 && strcmp(words[0], "call") == 0)
        make_call(words + 1, count - 1);
    else if (count >= 5 && strcmp(words[0], "threads") == 0)
        in_threads(words + 1, count - 1);
    else if (count >= 3 && strcmp(words[0], "start") == 0)
        in_background(words + 1, count - 1);
    else if (count == 2 && strcmp(words[0], "exit") == 0)
        exit((int)strtol(words[1], NULL, 10));
    else
        puts("error command");
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
#ifdef __linux__
    /* Whoever asks may be killed while a call waits. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
    while (getline(&line, &size, stdin) > 0) {
        obey(line);
        fflush(stdout);
    }
    free(line);
    return 0;
}
