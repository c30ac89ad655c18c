/* A small image decoded and transformed: processes whose digests differ would make different batches (another
 * libjpeg, a miscompiled loop), so the consumer refuses a worker whose digest is not its own. */
#ifndef WIRE_SELF_TEST_H
#define WIRE_SELF_TEST_H

#include "base/status.h"

enum { SELF_TEST_HEX = 16 };

/* Errors: E_MEMORY, or what decoding and transforming report. */
enum status self_test(char digest[SELF_TEST_HEX + 1]);

#endif
