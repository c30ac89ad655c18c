#include <assert.h>
#include <string.h>

#include "transform/policy_impl.h"

void policy_sample(const struct policy *policy, uint64_t seed, uint64_t step, uint32_t position,
                   struct extent own, struct extent partner, struct view_draw *draws) {
  assert(own.width > 0 && own.height > 0 && partner.width > 0 && partner.height > 0);
  memset(draws, 0, (size_t)policy->n_views * sizeof *draws);
  for (int v = 0; v < policy->n_views; v++) {
    const struct policy_view *view = &policy->views[v];
    for (int i = 0; i < view->n_ops; i++) {
      const struct policy_op *o = &view->ops[i];
      bool pair = o->group == GROUP_PAIR;
      struct op_site site = {own, pair ? partner : own};
      struct rng rng =
          rng_at(seed, (uint32_t)step, pair ? position / 2 : position, (uint32_t)v << 16 | (uint32_t)i);
      float *value = draws[v].value + o->first_value;
      draws[v].active[i] = rng_next_f64(&rng) < o->p; /* drawn even if p is 1, so that p moves nothing else */
      if (o->op->sample) o->op->sample(&o->args, &rng, &site, value, &draws[v].crop);
    }
  }
}

int32_t policy_shrink(const struct policy *policy, const struct view_draw *draws) {
  int32_t k = policy->dct_scale ? 8 : 1;
  for (int v = 0; v < policy->n_views; v++) {
    const struct rect *crop = &draws[v].crop;
    int32_t side = crop->width < crop->height ? crop->width : crop->height;
    while (k > 1 && side / k < policy->views[v].size) k /= 2;
  }
  return k;
}

struct rect policy_region(const struct policy *policy, const struct view_draw *draws) {
  struct rect all = draws[0].crop;
  for (int v = 1; v < policy->n_views; v++) {
    struct rect r = draws[v].crop;
    int32_t right = all.left + all.width, bottom = all.top + all.height;
    right = r.left + r.width > right ? r.left + r.width : right;
    bottom = r.top + r.height > bottom ? r.top + r.height : bottom;
    all.left = r.left < all.left ? r.left : all.left;
    all.top = r.top < all.top ? r.top : all.top;
    all.width = right - all.left;
    all.height = bottom - all.top;
  }
  return all;
}
