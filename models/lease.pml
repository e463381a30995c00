/*
 * One lease: three voters, two of which claim it, and no clock like another.
 * What is modelled and what is not: docs/MODEL.md. The code: core/src/lease/voter.rs and claim.rs.
 *
 * Time goes on in ticks of the fastest clock there may be. Any clock may leave one out, but then not
 * again for as long as a lease lasts. What is said is heard at any time after, or never; a request
 * or a release of long ago may be heard again and again.
 */

#ifndef L
#define L 2        /* what a voter binds itself for */
#endif
#ifdef NO_MARGIN
#define H L
#else
#define H (L - 1)  /* what the holder counts: its clock leaves out one tick within that at most */
#endif
#ifndef T0
#define T0 2       /* so often may a claim, */
#endif
#ifndef T1
#define T1 1       /* and so often b */
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif

#define N 3        /* a b c vote */
#define C 2        /* a b claim */
#define P(c, v) ((c) * N + (v))
#define TENURES(c) ((c) == 0 -> T0 : T1)

/* Claimants. */
byte tenure[C] = 1; /* its present or latest attempt; ballots are those, of each claimant its own */
bool claims[C] = 1;
byte over[C];      /* attempts that were given up, by bit */
byte kernel[C];    /* it is answered for here for so long, on this host's clock */
byte vote[C * N];  /* what is left of each voter's grant, as the holder counts */

/* One request of each claimant to each voter, with what is left from its stamp. What happens where
 * an older one is handled instead is what happens where this one was never sent. With SLOW an answer
 * may be heard later than at once; see docs/MODEL.md for why that need not be. */
mtype = { none, asked, granted };
mtype stage[C * N] = none;
byte left[C * N];
byte about[C * N];

/* Voters. */
byte grant[N];     /* to claimant grant - 1; 0: to nobody */
byte bound[N];     /* for so long still */
byte ballot[N];    /* with this ballot */
byte least[C * N]; /* no lower ballot of a claimant is heard */
byte quiet[N];

byte calm[N];      /* for so long still the clock leaves nothing out */
byte restarts = RESTARTS;
byte i, until;

#ifdef TWICE
#define FREE(v, c) true
#else
#define FREE(v, c) (grant[v] == 0 || grant[v] == c + 1)
#endif
#define GRANTS(v, c, t) (quiet[v] == 0 && FREE(v, c) && t >= least[P(c, v)])

#define LESS(x) x = (x > 0 -> x - 1 : 0)
#define MIN(x, y) ((x) < (y) -> (x) : (y))
#define MAX(x, y) ((x) > (y) -> (x) : (y))

inline bind(v, c, t) {
    grant[v] = c + 1; bound[v] = L; ballot[v] = t;
    least[P(c, v)] = (t > 1 -> t : 0)
}

/* Until the second of three grants ends. */
inline extend(c) {
    until = MAX(MIN(vote[P(c, 0)], vote[P(c, 1)]), MAX(MIN(vote[P(c, 0)], vote[P(c, 2)]),
        MIN(vote[P(c, 1)], vote[P(c, 2)])));
    kernel[c] = MAX(kernel[c], until);
    until = 0;
    assert(kernel[0] == 0 || kernel[1] == 0)
}

inline drop(i) { stage[i] = none; left[i] = 0; about[i] = 0 }

/* What of its requests is on the way is from long ago now. */
inline forget(c) {
    claims[c] = 0;
    for (i : c * N .. c * N + N - 1) {
        vote[i] = 0;
        if
        :: stage[i] == asked -> drop(i)
        :: else
        fi
    }
    i = 0
}

/* A host's clock goes on. */
inline advance(n) {
    LESS(quiet[n]); LESS(bound[n]);
    if
    :: bound[n] == 0 -> grant[n] = 0; ballot[n] = 0
    :: else
    fi;
    if
    :: n < C ->
        LESS(kernel[n]);
        for (i : n * N .. n * N + N - 1) {
            LESS(vote[i]);
#ifndef FROM_ANSWER
            LESS(left[i]);
#endif
            if
            :: left[i] == 0 -> drop(i)
            :: else
            fi
        }
        i = 0
    :: else
    fi
}

inline clock(n, whole) {
    if
    :: whole -> advance(n); LESS(calm[n])
    :: else -> calm[n] = L
    fi
}

#ifdef APART
#define MAY_ERR(a, b, c) ((a || calm[0] == 0) && (b || calm[1] == 0) && (c || calm[2] == 0))
#define CALM
#else
/* All clocks err in the same tick if at all: fewer states. */
#define MAY_ERR(a, b, c) ((a && b && c) || calm[0] == 0)
#define CALM calm[0] = (calm[0] > 0 || calm[1] > 0 || calm[2] > 0 -> MAX(calm[0], MAX(calm[1], calm[2])) : 0); calm[1] = 0; calm[2] = 0;
#endif

#define TICK(a, b, c) :: d_step { MAY_ERR(a, b, c) -> \
    clock(0, a); clock(1, b); clock(2, c); CALM \
    printf("time goes on: a %d b %d c %d\n", a, b, c) }

#define BEGIN(c) :: d_step { \
    !claims[c] && tenure[c] < TENURES(c) -> claims[c] = 1; tenure[c]++; \
    printf("%c claims, ballot %d\n", 97 + c, tenure[c]) }

/* Its kernel answers no more; then the voters may hear of it. */
#define GIVE_UP(c) :: d_step { \
    claims[c] -> kernel[c] = 0; over[c] = over[c] | (1 << tenure[c]); forget(c); \
    printf("%c gives up ballot %d\n", 97 + c, tenure[c]) }

/* Its own voter. */
#define OWN(c) :: d_step { \
    claims[c] && vote[P(c, c)] < H && GRANTS(c, c, tenure[c]) -> \
    bind(c, c, tenure[c]); vote[P(c, c)] = H; \
    printf("%c grants to itself\n", 97 + c); extend(c) }

#define ASK(c, v) :: d_step { \
    claims[c] && vote[P(c, v)] < H && !(stage[P(c, v)] == asked && left[P(c, v)] == H) -> \
    stage[P(c, v)] = asked; left[P(c, v)] = H; about[P(c, v)] = tenure[c]; \
    printf("%c asks %c, ballot %d\n", 97 + c, 97 + v, tenure[c]) }

#ifdef SLOW
#define SAY(c, v) stage[P(c, v)] = granted
#else
#define SAY(c, v) vote[P(c, v)] = MAX(vote[P(c, v)], left[P(c, v)]); drop(P(c, v)); extend(c)
#endif
#define GRANT(c, v) :: d_step { \
    stage[P(c, v)] == asked && GRANTS(v, c, about[P(c, v)]) -> \
    bind(v, c, about[P(c, v)]); \
    printf("%c grants to %c, ballot %d\n", 97 + v, 97 + c, about[P(c, v)]); SAY(c, v) }

/* A request from long ago. Its answer is worth nothing. */
#define LATE(c, v, t) :: d_step { \
    t <= tenure[c] && GRANTS(v, c, t) && !(grant[v] == c + 1 && ballot[v] == t && bound[v] == L) -> \
    bind(v, c, t); \
    printf("%c grants to %c what it asked long ago, ballot %d\n", 97 + v, 97 + c, t) }

#ifdef ANY_TENURE
#define COUNTS(c, v) claims[c]
#else
#define COUNTS(c, v) (claims[c] && about[P(c, v)] == tenure[c])
#endif
#ifdef FROM_ANSWER
#define WORTH(c, v) H
#else
#define WORTH(c, v) left[P(c, v)]
#endif

#ifdef SLOW
#define HEAR(c, v) :: d_step { \
    stage[P(c, v)] == granted -> \
    printf("%c hears the grant of %c, ballot %d\n", 97 + c, 97 + v, about[P(c, v)]); \
    if \
    :: COUNTS(c, v) -> vote[P(c, v)] = MAX(vote[P(c, v)], WORTH(c, v)); extend(c) \
    :: else \
    fi; \
    drop(P(c, v)) }
#else
#define HEAR(c, v)
#endif

#ifdef ANY_BALLOT
#define VOIDS(v, t) true
#else
#define VOIDS(v, t) (ballot[v] <= t)
#endif

/* A voter hears that an attempt is over: at once, long after, again. */
#define RELEASE(c, v, t) :: d_step { \
    (over[c] >> t) & 1 && grant[v] == c + 1 && VOIDS(v, t) -> \
    grant[v] = 0; bound[v] = 0; ballot[v] = 0; \
    printf("%c hears that %c gave up ballot %d\n", 97 + v, 97 + c, t) }

/* A run ends and another begins, which knows nothing. The kernel goes on. */
#ifdef NO_QUIET
#define QUIET 0
#else
#define QUIET L
#endif
#define RESTART(n) :: d_step { \
    restarts > 0 -> restarts--; \
    grant[n] = 0; bound[n] = 0; ballot[n] = 0; least[P(0, n)] = 0; least[P(1, n)] = 0; \
    quiet[n] = QUIET; \
    if \
    :: n < C -> forget(n % C) \
    :: else \
    fi; \
    printf("%c starts again\n", 97 + n) }

#define PAIR(c, v) ASK(c, v) GRANT(c, v) HEAR(c, v) \
    LATE(c, v, 1) LATE(c, v, 2) RELEASE(c, v, 1) RELEASE(c, v, 2)

active proctype world() {
    do
    TICK(1, 1, 1)
    TICK(0, 1, 1) TICK(1, 0, 1) TICK(1, 1, 0) TICK(0, 0, 1) TICK(0, 1, 0) TICK(1, 0, 0) TICK(0, 0, 0)
    BEGIN(0) BEGIN(1) GIVE_UP(0) GIVE_UP(1) OWN(0) OWN(1)
    RELEASE(0, 0, 1) RELEASE(0, 0, 2) RELEASE(1, 1, 1) RELEASE(1, 1, 2)
    PAIR(0, 1) PAIR(0, 2) PAIR(1, 0) PAIR(1, 2)
    RESTART(0) RESTART(1) RESTART(2)
    od
}
