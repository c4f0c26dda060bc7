/* Stands before a module and writes down each call of it, a line of JSON each: p11conform.trace/1.

   Calls are made one after the other, so that the lines stand in the order of what happened; C_WaitForSlotEvent, which
   may block, is made beside them. No PIN is written, and of data, keys and attributes no more than the length, but for
   what is a CK_BBOOL or names a class or a type. WRAPPERS is made of the signatures (recorder.py). */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef ulong CK_RV, CK_ULONG, CK_FLAGS, CK_SLOT_ID, CK_SESSION_HANDLE, CK_OBJECT_HANDLE, CK_USER_TYPE, CK_MECHANISM_TYPE;
typedef unsigned char CK_BBOOL, CK_BYTE, CK_UTF8CHAR;
typedef void *CK_VOID_PTR, *CK_NOTIFY, **CK_VOID_PTR_PTR;
typedef CK_BYTE *CK_BYTE_PTR;
typedef CK_UTF8CHAR *CK_UTF8CHAR_PTR;
typedef ulong *CK_ULONG_PTR, *CK_SLOT_ID_PTR, *CK_SESSION_HANDLE_PTR, *CK_OBJECT_HANDLE_PTR, *CK_MECHANISM_TYPE_PTR;
typedef struct { CK_BYTE major, minor; } CK_VERSION;
typedef struct { ulong type; void *value; ulong length; } CK_ATTRIBUTE, *CK_ATTRIBUTE_PTR;
typedef struct { ulong mechanism; void *parameter; ulong length; } CK_MECHANISM, *CK_MECHANISM_PTR;
typedef struct { CK_VERSION cryptoki; CK_BYTE maker[32]; ulong flags; CK_BYTE about[32]; CK_VERSION library; } CK_INFO, *CK_INFO_PTR;
typedef struct { CK_BYTE about[64], maker[32]; ulong flags; CK_VERSION hardware, firmware; } CK_SLOT_INFO, *CK_SLOT_INFO_PTR;
typedef struct {
    CK_BYTE label[32], maker[32], model[16], serial[16];
    ulong flags, most_sessions, sessions, most_rw, rw, most_pin, least_pin, memory[4];
    CK_VERSION hardware, firmware;
    CK_BYTE time[16];
} CK_TOKEN_INFO, *CK_TOKEN_INFO_PTR;
typedef struct { ulong slot, state, flags, error; } CK_SESSION_INFO, *CK_SESSION_INFO_PTR;
typedef struct { ulong least, most, flags; } CK_MECHANISM_INFO, *CK_MECHANISM_INFO_PTR;
typedef struct { void *create, *destroy, *lock, *unlock; ulong flags; void *reserved; } INIT_ARGS;
typedef struct { CK_VERSION version; void *of[FUNCTIONS]; } CK_FUNCTION_LIST, *CK_FUNCTION_LIST_PTR, **CK_FUNCTION_LIST_PTR_PTR;

enum { OK = 0, GENERAL_ERROR = 5, ARGUMENTS_BAD = 7, SENSITIVE = 0x11, TYPE_INVALID = 0x12, BUFFER_TOO_SMALL = 0x150 };
enum { CKA_CLASS = 0x000, CKA_CERTIFICATE_TYPE = 0x080, CKA_KEY_TYPE = 0x100 };

static CK_FUNCTION_LIST *module, mine;
static pthread_mutex_t turn = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static int file = -1;

/* A line under construction: it belongs to whoever has the turn, or to the thread that has its own. */
static __thread char *line;
static __thread size_t used, room;

static void put(const char *format, ...)
{
    va_list given;
    for (;;) {
        va_start(given, format);
        int n = vsnprintf(line ? line + used : NULL, room - used, format, given);
        va_end(given);
        if (n < 0)
            return;
        if (used + (size_t)n < room) {
            used += (size_t)n;
            return;
        }
        char *more = realloc(line, room * 2 + (size_t)n + 512);
        if (!more)
            return;
        line = more;
        room = room * 2 + (size_t)n + 512;
    }
}

static __thread int first; /* whether nothing stands yet between the braces that are open */

static void name(const char *text)
{
    put("%s\"%s\":", first ? "" : ",", text);
    first = 0;
}

static void number(const char *text, ulong value) { name(text); put("%lu", value); }
static void pointer(const char *text, const void *value) { name(text); put(value ? "true" : "null"); }

static void begin(const char *function)
{
    used = 0;
    put("{\"process\":%ld,\"thread\":%ld,\"function\":\"%s\",\"arguments\":{", (long)getpid(), (long)syscall(SYS_gettid), function);
    first = 1;
}

static void returned(CK_RV rv)
{
    put("},\"returned\":%lu,\"outputs\":{", rv);
    first = 1;
}

static void end(void)
{
    put("}}\n");
    for (size_t done = 0; file >= 0 && done < used;) {
        ssize_t n = write(file, line + done, used - done);
        if (n <= 0)
            break;
        done += (size_t)n;
    }
}

static void in_mechanism(const char *text, const CK_MECHANISM *m)
{
    name(text);
    if (!m)
        put("null");
    else
        put("{\"mechanism\":%lu,\"parameter\":%s,\"length\":%lu}", m->mechanism, m->parameter ? "true" : "null", m->length);
}

static void in_init_args(const char *text, const INIT_ARGS *a)
{
    name(text);
    if (!a) {
        put("null");
        return;
    }
    put("{\"CreateMutex\":%s,\"DestroyMutex\":%s,", a->create ? "true" : "null", a->destroy ? "true" : "null");
    put("\"LockMutex\":%s,\"UnlockMutex\":%s,", a->lock ? "true" : "null", a->unlock ? "true" : "null");
    put("\"flags\":%lu,\"pReserved\":%s}", a->flags, a->reserved ? "true" : "null");
}

static int is_number(ulong type) { return type == CKA_CLASS || type == CKA_CERTIFICATE_TYPE || type == CKA_KEY_TYPE; }

/* A template; its values are looked at only where the caller or the module has filled them in. */
static void template(const char *text, const CK_ATTRIBUTE *t, ulong count, int filled)
{
    name(text);
    if (!t) {
        put("null");
        return;
    }
    put("[");
    for (ulong i = 0; i < count; i++) {
        const CK_ATTRIBUTE *a = &t[i];
        put("%s{\"type\":%lu,\"length\":%ld,\"null\":%s", i ? "," : "", a->type, (long)a->length, a->value ? "false" : "true");
        if (filled && a->value && a->length == sizeof(ulong) && is_number(a->type)) {
            ulong value;
            memcpy(&value, a->value, sizeof value);
            put(",\"value\":%lu", value);
        } else if (filled && a->value && a->length == 1 && IS_BOOLEAN(a->type) && *(CK_BYTE *)a->value <= 1) {
            put(",\"value\":%s", *(CK_BYTE *)a->value ? "true" : "false");
        }
        put("}");
    }
    put("]");
}

static void list(const char *text, const ulong *values, ulong count)
{
    name(text);
    put("[");
    for (ulong i = 0; i < count; i++)
        put("%s%lu", i ? "," : "", values[i]);
    put("]");
}

static void out_CK_INFO_PTR(const char *text, const CK_INFO *x)
{
    name(text);
    put("{\"flags\":%lu,\"cryptokiVersion\":\"%u.%u\"}", x->flags, x->cryptoki.major, x->cryptoki.minor);
}

static void out_CK_SLOT_INFO_PTR(const char *text, const CK_SLOT_INFO *x)
{
    name(text);
    put("{\"flags\":%lu}", x->flags);
}

static void out_CK_TOKEN_INFO_PTR(const char *text, const CK_TOKEN_INFO *x)
{
    name(text);
    put("{\"flags\":%lu,\"ulMaxSessionCount\":%lu,\"ulSessionCount\":%lu,", x->flags, x->most_sessions, x->sessions);
    put("\"ulMaxRwSessionCount\":%lu,\"ulRwSessionCount\":%lu,", x->most_rw, x->rw);
    put("\"ulMaxPinLen\":%lu,\"ulMinPinLen\":%lu}", x->most_pin, x->least_pin);
}

static void out_CK_SESSION_INFO_PTR(const char *text, const CK_SESSION_INFO *x)
{
    name(text);
    put("{\"slotID\":%lu,\"state\":%lu,\"flags\":%lu,\"ulDeviceError\":%lu}", x->slot, x->state, x->flags, x->error);
}

static void out_CK_MECHANISM_INFO_PTR(const char *text, const CK_MECHANISM_INFO *x)
{
    name(text);
    put("{\"ulMinKeySize\":%lu,\"ulMaxKeySize\":%lu,\"flags\":%lu}", x->least, x->most, x->flags);
}

static CK_RV own_list(CK_FUNCTION_LIST_PTR_PTR out);

#include WRAPPERS

static CK_RV own_list(CK_FUNCTION_LIST_PTR_PTR out)
{
    if (!out)
        return ARGUMENTS_BAD;
    *out = &mine;
    return OK;
}

static void child(void)
{
    pthread_mutex_t fresh = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
    memcpy(&turn, &fresh, sizeof turn);
}

static CK_RV start(void)
{
    void *library = dlopen(MODULE, RTLD_NOW | RTLD_LOCAL);
    CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR) = library ? (CK_RV(*)(CK_FUNCTION_LIST_PTR_PTR))dlsym(library, "C_GetFunctionList") : NULL;
    if (!get || get(&module) != OK || !module) {
        fprintf(stderr, "p11conform: %s cannot be loaded: %s\n", MODULE, library ? "no C_GetFunctionList" : dlerror());
        module = NULL;
        return GENERAL_ERROR;
    }
    const char *path = getenv("P11TRACE");
    if (!path || !*path)
        path = TRACE;
    file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (file < 0)
        fprintf(stderr, "p11conform: %s cannot be written; calls are not recorded\n", path);
    struct stat there;
    if (file >= 0 && fstat(file, &there) == 0 && there.st_size == 0 && write(file, HEADER, strlen(HEADER)) < 0)
        file = -1;
    pthread_atfork(NULL, NULL, child);
    fill();
    return OK;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR out)
{
    CK_RV rv = OK;
    pthread_mutex_lock(&turn);
    if (!module)
        rv = start();
    pthread_mutex_unlock(&turn);
    return rv == OK ? own_list(out) : rv;
}
