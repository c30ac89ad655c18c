/* Any bytes as a policy: refused, or its canonical text reads back as itself, and images of all shapes can be
 * sampled and rendered under it. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "transform/policy.h"

enum { SIDE = 64 };

static void render_one(const struct policy *p, struct extent e) {
  static uint8_t pixels[3 * SIDE * SIDE], out[3 * SIDE * SIDE];
  struct view_draw draws[POLICY_MAX_VIEWS];
  struct render *render;
  policy_sample(p, 1, 2, 3, e, (struct extent){7, 5}, draws);
  if (render_open(&render) != OK) return;
  for (int v = 0; v < policy_views(p); v++) {
    float params[POLICY_MAX_PARAMS];
    struct source source = {pixels, {0, 0, e.width, e.height}, e};
    if (policy_view_size(p, v) > SIDE) continue;
    if (render_view(render, p, v, &draws[v], &source, out, params) != OK) abort();
  }
  render_close(&render);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size + 1);
  if (!text) return 0;
  if (size) memcpy(text, data, size);
  text[size] = 0;
  struct policy *p, *again;
  if (policy_parse(&p, text) == OK) {
    if (policy_parse(&again, policy_json(p)) != OK || strcmp(policy_json(p), policy_json(again)) != 0)
      abort();
    policy_close(&again);
    render_one(p, (struct extent){SIDE, SIDE});
    render_one(p, (struct extent){3, SIDE});
    render_one(p, (struct extent){1, 1});
    policy_close(&p);
  }
  free(text);
  return 0;
}
