/* A PKCS#11 module in front of another one, which it changes to order.
 *
 * SHIM_LIBRARY is the other one. SHIM_FLAGS are flags of the token that are set beside its own. SHIM_KEEPS makes every
 * new object one of the token, whatever its template says. SHIM_INIT is the code that C_InitToken gives instead of
 * doing anything. SHIM_PINS is a file that a letter is added to at each C_Login: x for one that succeeds, - for a wrong
 * PIN, ! for a wrong PIN where the token has said that few tries are left. SHIM_FINAL is a file that is there from a
 * wrong PIN of the user on, and as long as it is, the token has CKF_USER_PIN_FINAL_TRY set. SHIM_BREAKS is a file that
 * C_InitToken makes; while it is there, no PIN can be set and no user logs in. SHIM_STUCK has no object be destroyed,
 * and the process die of a try if it says so ("dies").
 * SHIM_DELAY is how long each call takes beside, in microseconds.
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long ulong;
typedef struct { ulong type; void *value; ulong length; } attribute;
typedef struct { ulong mechanism; void *parameter; ulong length; } mechanism;
typedef struct { unsigned char text[96]; ulong flags; } token_info;
typedef ulong (*function)();

enum {
    FUNCTIONS = 68,
    CKA_TOKEN = 1,
    MOST = 64,
    FUNCTION_FAILED = 6,
    ARGUMENTS_BAD = 7,
    PIN_INCORRECT = 0xA0,
    USER_PIN_FINAL_TRY = 0x20000,
    RISKS = 0x770000,
};

typedef struct { unsigned char major, minor; function of[FUNCTIONS]; } functions;

static functions *other, mine;

static attribute *kept(const attribute *given, ulong count, attribute *room, ulong *now)
{
    static unsigned char yes = 1;
    *now = count;
    if (!given || count >= MOST || !getenv("SHIM_KEEPS"))
        return (attribute *)given;
    int said = 0;
    for (ulong i = 0; i < count; i++) {
        room[i] = given[i];
        if (given[i].type == CKA_TOKEN && given[i].length == 1) {
            room[i].value = &yes;
            said = 1;
        }
    }
    if (!said)
        room[(*now)++] = (attribute){CKA_TOKEN, &yes, 1};
    return room;
}

static const char *present(const char *variable)
{
    const char *name = getenv(variable);
    return name && !access(name, F_OK) ? name : NULL;
}

static void put(const char *variable, char letter)
{
    const char *name = getenv(variable);
    FILE *file = name ? fopen(name, "a") : NULL;
    if (file) {
        fputc(letter, file);
        fclose(file);
    }
}

static ulong token_flags(ulong slot, token_info *info)
{
    ulong code = other->of[6](slot, info);
    const char *flags = getenv("SHIM_FLAGS");
    if (code)
        return code;
    if (flags)
        info->flags |= strtoul(flags, NULL, 0);
    if (present("SHIM_FINAL"))
        info->flags |= USER_PIN_FINAL_TRY;
    return code;
}

static ulong init_token(ulong slot, void *pin, ulong length, void *label)
{
    const char *code = getenv("SHIM_INIT");
    ulong done = code ? strtoul(code, NULL, 0) : other->of[9](slot, pin, length, label);
    if (!done)
        put("SHIM_BREAKS", 'x');
    return done;
}

static ulong init_pin(ulong session, void *pin, ulong length)
{
    return present("SHIM_BREAKS") ? FUNCTION_FAILED : other->of[10](session, pin, length);
}

/* What a PIN did: note it, and set or clear what it sets or clears. */
static ulong tried(ulong user, ulong code)
{
    const char *final = present("SHIM_FINAL");
    put("SHIM_PINS", code != PIN_INCORRECT ? 'x' : final || getenv("SHIM_FLAGS") ? '!' : '-');
    if (user == 1 && code == PIN_INCORRECT)
        put("SHIM_FINAL", 'x');
    if (user == 1 && !code && final)
        unlink(final);
    return code;
}

static ulong set_pin(ulong session, void *old, ulong length, void *now, ulong now_length)
{
    return tried(1, other->of[11](session, old, length, now, now_length));
}

static ulong login(ulong session, ulong user, void *pin, ulong length)
{
    return tried(user, present("SHIM_BREAKS") ? FUNCTION_FAILED : other->of[18](session, user, pin, length));
}

static ulong destroy(ulong session, ulong object)
{
    const char *stuck = getenv("SHIM_STUCK");
    if (stuck && !strcmp(stuck, "dies"))
        raise(SIGSEGV);
    return stuck ? FUNCTION_FAILED : other->of[22](session, object);
}

static ulong create(ulong session, attribute *given, ulong count, ulong *made)
{
    attribute room[MOST + 1];
    ulong now;
    given = kept(given, count, room, &now);
    return other->of[20](session, given, now, made);
}

static ulong copy(ulong session, ulong object, attribute *given, ulong count, ulong *made)
{
    attribute room[MOST + 1];
    ulong now;
    given = kept(given, count, room, &now);
    return other->of[21](session, object, given, now, made);
}

static ulong generate(ulong session, mechanism *how, attribute *given, ulong count, ulong *made)
{
    attribute room[MOST + 1];
    ulong now;
    given = kept(given, count, room, &now);
    return other->of[58](session, how, given, now, made);
}

/* Every call with a delay: more arguments than a function has do no harm. */
static functions quick;
static useconds_t delay;

#define LATE(n)                                                                                                    \
    static ulong late_##n(ulong a, ulong b, ulong c, ulong d, ulong e, ulong f, ulong g, ulong h)                    \
    {                                                                                                              \
        usleep(delay);                                                                                             \
        return quick.of[n](a, b, c, d, e, f, g, h);                                                                \
    }
#define EACH(X)                                                                                                    \
    X(0) X(1) X(2) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16) X(17) X(18) X(19) X(20) \
    X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(32) X(33) X(34) X(35) X(36) X(37) X(38)    \
    X(39) X(40) X(41) X(42) X(43) X(44) X(45) X(46) X(47) X(48) X(49) X(50) X(51) X(52) X(53) X(54) X(55) X(56)    \
    X(57) X(58) X(59) X(60) X(61) X(62) X(63) X(64) X(65) X(66) X(67)
#define PLACE(n) mine.of[n] = (function)late_##n;

EACH(LATE)

static ulong own_list(functions **out)
{
    if (!out)
        return ARGUMENTS_BAD;
    *out = &mine;
    return 0;
}

ulong C_GetFunctionList(functions **out)
{
    if (!other) {
        void *library = dlopen(getenv("SHIM_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
        function list = library ? (function)dlsym(library, "C_GetFunctionList") : NULL;
        if (!list || list(&other))
            return 5;
        mine = *other;
        mine.of[3] = (function)own_list;
        mine.of[6] = (function)token_flags;
        mine.of[9] = (function)init_token;
        mine.of[10] = (function)init_pin;
        mine.of[11] = (function)set_pin;
        mine.of[18] = (function)login;
        mine.of[20] = (function)create;
        mine.of[21] = (function)copy;
        mine.of[22] = (function)destroy;
        mine.of[58] = (function)generate;
        if (getenv("SHIM_DELAY")) {
            delay = strtoul(getenv("SHIM_DELAY"), NULL, 0);
            quick = mine;
            EACH(PLACE)
        }
    }
    return own_list(out);
}
