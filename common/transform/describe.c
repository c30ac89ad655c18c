#include <stdio.h>
#include <string.h>

#include "transform/policy_impl.h"

/* "name=value name=value ..." of what the operation reports. */
static void list_labels(const struct policy_op *o, const char *const *names, const float *labels, char *text,
                        size_t size) {
  size_t used = 0;
  for (size_t k = 0; k < o->n_labels && used < size; k++)
    used +=
        (size_t)snprintf(text + used, size - used, "%s%s=%.3g", k ? " " : "", names[k], (double)labels[k]);
}

bool policy_describe(const struct policy *policy, int view, int op, const struct view_draw *draw,
                     struct extent whole, bool *shared, char *text, size_t size) {
  const struct policy_view *v = &policy->views[view];
  if (op >= v->n_ops) return false;
  const struct policy_op *o = &v->ops[op];
  const float *value = draw->value + o->first_value;
  *shared = o->group == GROUP_PAIR;
  text[0] = 0;
  if (!draw->active[op]) return true;
  if (o->op->describe) {
    o->op->describe(&o->args, value, text, size);
  } else if (o->op->label) {
    float labels[POLICY_MAX_PARAMS];
    o->op->label(&o->args, value, draw->crop, whole, labels);
    size_t first = 0;
    for (int i = 0; i < op; i++) first += v->ops[i].n_labels;
    list_labels(o, v->params + first, labels, text, size);
  }
  return true;
}
