/*
 * The change of the voters, one at a time: file 1, file 2, file 3, each node in its own time.
 * What is modelled and what is not: docs/MODEL.md. The code: core/src/lease/electorate.rs, and
 * settle_voters, judge_settled, hear_asks in core/src/cluster/leases.rs.
 *
 * Time is coarse and the same everywhere: tick() for all; a lease is L ticks. Margins are the other
 * model's affair. What is said is heard at once, late, or never.
 */

#ifndef L
#define L 2
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
/* SETTLING: for how long a node that needs one majority alone, after a change or a start, keeps it
 * to itself. */
#ifndef SETTLING
#define SETTLING L
#endif
#ifndef AGREED
#define AGREED L
#endif

/* Who votes by file 1, 2, 3; nodes by bit. */
#ifndef V1
#define V1 7   /* a b c: a is to be replaced by d, */
#define V2 6   /*   b c */
#define V3 14  /*   b c d */
#endif

#define N 4
#define VOTERS(f) ((f) == 1 -> V1 : ((f) == 2 -> V2 : V3))
#define HAS(set, n) (((set) >> (n)) & 1)
#define SIZE(s) (((s) & 1) + (((s) >> 1) & 1) + (((s) >> 2) & 1) + (((s) >> 3) & 1))
#define MAJORITY(yes, f) (2 * SIZE((yes) & VOTERS(f)) > SIZE(VOTERS(f)))

byte present[N];   /* the file a node goes by; 0: it does not run */
bool both[N];      /* the majority of the file before is needed as well */
byte said[N * N];  /* what n heard of m last: 1: n's file, 2: and that it has settled;
                    * 3: the file that comes next for n; 0: none of these */
byte agreed[N];    /* for so long all voters have said the present file */
byte keeps[N];     /* for so long it does not say that it has settled */
byte quiet[N];     /* a voter that starts */
byte grant[N];     /* of voter n: to node grant - 1; 0: to nobody */
byte bound[N];     /* for so long still */
byte vote[N * N];  /* n counts on m's grant for so long */
byte kernel[N];    /* n's kernel answers for so long */
byte restarts = RESTARTS;
byte m, n, yes, until;
bool all;

#ifdef SAID_AT_ONCE
#define SAYS(n) (both[n] -> 1 : 2)
#else
#define SAYS(n) (both[n] || keeps[n] > 0 -> 1 : 2)
#endif
#define UP(n) (kernel[n] > 0 -> 1 : 0)
/* A voter goes by one of the asker's files. */
#define KNOWS(v, a) (present[v] == present[a] || (both[a] && present[v] == present[a] - 1) || (both[v] && (present[v] - 1 == present[a] || (both[a] && present[v] == present[a]))))
#define ASKED(a, v) (HAS(VOTERS(present[a]), v) || (both[a] && HAS(VOTERS(present[a] - 1), v)))
#define ANSWERS(v) (present[v] > 0 && quiet[v] == 0)
#define AGREES(a, v) (a == v || !HAS(VOTERS(present[a]), v) || said[a * N + v] == 1 || said[a * N + v] == 2)
#define CALM(a, v) (a == v || !HAS(VOTERS(present[a]), v) || said[a * N + v] >= 2)

/* Those of the present voters that have settled, as far as a knows. */
#define CALM_BIT(a, v) (HAS(VOTERS(present[a]), v) && CALM(a, v) -> 1 << (v) : 0)
#define CALM_SET(a) (CALM_BIT(a, 0) + CALM_BIT(a, 1) + CALM_BIT(a, 2) + CALM_BIT(a, 3))
/* A voter that leaves need not have settled: it may be dead. */
#define CALM_OR_GOES(a, v) (!HAS(VOTERS(present[a] + 1), v) || CALM(a, v))

#ifdef JUMPING
#define MAY_CHANGE(a) true
#else
#ifdef MINORITY
#define ENOUGH(a) true
#else
#define ENOUGH(a) MAJORITY(CALM_SET(a), present[a])
#endif
#define MAY_CHANGE(a) (!both[a] && keeps[a] == 0 && ENOUGH(a) && CALM_OR_GOES(a, 0) && \
    CALM_OR_GOES(a, 1) && CALM_OR_GOES(a, 2) && CALM_OR_GOES(a, 3))
#endif

/* The kernel may answer for as long as a majority of each electorate is alive. */
inline extend(a) {
    until = L;
    do
    :: until > 0 ->
        yes = (vote[a * N] >= until -> 1 : 0) + (vote[a * N + 1] >= until -> 2 : 0) +
            (vote[a * N + 2] >= until -> 4 : 0) + (vote[a * N + 3] >= until -> 8 : 0);
        if
        :: MAJORITY(yes, present[a]) && (!both[a] || MAJORITY(yes, present[a] - 1)) -> break
        :: else -> until--
        fi
    :: else -> break
    od;
    kernel[a] = (kernel[a] > until -> kernel[a] : until);
    assert(UP(0) + UP(1) + UP(2) + UP(3) <= 1);
    until = 0; yes = 0
}

#define LESS(x) x = (x > 0 -> x - 1 : 0)

inline tick() {
    for (n : 0 .. N - 1) {
        if
        :: both[n] && agreed[n] < AGREED && AGREES(n, 0) && AGREES(n, 1) && AGREES(n, 2) &&
            AGREES(n, 3) -> agreed[n]++
        :: else
        fi;
        for (m : 0 .. N - 1) { LESS(vote[n * N + m]) }
        LESS(kernel[n]); LESS(quiet[n]); LESS(keeps[n]); LESS(bound[n]);
        grant[n] = (bound[n] > 0 -> grant[n] : 0)
    }
    n = 0; m = 0;
    printf("time goes on\n")
}

inline forget(a) {
    for (m : 0 .. N - 1) { said[a * N + m] = 0; vote[a * N + m] = 0 }
    m = 0; agreed[a] = 0
}

/* a asks v for its vote and gets it. */
#define ASK(a, v) :: d_step { \
    present[a] > 0 && ANSWERS(v) && KNOWS(v, a) && ASKED(a, v) && \
    (grant[v] == 0 || grant[v] == a + 1) && vote[a * N + v] < L -> \
    grant[v] = a + 1; bound[v] = L; vote[a * N + v] = L; \
    printf("%c asks %c and is granted\n", 97 + a, 97 + v); extend(a) }

/* a hears v. */
#define WORD(a, v) (present[a] == present[v] -> SAYS(v) : (present[v] == present[a] + 1 -> 3 : 0))
#define HEAR(a, v) :: d_step { \
    present[a] > 0 && present[v] > 0 && HAS(VOTERS(present[a]), v) && \
    said[a * N + v] != WORD(a, v) -> \
    said[a * N + v] = WORD(a, v); \
    agreed[a] = (AGREES(a, v) -> agreed[a] : 0); \
    printf("%c hears %c: %d\n", 97 + a, 97 + v, said[a * N + v]) }

/* a goes on with the next file. One that is not in it stays as it is. */
#define RELOAD(a) :: d_step { \
    present[a] > 0 && present[a] < 3 && HAS(VOTERS(present[a] + 1), a) && MAY_CHANGE(a) -> \
    present[a]++; both[a] = 1; keeps[a] = 0; forget(a); \
    printf("%c goes on to file %d\n", 97 + a, present[a]) }

/* All have gone by the present file for one length. */
#define SETTLE(a) :: d_step { \
    both[a] && agreed[a] >= AGREED -> both[a] = 0; agreed[a] = 0; keeps[a] = SETTLING; \
    printf("%c needs the majority of file %d alone\n", 97 + a, present[a]) }

/* A newcomer may be started with the file that names it long before the others have that. */
#define START(a, f) :: d_step { \
    present[a] == 0 && HAS(VOTERS(f), a) -> present[a] = f; quiet[a] = L; keeps[a] = SETTLING; \
    printf("%c starts with file %d\n", 97 + a, f) }

/* A run ends and another begins, with the same file. Its kernel goes on. */
#define RESTART(a) :: d_step { \
    present[a] > 0 && restarts > 0 -> restarts--; \
    both[a] = 0; grant[a] = 0; bound[a] = 0; quiet[a] = L; keeps[a] = SETTLING; forget(a); \
    printf("%c starts again with file %d\n", 97 + a, present[a]) }

#define PAIR(a, v) ASK(a, v) ASK(v, a) HEAR(a, v) HEAR(v, a)
#define ONE(a) ASK(a, a) RELOAD(a) SETTLE(a) START(a, 2) START(a, 3) RESTART(a)

active proctype world() {
    d_step {
        for (n : 0 .. N - 1) { present[n] = (HAS(V1, n) -> 1 : 0) }
        n = 0
    }
    do
    :: d_step { tick() }
    PAIR(0, 1) PAIR(0, 2) PAIR(0, 3) PAIR(1, 2) PAIR(1, 3) PAIR(2, 3)
    ONE(0) ONE(1) ONE(2) ONE(3)
    od
}
