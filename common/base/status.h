/* Status codes and the message that explains the last failure.
 *
 * Every function that can fail on input, I/O, memory or a device returns an enum status; data goes to
 * out-parameters. The one-line explanation (what failed, where, what to do) is recorded per thread by fail()
 * at the place that knows it best and printed once, by main. `assert` is for programmer errors only. */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

enum status {
  OK = 0,
  E_ARG,         /* a value the caller or user gave is not acceptable */
  E_SHAPE,       /* tensors or images whose sizes do not fit together */
  E_MEMORY,      /* out of memory */
  E_IO,          /* the operating system refused: files, sockets, a full disk */
  E_FORMAT,      /* bytes that are not what they claim to be */
  E_VERSION,     /* a format, build or dataset of another version */
  E_NOT_FOUND,   /* a name or key that does not exist */
  E_EXISTS,      /* refusing to overwrite */
  E_AGAIN,       /* nothing there yet; try again */
  E_INTERRUPTED, /* SIGINT or SIGTERM: stop in order */
  E_DEVICE,      /* a backend or accelerator is missing or failed */
  E_PEER,        /* another process broke the protocol */
  E_NUMERIC      /* a computation left the finite numbers */
};

/* Records the message for this thread and returns `status`, so that `return fail(E_IO, ...)` reads well.
 * The message is truncated to 1 KiB. Never call it with OK. */
enum status fail(enum status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " before the message already recorded (to add the file or record it concerns); returns
 * `status`. */
enum status fail_within(enum status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* what it returns is the first argument, never OK: spares the analyser impossible \
                             paths */
#define fail(status, ...) ((fail)(status, __VA_ARGS__), (status))
#endif

/* The message of this thread's last failure; "" if there was none. Valid until its next fail(). */
const char *fail_message(void);

/* The name of a code in lower case, e.g. "not found". */
const char *status_name(enum status status);

/* For functions with `enum status st = OK;` and one exit label `out`. */
#define TRY(expr)                                                                                            \
  do {                                                                                                       \
    st = (expr);                                                                                             \
    if (st != OK) goto out;                                                                                  \
  } while (0)

#endif
