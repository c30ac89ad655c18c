#include "wire/policy_cache.h"

#include <stdlib.h>
#include <string.h>

void policy_cache_close(struct policy_cache *cache) {
  policy_close(&cache->policy);
  free(cache->text);
  cache->text = NULL;
}

enum status policy_cached(struct policy_cache *cache, struct text text, const struct policy **out) {
  if (!cache->text || !text_is(text, cache->text)) {
    policy_cache_close(cache);
    char *copy = malloc((size_t)text.size + 1);
    if (!copy) return fail(E_MEMORY, "out of memory for a policy");
    text_copy(text, copy, (size_t)text.size + 1);
    enum status st = policy_parse(&cache->policy, copy);
    if (st != OK) {
      free(copy);
      return st;
    }
    cache->text = copy;
  }
  *out = cache->policy;
  return OK;
}
