/*
 * The scope `logins` of p11conform for SPIN, written by hand from PKCS#11 v2.40, sections 5.4 and 5.6:
 * one slot, and as many sessions as SESSIONS says, two to four. Every call of the scope that can change a state is an
 * option of the loop, once for each choice of its arguments; calls that change nothing have no counterpart. Read-only
 * sessions may stand beside the SO, as the usage guide has it (A-05).
 */

#ifndef SESSIONS
#define SESSIONS 2
#endif

/* A session handle: closed, or open with R/W or not, with a callback or not. */
#define CLOSED 0
#define RO 1
#define RW 2
#define RO_NOTIFY 3
#define RW_NOTIFY 4

#define NOBODY 0
#define USER 1
#define SO 2

bool running;
byte session[4];
byte login;
bool so_failed;
bool user_failed;

#define OPEN(k) (session[k] != CLOSED)
#define SOME_SESSION (OPEN(0) || OPEN(1) || OPEN(2) || OPEN(3))
#define CLOSE_ALL session[0] = CLOSED; session[1] = CLOSED; session[2] = CLOSED; session[3] = CLOSED; login = NOBODY

/* C_Initialize: any pInitArgs may succeed; those with CKF_OS_LOCKING_OK and the like may fail as well. */
#define INITIALIZE(init) \
	:: d_step { !running -> running = true }

/* C_Finalize ends sessions and logins; pReserved should be NULL, yet need not. */
#define FINALIZE(reserved) \
	:: d_step { running -> running = false; CLOSE_ALL }

/* C_OpenSession takes the first free handle. */
#define OPEN_SESSION(kind, serial) \
	:: d_step { running && !OPEN(0) -> session[0] = kind } \
	:: d_step { running && OPEN(0) && !OPEN(1) -> session[1] = kind } \
	OPEN_THIRD(kind) \
	OPEN_FOURTH(kind)

#if SESSIONS > 2
#define OPEN_THIRD(kind) \
	:: d_step { running && OPEN(0) && OPEN(1) && !OPEN(2) -> session[2] = kind }
#else
#define OPEN_THIRD(kind)
#endif

#if SESSIONS > 3
#define OPEN_FOURTH(kind) \
	:: d_step { running && OPEN(0) && OPEN(1) && OPEN(2) && !OPEN(3) -> session[3] = kind }
#else
#define OPEN_FOURTH(kind)
#endif

/* C_CloseSession: the last session takes the login with it. */
#define CLOSE_SESSION(k) \
	:: d_step { OPEN(k) -> session[k] = CLOSED; if :: SOME_SESSION -> skip :: else -> login = NOBODY fi }

/* C_Login that succeeds. */
#define LOGIN_USER(k) \
	:: d_step { OPEN(k) && login == NOBODY -> login = USER; user_failed = false }
#define LOGIN_SO(k) \
	:: d_step { OPEN(k) && login == NOBODY -> login = SO; so_failed = false }

/* C_Login with a PIN that is not right: the token may count it, whoever is logged in. */
#define LOGIN_USER_FAILS(k, type, pin) \
	:: d_step { OPEN(k) && !user_failed -> user_failed = true }
#define LOGIN_SO_FAILS(k, pin) \
	:: d_step { OPEN(k) && !so_failed -> so_failed = true }

/* C_Login again for one use of a key, with a PIN that is locked by then or was before: it may log out whoever is there. */
#define LOGS_OUT_LOCKED_BY_NOW(k, pin) \
	:: d_step { OPEN(k) && login != NOBODY -> user_failed = true; login = NOBODY }
#define LOGS_OUT_LOCKED_BEFORE(k, pin) \
	:: d_step { OPEN(k) && login != NOBODY && user_failed -> login = NOBODY }

#define LOGOUT(k) \
	:: d_step { OPEN(k) && login != NOBODY -> login = NOBODY }

#define OF_SESSION(k) \
	CLOSE_SESSION(k) \
	LOGIN_USER(k) \
	LOGIN_SO(k) \
	LOGIN_USER_FAILS(k, CKU_USER, SO_PIN) \
	LOGIN_USER_FAILS(k, CKU_USER, OTHER_PIN) \
	LOGIN_USER_FAILS(k, CKU_USER, WRONG_PIN) \
	LOGIN_USER_FAILS(k, CKU_USER, SHORT_PIN) \
	LOGIN_USER_FAILS(k, CKU_USER, LONG_PIN) \
	LOGIN_USER_FAILS(k, CKU_USER, NULL_PIN) \
	LOGIN_USER_FAILS(k, CKU_CONTEXT_SPECIFIC, SO_PIN) \
	LOGIN_USER_FAILS(k, CKU_CONTEXT_SPECIFIC, OTHER_PIN) \
	LOGIN_USER_FAILS(k, CKU_CONTEXT_SPECIFIC, WRONG_PIN) \
	LOGIN_USER_FAILS(k, CKU_CONTEXT_SPECIFIC, SHORT_PIN) \
	LOGIN_USER_FAILS(k, CKU_CONTEXT_SPECIFIC, LONG_PIN) \
	LOGIN_USER_FAILS(k, CKU_CONTEXT_SPECIFIC, NULL_PIN) \
	LOGS_OUT_LOCKED_BY_NOW(k, SO_PIN) \
	LOGS_OUT_LOCKED_BY_NOW(k, OTHER_PIN) \
	LOGS_OUT_LOCKED_BY_NOW(k, WRONG_PIN) \
	LOGS_OUT_LOCKED_BY_NOW(k, SHORT_PIN) \
	LOGS_OUT_LOCKED_BY_NOW(k, LONG_PIN) \
	LOGS_OUT_LOCKED_BEFORE(k, USER_PIN) \
	LOGS_OUT_LOCKED_BEFORE(k, NULL_PIN) \
	LOGIN_USER_FAILS(k, CKU_INVALID, NULL_PIN) \
	LOGIN_SO_FAILS(k, USER_PIN) \
	LOGIN_SO_FAILS(k, OTHER_PIN) \
	LOGIN_SO_FAILS(k, WRONG_PIN) \
	LOGIN_SO_FAILS(k, SHORT_PIN) \
	LOGIN_SO_FAILS(k, LONG_PIN) \
	LOGIN_SO_FAILS(k, NULL_PIN) \
	LOGOUT(k)

#define OF_KIND(kind) \
	OPEN_SESSION(kind, true) \
	OPEN_SESSION(kind, false)

active proctype application()
{
	do
	INITIALIZE(NULL_PTR)
	INITIALIZE(PLAIN)
	INITIALIZE(OS_LOCKING)
	INITIALIZE(CALLBACKS)
	INITIALIZE(CALLBACKS_OR_OS)
	INITIALIZE(NO_THREADS)
	INITIALIZE(PARTIAL)
	INITIALIZE(RESERVED)
	INITIALIZE(FAILING)
	FINALIZE(false)
	FINALIZE(true)
	OF_KIND(RO)
	OF_KIND(RO_NOTIFY)
	OF_KIND(RW)
	OF_KIND(RW_NOTIFY)
	/* C_CloseAllSessions */
	:: d_step { SOME_SESSION -> CLOSE_ALL }
	OF_SESSION(0)
	OF_SESSION(1)
#if SESSIONS > 2
	OF_SESSION(2)
#endif
#if SESSIONS > 3
	OF_SESSION(3)
#endif
	od
}
