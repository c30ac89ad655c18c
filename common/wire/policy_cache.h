/* The policy of the last ticket, parsed: tickets of a run carry the same text, so that it is parsed once. One
 * thread. */
#ifndef WIRE_POLICY_CACHE_H
#define WIRE_POLICY_CACHE_H

#include "transform/policy.h"
#include "wire/fields.h"

struct policy_cache {
  struct policy *policy;
  char *text;
};

/* Borrowed until the next call. E_ARG (not a policy), E_MEMORY. */
enum status policy_cached(struct policy_cache *cache, struct text text, const struct policy **out);
void policy_cache_close(struct policy_cache *cache);

#endif
