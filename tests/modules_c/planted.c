/* A PKCS#11 module in front of another one, with one defect that somebody might have made.
 *
 * PLANTED_LIBRARY is the other one, PLANTED names the defect; see the table at the end.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned long ulong;
typedef struct { ulong type; void *value; ulong length; } attribute;
typedef struct { ulong mechanism; void *parameter; ulong length; } mechanism;
typedef struct { ulong slot, state, flags, device_error; } session_info;
typedef ulong (*function)();

enum {
    FUNCTIONS = 68,
    MOST = 64,
    SCRATCH = 4096,
    CREATE_OBJECT = 20,
    SET_ATTRIBUTE_VALUE = 25,
    SIGN_FINAL = 45,
    GENERATE_KEY = 58,
    GENERATE_PAIR = 59,
    CLOSE_SESSION = 13,
    LOGIN = 18,
    LOGOUT = 19,
    ENCRYPT_INIT = 29,
    ENCRYPT_FINAL = 32,
    VERIFY_INIT = 48,
    VALUE = 0x11,
    SENSITIVE = 0x103,
    EXTRACTABLE = 0x162,
    ALLOWED_MECHANISMS = 0x40000600,
    ARGUMENTS_BAD = 7,
    ATTRIBUTE_READ_ONLY = 0x10,
    ATTRIBUTE_SENSITIVE = 0x11,
    ACTION_PROHIBITED = 0x1B,
    KEY_HANDLE_INVALID = 0x60,
    MECHANISM_INVALID = 0x70,
    OPERATION_ACTIVE = 0x90,
    SIGNATURE_INVALID = 0xC0,
    USER_NOT_LOGGED_IN = 0x101,
    BUFFER_TOO_SMALL = 0x150,
    ALREADY_INITIALIZED = 0x191,
};

typedef struct { unsigned char major, minor; function of[FUNCTIONS]; } functions;

static functions *other, mine;

/* What is remembered of earlier calls: the last PIN that was right, the open sessions, and the last verification. */
static struct { ulong user, length; char pin[256]; int in; } last;
static ulong opened[MOST], open_now;
static mechanism verified_by;
static ulong verified_with, asked, pair[MOST], pairs;

static ulong login(ulong session, ulong user, char *pin, ulong length)
{
    ulong code = other->of[LOGIN](session, user, pin, length);
    if (!code && pin && length < sizeof last.pin) {
        last.user = user;
        last.length = length;
        last.in = 1;
        memcpy(last.pin, pin, length);
    }
    return code;
}

static ulong logout(ulong session)
{
    ulong code = other->of[LOGOUT](session);
    last.in = last.in && code;
    return code;
}

static ulong open_session(ulong slot, ulong flags, void *application, function notify, ulong *made)
{
    ulong code = other->of[12](slot, flags, application, notify, made);
    if (!code && open_now < MOST)
        opened[open_now++] = *made;
    return code;
}

static ulong close_session(ulong session)
{
    ulong code = other->of[CLOSE_SESSION](session);
    for (ulong i = 0; !code && i < open_now; i++)
        if (opened[i] == session)
            opened[i] = opened[--open_now];
    return code;
}

static ulong initialize(void *args)
{
    open_now = last.in = asked = pairs = 0;
    return other->of[0](args);
}

/* The defects. */

static ulong refused_init_ends(ulong session, void *how, ulong key)
{
    ulong code = other->of[ENCRYPT_INIT](session, how, key);
    if (code == OPERATION_ACTIVE)
        other->of[ENCRYPT_FINAL](session, NULL, NULL);
    return code;
}

static ulong verify_init(ulong session, mechanism *how, ulong key)
{
    ulong code = other->of[VERIFY_INIT](session, how, key);
    if (!code) {
        verified_by = (mechanism){how->mechanism, NULL, 0};
        verified_with = key;
    }
    return code;
}

static ulong verify_stays(ulong session, void *data, ulong length, void *signature, ulong signature_length)
{
    ulong code = other->of[49](session, data, length, signature, signature_length);
    if (code == SIGNATURE_INVALID)
        other->of[VERIFY_INIT](session, &verified_by, verified_with);
    return code;
}

static ulong opens_logged_in(ulong slot, ulong flags, void *application, function notify, ulong *made)
{
    ulong first = !open_now, code = open_session(slot, flags, application, notify, made);
    if (!code && first && last.in)
        other->of[LOGIN](*made, last.user, last.pin, last.length);
    return code;
}

static ulong length_is_not_enough(ulong session, void *data, ulong length, void *out, ulong *out_length)
{
    if (out && asked) {
        asked = 0;
        other->of[30](session, data, length, NULL, out_length);
        return BUFFER_TOO_SMALL;
    }
    ulong code = other->of[30](session, data, length, out, out_length);
    asked = !code && !out;
    return code;
}

static ulong sign_query_refused(ulong session, void *data, ulong length, void *out, ulong *out_length)
{
    return out ? other->of[43](session, data, length, out, out_length) : ARGUMENTS_BAD;
}

static ulong no_length_told(ulong session, void *data, ulong length, void *out, ulong *out_length)
{
    ulong code = other->of[38](session, data, length, out, out_length);
    if (code == BUFFER_TOO_SMALL)
        *out_length = 0;
    return code;
}

static ulong wraps_not_itself(ulong session, void *how, ulong with, ulong key, void *out, ulong *length)
{
    return with == key ? KEY_HANDLE_INVALID : other->of[60](session, how, with, key, out, length);
}

static ulong generate_pair(ulong session, void *how, void *a, ulong b, void *c, ulong d, ulong *public, ulong *private)
{
    ulong code = other->of[59](session, how, a, b, c, d, public, private);
    if (!code && pairs + 2 < MOST) {
        pair[pairs++] = *public;
        pair[pairs++] = *private;
    }
    return code;
}

static ulong pair_stays(ulong session, ulong object)
{
    for (ulong i = 0; i < pairs; i++)
        if (pair[i] == object)
            return KEY_HANDLE_INVALID;
    return other->of[22](session, object);
}

static ulong handle_zero(ulong slot, ulong flags, void *application, function notify, ulong *made)
{
    ulong code = other->of[12](slot, flags, application, notify, made);
    if (!code)
        *made = 0;
    return code;
}

static ulong tells_secrets(ulong session, ulong object, attribute *wanted, ulong count)
{
    ulong code = other->of[24](session, object, wanted, count);
    if (code != ATTRIBUTE_SENSITIVE)
        return code;
    for (ulong i = 0; i < count; i++)
        if (wanted[i].length == (ulong)-1)
            wanted[i].length = 16;
    return 0;
}

static ulong no_mechanism(void) { return MECHANISM_INVALID; }

static ulong logout_does_nothing(ulong session)
{
    ulong code = other->of[LOGOUT](session);
    if (!code)
        other->of[LOGIN](session, last.user, last.pin, last.length);
    return code;
}

static ulong does_nothing(void) { return 0; }

static ulong random_ends_digests(ulong session, void *out, ulong length)
{
    ulong code = other->of[64](session, out, length);
    if (!code)
        other->of[ENCRYPT_FINAL](session, NULL, NULL);
    return code;
}

static ulong close_logs_out(ulong session)
{
    ulong code = close_session(session);
    if (!code && open_now)
        other->of[LOGOUT](opened[0]);
    return code;
}

static ulong initialized_again(void *args)
{
    ulong code = initialize(args);
    return code == ALREADY_INITIALIZED ? 0 : code;
}

static ulong never_a_user(ulong session, session_info *info)
{
    ulong code = other->of[15](session, info);
    if (!code)
        info->state = info->flags & 2 ? 2 : 0;
    return code;
}

static ulong pin_by_anybody(ulong session, void *pin, ulong length)
{
    ulong code = other->of[10](session, pin, length);
    return code == USER_NOT_LOGGED_IN ? 0 : code;
}

static ulong refused_login_logs_out(ulong session, ulong user, char *pin, ulong length)
{
    ulong code = login(session, user, pin, length);
    if (code)
        other->of[LOGOUT](session);
    return code;
}

static ulong destroys_and_fails(ulong session, ulong object)
{
    ulong code = other->of[22](session, object);
    return code ? code : ACTION_PROHIBITED;
}

/* A template less the list of mechanisms that may be used with the key; how many attributes are left. */
static ulong any_mechanism(attribute *given, ulong count, attribute *left)
{
    ulong n = 0;
    for (ulong i = 0; given && i < count && n < MOST; i++)
        if (given[i].type != ALLOWED_MECHANISMS)
            left[n++] = given[i];
    return n;
}

static ulong creates_unlimited(ulong session, attribute *given, ulong count, ulong *made)
{
    attribute left[MOST];
    return other->of[CREATE_OBJECT](session, given ? left : NULL, given ? any_mechanism(given, count, left) : count, made);
}

static ulong generates_unlimited(ulong session, void *how, attribute *given, ulong count, ulong *made)
{
    attribute left[MOST];
    ulong n = given ? any_mechanism(given, count, left) : count;
    return other->of[GENERATE_KEY](session, how, given ? left : NULL, n, made);
}

static ulong pair_unlimited(ulong session, void *how, attribute *a, ulong b, attribute *c, ulong d, ulong *e, ulong *f)
{
    attribute public[MOST], private[MOST];
    ulong m = a ? any_mechanism(a, b, public) : b, n = c ? any_mechanism(c, d, private) : d;
    return other->of[GENERATE_PAIR](session, how, a ? public : NULL, m, c ? private : NULL, n, e, f);
}

static ulong sets_back(ulong session, ulong object, attribute *given, ulong count)
{
    ulong code = other->of[SET_ATTRIBUTE_VALUE](session, object, given, count);
    if (code != ATTRIBUTE_READ_ONLY || count != 1 || given->length != 1)
        return code;
    char value = *(char *)given->value;
    return given->type == (value ? EXTRACTABLE : SENSITIVE) ? 0 : code;
}

static ulong signs_with_nul(ulong session, void *data, ulong length, char *out, ulong *out_length)
{
    ulong code = other->of[43](session, data, length, out, out_length);
    if (!code && out)
        out[*out_length] = 0;
    return code;
}

static ulong query_ends(ulong session, void *out, ulong *out_length)
{
    static char scratch[SCRATCH];
    ulong code = other->of[SIGN_FINAL](session, out, out_length), length = SCRATCH;
    if (!code && !out)
        other->of[SIGN_FINAL](session, scratch, &length);
    return code;
}

static const struct { const char *name; int place; function planted; } DEFECTS[] = {
    {"refused-init-ends", ENCRYPT_INIT, (function)refused_init_ends},
    {"verify-stays", 49, (function)verify_stays},
    {"close-leaves-login", 12, (function)opens_logged_in},
    {"length-not-enough", 30, (function)length_is_not_enough},
    {"sign-query-refused", 43, (function)sign_query_refused},
    {"no-length-told", 38, (function)no_length_told},
    {"wraps-not-itself", 60, (function)wraps_not_itself},
    {"pair-stays", 22, (function)pair_stays},
    {"handle-zero", 12, (function)handle_zero},
    {"tells-secrets", 24, (function)tells_secrets},
    {"no-mechanism", 8, (function)no_mechanism},
    {"logout-does-nothing", LOGOUT, (function)logout_does_nothing},
    {"destroy-does-nothing", 22, (function)does_nothing},
    {"final-does-nothing", 28, (function)does_nothing},
    {"pin-stays", 11, (function)does_nothing},
    {"digest-not-begun", 37, (function)does_nothing},
    {"close-all-does-nothing", 14, (function)does_nothing},
    {"random-ends-digests", 64, (function)random_ends_digests},
    {"close-logs-out", CLOSE_SESSION, (function)close_logs_out},
    {"initialized-again", 0, (function)initialized_again},
    {"never-a-user", 15, (function)never_a_user},
    {"pin-by-anybody", 10, (function)pin_by_anybody},
    {"refused-login-logs-out", LOGIN, (function)refused_login_logs_out},
    {"destroys-and-fails", 22, (function)destroys_and_fails},
    {"any-mechanism", CREATE_OBJECT, (function)creates_unlimited},
    {"any-mechanism", GENERATE_KEY, (function)generates_unlimited},
    {"any-mechanism", GENERATE_PAIR, (function)pair_unlimited},
    {"sets-back", SET_ATTRIBUTE_VALUE, (function)sets_back},
    {"writes-past", 43, (function)signs_with_nul},
    {"query-ends", SIGN_FINAL, (function)query_ends},
};

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
        void *library = dlopen(getenv("PLANTED_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
        function list = library ? (function)dlsym(library, "C_GetFunctionList") : NULL;
        const char *name = getenv("PLANTED");
        if (!list || list(&other))
            return 5;
        mine = *other;
        mine.of[0] = (function)initialize;
        mine.of[3] = (function)own_list;
        mine.of[12] = (function)open_session;
        mine.of[CLOSE_SESSION] = (function)close_session;
        mine.of[LOGIN] = (function)login;
        mine.of[LOGOUT] = (function)logout;
        mine.of[VERIFY_INIT] = (function)verify_init;
        mine.of[59] = (function)generate_pair;
        for (size_t i = 0; name && i < sizeof DEFECTS / sizeof *DEFECTS; i++)
            if (!strcmp(name, DEFECTS[i].name))
                mine.of[DEFECTS[i].place] = DEFECTS[i].planted;
    }
    return own_list(out);
}
