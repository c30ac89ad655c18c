#include "store/lmdb_status.h"

#include <errno.h>

#include "base/file.h"

enum status lmdb_fail(int rc, const char *verb, const char *path) {
  if (rc == ENOMEM) return fail(E_MEMORY, "out of memory: cannot %s %s", verb, path);
  if (rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND || rc == MDB_INVALID || rc == MDB_INCOMPATIBLE ||
      rc == MDB_NOTFOUND)
    return fail(E_FORMAT, "%s is damaged (%s); make it again", path, mdb_strerror(rc));
  return fail(E_IO, "cannot %s %s: %s%s", verb, path, mdb_strerror(rc), rc > 0 ? file_advice(rc) : "");
}
