/* A PKCS#11 module that shows which of its lists is read, and how far.
 *
 * It lists one interface of the standard, of version OFFERED (major * 100 + minor), and one of a vendor. The list of
 * that interface says version SAID, and has LENGTH functions, at every EVERY-th place, and NULL at the others. A
 * function returns VENDOR and its place; those of the list of C_GetFunctionList return VENDOR + 1000 and theirs.
 * Behind each list there is no memory: whoever reads past the last pointer dies.
 *
 * FIRST is the version that the list of C_GetFunctionList says.
 *
 * LIE: 1 for an interface without a list, 2 for one by another name, 3 for CKR_OK and no interface, 4 for a code.
 * NO_INTERFACES leaves the functions for interfaces out.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef SAID
#define SAID OFFERED
#endif
#ifndef EVERY
#define EVERY 1
#endif
#ifndef FIRST
#define FIRST 240
#endif
#ifndef LIE
#define LIE 0
#endif

typedef unsigned long ulong;

#define VENDOR 0x80000000ul
#define HUNDRED(X) TEN(X, 0) TEN(X, 1) TEN(X, 2) TEN(X, 3) TEN(X, 4) TEN(X, 5) TEN(X, 6) TEN(X, 7) TEN(X, 8) TEN(X, 9)
#define HUNDRED_AND_TEN(X) HUNDRED(X) ELEVENTH(X)
#define ELEVENTH(X) X(200) X(201) X(202) X(203) X(204) X(205) X(206) X(207) X(208) X(209)
#define TEN(X, t) X(1##t##0) X(1##t##1) X(1##t##2) X(1##t##3) X(1##t##4) X(1##t##5) X(1##t##6) X(1##t##7) X(1##t##8) X(1##t##9)
#define DEFINE(n) static ulong old_##n(void) { return VENDOR + 900 + n; } static ulong new_##n(void) { return VENDOR + n - 100; }
#define OLD(n) old_##n,
#define NEW(n) new_##n,

HUNDRED_AND_TEN(DEFINE)

static ulong (*const old[])(void) = {HUNDRED_AND_TEN(OLD)};
static ulong (*const new[])(void) = {HUNDRED_AND_TEN(NEW)};

struct interface {
    char *name;
    void *list;
    ulong flags;
};

/* A list at the end of what may be read. */
static void *list(int version, int length, ulong (*const functions[])(void))
{
    long page = sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *start = (unsigned char *)(memory + page - sizeof(void *) * (length + 1));
    mprotect(memory + page, page, PROT_NONE);
    start[0] = version / 100;
    start[1] = version % 100;
    for (int i = 0; i < length; i++)
        ((void **)start)[i + 1] = i % EVERY ? NULL : (void *)functions[i];
    return start;
}

ulong C_GetFunctionList(void **out)
{
    *out = list(FIRST, 68, old);
    return 0;
}

#ifndef NO_INTERFACES
static struct interface *standard(void)
{
    static struct interface made;
    made.name = LIE == 2 ? "Vendor of something else" : "PKCS 11";
    made.list = LIE == 1 ? NULL : list(SAID, LENGTH, new);
    return &made;
}

ulong C_GetInterfaceList(struct interface *out, ulong *count)
{
    if (out != NULL && *count < 2)
        return 0x150;
    if (out != NULL) {
        static struct interface vendor = {"Vendor of something else", "\3\0", 0};
        out[0] = *standard();
        out[1] = vendor;
    }
    *count = 2;
    return 0;
}

ulong C_GetInterface(const char *name, const unsigned char *version, struct interface **out, ulong flags)
{
    if (LIE == 4 || flags || (name != NULL && strcmp(name, "PKCS 11")))
        return 7;
    if (version != NULL && version[0] * 100 + version[1] != OFFERED)
        return 7;
    *out = LIE == 3 ? NULL : standard();
    return 0;
}
#endif
