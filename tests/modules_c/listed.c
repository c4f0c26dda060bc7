/* A PKCS#11 module that shows how its function list is read.
 *
 * The list says version MAJOR.MINOR, and has a function at every EVERY-th place and NULL at the others. A function
 * returns VENDOR and its place. Behind the list there is no memory: whoever reads past the last pointer dies.
 */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef EVERY
#define EVERY 1
#endif

typedef unsigned long ulong;

enum { FUNCTIONS = 68 };

#define VENDOR 0x80000000ul
#define TENS(X) TEN(X, 0) TEN(X, 1) TEN(X, 2) TEN(X, 3) TEN(X, 4) TEN(X, 5) TEN(X, 6)
#define TEN(X, t) X(1##t##0) X(1##t##1) X(1##t##2) X(1##t##3) X(1##t##4) X(1##t##5) X(1##t##6) X(1##t##7) X(1##t##8) X(1##t##9)
#define DEFINE(n) static ulong function_##n(void) { return VENDOR + n - 100; }
#define NAME(n) function_##n,

TENS(DEFINE)

static ulong (*const functions[])(void) = {TENS(NAME)};

struct list {
    unsigned char major, minor;
    void *function[FUNCTIONS];
};

ulong C_GetFunctionList(struct list **out)
{
    long page = sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct list *list = (struct list *)(memory + page - sizeof *list);
    mprotect(memory + page, page, PROT_NONE);
    list->major = MAJOR;
    list->minor = MINOR;
    for (int i = 0; i < FUNCTIONS; i++)
        list->function[i] = i % EVERY ? NULL : (void *)functions[i];
    *out = list;
    return 0;
}
