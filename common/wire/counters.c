#include "wire/counters.h"

const char *const counter_error_names[ERROR_KINDS] = {
    [ERROR_DAMAGED] = "damaged", [ERROR_MISSING] = "missing", [ERROR_OTHER] = "other",
    [ERROR_UNSENT] = "unsent",   [ERROR_LOST] = "lost",       [ERROR_DROPPED] = "dropped"};

enum worker_error counter_error_of(enum status status) {
  switch (status) {
  case E_FORMAT: return ERROR_DAMAGED;
  case E_NOT_FOUND: return ERROR_MISSING;
  default: return ERROR_OTHER;
  }
}
