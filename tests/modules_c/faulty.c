/* A PKCS#11 module with one slot that misbehaves to order.
 *
 * FAULT_IN names a function, FAULT says what happens when it is called: crash, exit (with 3), leave (with 0), hang,
 * fork (a grandchild keeps the inherited descriptors open while the caller crashes), daemon (one in a session of its own
 * stays behind), or note (the file that FAULT_FILE names comes to be, with the number of the process that was forked, or
 * of this one). FAULT=null has every function but C_Finalize crash that is given NULL for a pointer it needs, whatever
 * FAULT_IN is. FAULT=absent leaves its pointer NULL in the function list, FAULT=stuck has C_Finalize fail. SAYS is
 * printed on stderr by each function. With SLOW each takes 30 ms.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef unsigned long ulong;

enum { OK = 0, GENERAL_ERROR = 5, FUNCTION_NOT_SUPPORTED = 0x54, FUNCTIONS = 68 };

static int ordered(const char *fault, const char *function)
{
    const char *in = getenv("FAULT_IN"), *what = getenv("FAULT");
    return in && what && !strcmp(in, function) && !strcmp(what, fault);
}

static void note(pid_t child)
{
    FILE *file = getenv("FAULT_FILE") ? fopen(getenv("FAULT_FILE"), "w") : NULL;
    if (file) {
        fprintf(file, "%d", (int)child);
        fclose(file);
    }
}

static void misbehave(const char *function)
{
    puts("vendor chatter on stdout");
    fflush(stdout);
    fputs("vendor chatter on stderr\n", stderr);
    if (getenv("SAYS"))
        fprintf(stderr, "%s", getenv("SAYS"));
    if (getenv("SLOW"))
        usleep(30000);
    if (ordered("crash", function))
        raise(SIGSEGV);
    if (ordered("exit", function))
        exit(3);
    if (ordered("leave", function))
        exit(0);
    if (ordered("hang", function))
        for (;;)
            pause();
    if (ordered("fork", function)) {
        pid_t child = fork();
        if (!child) {
            sleep(5);
            _exit(0);
        }
        note(child);
        raise(SIGSEGV);
    }
    if (ordered("daemon", function) && !fork()) {
        setsid();
        pid_t child = fork();
        if (!child) {
            sleep(60);
            _exit(0);
        }
        note(child);
        _exit(0);
    } else if (ordered("daemon", function))
        wait(NULL);
    if (ordered("note", function))
        note(getpid());
}

static void need(const void *pointer)
{
    if (!pointer && getenv("FAULT") && !strcmp(getenv("FAULT"), "null"))
        raise(SIGSEGV);
}

static ulong C_Initialize(void *args) { (void)args; misbehave(__func__); return OK; }
static ulong C_Finalize(void *reserved)
{
    (void)reserved;
    misbehave(__func__);
    return ordered("stuck", __func__) ? GENERAL_ERROR : OK;
}
static ulong C_GetInfo(void *info) { need(info); misbehave(__func__); return OK; }
static ulong C_GetSlotInfo(ulong slot, void *info) { (void)slot; need(info); misbehave(__func__); return OK; }
static ulong C_GetTokenInfo(ulong slot, void *info) { (void)slot; need(info); return FUNCTION_NOT_SUPPORTED; }
static ulong C_GetSessionInfo(ulong session, void *info) { (void)session; need(info); return FUNCTION_NOT_SUPPORTED; }
static ulong stub(void) { return FUNCTION_NOT_SUPPORTED; }

static struct {
    unsigned char major, minor;
    void *function[FUNCTIONS];
} list = {2, 40, {0}};

ulong C_GetFunctionList(void **out)
{
    static const struct { int place; const char *name; void *function; } mine[] = {
        {0, "C_Initialize", C_Initialize},
        {1, "C_Finalize", C_Finalize},
        {2, "C_GetInfo", C_GetInfo},
        {5, "C_GetSlotInfo", C_GetSlotInfo},
        {6, "C_GetTokenInfo", C_GetTokenInfo},
        {15, "C_GetSessionInfo", C_GetSessionInfo},
    };
    misbehave(__func__);
    for (int i = 0; i < FUNCTIONS; i++)
        list.function[i] = stub;
    for (size_t i = 0; i < sizeof mine / sizeof *mine; i++)
        list.function[mine[i].place] = ordered("absent", mine[i].name) ? NULL : mine[i].function;
    *out = &list;
    return OK;
}
