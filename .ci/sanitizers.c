/* Where GCC's UBSAN writes what it finds, which log_path does not tell it beside ASAN: it asks for
   __sanitizer_set_report_path, and gets ASAN's. So its reports went where pytest keeps what a passing
   test has written, and nobody saw them. To be loaded behind both; REPORTS is the path. */
#include <dlfcn.h>
#include <stdlib.h>

__attribute__((constructor)) static void tell(void)
{
    void *runtime = dlopen("libubsan.so.1", RTLD_LAZY | RTLD_NOLOAD);
    void (*set)(const char *) = runtime ? (void (*)(const char *))dlsym(runtime, "__sanitizer_set_report_path") : 0;
    if (!set)
        abort();
    set(REPORTS);
}

/* Two mistakes, for the proof that both are seen. */
int overflow(int number)
{
    return number + 0x7fffffff;
}

int outside(int index)
{
    char *block = malloc(8);
    int found = block[index];
    free(block);
    return found;
}
