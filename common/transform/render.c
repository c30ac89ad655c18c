#include <stdlib.h>
#include <string.h>

#include "transform/policy_impl.h"

struct render {
  struct workspace work;
};

enum status render_open(struct render **out) {
  *out = calloc(1, sizeof **out);
  return *out ? OK : fail(E_MEMORY, "out of memory");
}

void render_close(struct render **render) {
  if (!*render) return;
  workspace_free(&(*render)->work);
  free(*render);
  *render = NULL;
}

enum status render_view(struct render *render, const struct policy *policy, int view,
                        const struct view_draw *draw, const struct source *source, uint8_t *out,
                        float *params) {
  const struct policy_view *v = &policy->views[view];
  struct canvas canvas = {.source = source, .work = &render->work};
  memset(params, 0, v->n_params * sizeof *params);
  for (int i = 0; i < v->n_ops; params += v->ops[i].n_labels, i++) {
    const struct policy_op *o = &v->ops[i];
    if (!draw->active[i]) continue;
    const float *value = draw->value + o->first_value;
    enum status st = op_apply(o->op, &o->args, value, draw->crop, &canvas);
    if (st != OK) return fail_within(st, "view %d, %s", view, o->op->name);
    if (o->op->label) o->op->label(&o->args, value, draw->crop, source->whole, params);
  }
  planes_to_rgb8(&canvas.planes, out);
  return OK;
}
