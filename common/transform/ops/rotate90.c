/* Quarter turns counterclockwise: the four classes of E-SSL's rotation task. */
#include "image/quarter_turn.h"
#include "transform/op.h"

static const struct op_param params[] = {{"turns", "quarter turns counterclockwise", PARAM_RANGE, 0, 3, 0, 3},
                                         {0}};
static const char *const labels[] = {"rotate90", NULL};

static enum status check(const struct op_args *args) {
  bool whole = args->low[0] == (int)args->low[0] && args->high[0] == (int)args->high[0];
  return whole ? OK : fail(E_ARG, "turns must be whole numbers");
}

static void sample(const struct op_args *args, struct rng *rng, const struct op_site *site, float *value,
                   struct rect *crop) {
  (void)site, (void)crop;
  uint32_t low = (uint32_t)args->low[0], n = (uint32_t)args->high[0] - low + 1;
  value[0] = (float)(low + rng_below(rng_next(rng), n));
}

static enum status apply(const struct op_args *args, const float *value, struct rect crop,
                         struct canvas *canvas) {
  (void)args, (void)crop;
  enum status st = canvas_load(canvas);
  struct planes before = canvas->planes;
  return st == OK ? quarter_turn(canvas->work, &before, (int)value[0], &canvas->planes) : st;
}

const struct transform_op transform_op_rotate90 = {.name = "rotate90",
                                                   .summary = "rotated by a number of quarter turns",
                                                   .where = OP_IN_POLICY | OP_IN_APPLY,
                                                   .params = params,
                                                   .labels = labels,
                                                   .n_values = 1,
                                                   .check = check,
                                                   .sample = sample,
                                                   .apply = apply,
                                                   .label = op_label_value};
