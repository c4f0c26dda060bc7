/* A PKCS#11 module that counts the calls of C_Initialize, and is initialised until as many of C_Finalize came.
 *
 * C_Initialize fails for mutexes (C_Initialize args with a function), and counts all the same.
 */
#include <stddef.h>

typedef unsigned long ulong;

enum { OK = 0, CANT_LOCK = 0x0A, FUNCTION_NOT_SUPPORTED = 0x54, NOT_INITIALIZED = 0x190, FUNCTIONS = 68 };

static int count;

static ulong initialize(void **args) { count++; return args && args[0] ? CANT_LOCK : OK; }
static ulong finalize(void *reserved) { (void)reserved; return count ? count--, OK : NOT_INITIALIZED; }
static ulong get_info(void *info) { (void)info; return count ? OK : NOT_INITIALIZED; }
static ulong stub(void) { return FUNCTION_NOT_SUPPORTED; }

static struct {
    unsigned char major, minor;
    void *function[FUNCTIONS];
} list = {2, 40, {initialize, finalize, get_info}};

ulong C_GetFunctionList(void **out)
{
    for (int i = 3; i < FUNCTIONS; i++)
        list.function[i] = stub;
    *out = &list;
    return OK;
}
