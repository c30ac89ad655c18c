/* Monotonic time and the request to stop. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

int64_t clock_ns(void); /* monotonic nanoseconds */
static inline int64_t clock_ms(void) { return clock_ns() / 1000000; }
static inline double clock_s(void) { return (double)clock_ns() * 1e-9; }
void clock_sleep_ms(int64_t ms);

/* Makes SIGINT and SIGTERM set a flag instead of killing the process (a second one kills), and ignores
 * SIGPIPE. Call once from main's thread before other threads start. */
void stop_on_signals(void);
bool stop_requested(void);

/* Asks the kernel to send SIGTERM when the parent dies, so that a killed supervisor leaves no orphan, if the
 * environment variable TANDEM_PARENT holds the parent's process id. Leaves at once if it is gone already. */
void stop_with_parent(void);

#endif
