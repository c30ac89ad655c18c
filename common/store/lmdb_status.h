/* LMDB's return codes as status and message. */
#ifndef STORE_LMDB_STATUS_H
#define STORE_LMDB_STATUS_H

#include <lmdb.h>

#include "base/status.h"

/* Records "cannot VERB PATH: reason; what to do" for a failed LMDB call (rc != 0). E_MEMORY, E_FORMAT
 * (damaged), E_IO. */
enum status lmdb_fail(int rc, const char *verb, const char *path);

/* As TRY, for calls that return LMDB's codes; `verb` and `path` are those of lmdb_fail. */
#define TRY_LMDB(call, verb, path)                                                                           \
  do {                                                                                                       \
    int lmdb_rc = (call);                                                                                    \
    if (lmdb_rc) {                                                                                           \
      st = lmdb_fail(lmdb_rc, verb, path);                                                                   \
      goto out;                                                                                              \
    }                                                                                                        \
  } while (0)

#endif
