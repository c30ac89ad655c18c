/* tandem-augment apply: given transformations on one image, in the order given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "commands.h"
#include "image/image.h"
#include "store/safetensors.h"
#include "transform/op.h"

struct apply {
  struct cli_list ops;
  const char *input, *output;
};

enum { INPUT_LIMIT = 1 << 30 };

static const struct opt opts[] = {
    {"op", OPT_LIST, offsetof(struct apply, ops), NULL,
     "NAME:key=value,... an operation and its parameters; repeat for a chain"},
    {"INPUT", OPT_STR, offsetof(struct apply, input), NULL, "a JPEG or PNG file", .required = true,
     .positional = true},
    {"OUTPUT", OPT_STR, offsetof(struct apply, output), NULL,
     "NAME.png, or NAME.safetensors: `image` [height, width, 3] float32 in [0,1]", .required = true,
     .positional = true},
    {0}};

struct step {
  const struct transform_op *op;
  struct op_args args;
  float value[OP_MAX_VALUES];
};

static enum status no_param(const struct transform_op *op, const char *key) {
  char list[256] = "";
  size_t used = 0;
  for (const struct op_param *p = op->params; p && p->name && used < sizeof list; p++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", p->name);
  return used ? fail(E_ARG, "%s has no parameter '%s'; its parameters are %s", op->name, key, list)
              : fail(E_ARG, "%s takes no parameters, so no '%s'", op->name, key);
}

/* "key=value" into `args`; `seen` collects what was given. */
static enum status read_pair(const struct transform_op *op, char *pair, struct op_args *args,
                             unsigned *seen) {
  char *value = strchr(pair, '=');
  if (!value) return fail(E_ARG, "'%s' is not key=value", pair);
  *value++ = 0;
  int i = 0;
  while (op->params && op->params[i].name && strcmp(op->params[i].name, pair) != 0) i++;
  if (!op->params || !op->params[i].name) return no_param(op, pair);
  const struct op_param *p = &op->params[i];
  *seen |= 1U << i;
  if (p->kind == PARAM_CHOICE) {
    int choice = op_choice(p->choices, value);
    if (choice < 0) return fail(E_ARG, "%s=%s: must be one of %s", pair, value, p->choices);
    args->low[i] = args->high[i] = choice;
    return OK;
  }
  char *end;
  double x = strtod(value, &end);
  if (end == value || *end) return fail(E_ARG, "%s=%s: not a number", pair, value);
  args->low[i] = args->high[i] = x;
  enum status st = op_param_check(p, x, x);
  return st == OK ? OK : fail_within(st, "%s=%s", pair, value);
}

/* Splits `text` (cut up in place) into name and parameters. */
static enum status read_step(char *text, struct step *out) {
  char *rest = strchr(text, ':'), *save = NULL;
  if (rest) *rest++ = 0;
  *out = (struct step){.op = transform_op_find(text, OP_IN_APPLY)};
  if (!out->op) return E_ARG;
  op_defaults(out->op, 0, &out->args);
  unsigned seen = 0;
  for (char *pair = rest ? strtok_r(rest, ",", &save) : NULL; pair; pair = strtok_r(NULL, ",", &save)) {
    enum status st = read_pair(out->op, pair, &out->args, &seen);
    if (st != OK) return st;
  }
  for (int i = 0; out->op->params && out->op->params[i].name; i++) {
    const struct op_param *p = &out->op->params[i];
    bool range = p->kind == PARAM_RANGE; /* no draw here: what a policy draws has to be said */
    if ((p->required || range) && !(seen & 1U << i))
      return fail(E_ARG, "%s needs %s=: %s", text, p->name, p->help);
  }
  enum status st = out->op->check ? out->op->check(&out->args) : OK;
  if (st != OK) return st;
  /* Ranges of one number leave sampling no choice: it only brings the parameters into the form that apply
   * takes. */
  struct rng rng = rng_at(0, 0, 0, 0);
  struct op_site site = {{1, 1}, {1, 1}};
  struct rect crop;
  if (out->op->sample) out->op->sample(&out->args, &rng, &site, out->value, &crop);
  return OK;
}

static enum status read_steps(const struct cli_list *ops, struct step *steps) {
  for (size_t i = 0; i < ops->count; i++) {
    char *text = strdup(ops->items[i]);
    enum status st = text ? read_step(text, &steps[i]) : fail(E_MEMORY, "out of memory");
    free(text);
    if (st != OK) return fail_within(st, "--op %s", ops->items[i]);
  }
  return OK;
}

static enum status write_png(const char *path, const struct planes *planes) {
  struct image image = {planes->width, planes->height,
                        malloc(3 * (size_t)planes->width * (size_t)planes->height)};
  uint8_t *bytes = NULL;
  size_t size;
  enum status st = image.pixels ? OK : fail(E_MEMORY, "out of memory");
  if (st == OK) {
    planes_to_rgb8(planes, image.pixels);
    st = png_encode(&image, &bytes, &size);
  }
  if (st == OK) st = file_write(path, bytes, size);
  free(bytes);
  image_free(&image);
  return st;
}

static enum status write_tensor(const char *path, const struct planes *planes) {
  size_t n = (size_t)planes->width * (size_t)planes->height;
  float *hwc = malloc(3 * n * sizeof *hwc);
  if (!hwc) return fail(E_MEMORY, "out of memory");
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < 3; c++) hwc[3 * i + c] = planes->plane[c][i];
  struct tensor_view view = {.name = "image",
                             .dtype = DTYPE_F32,
                             .n_dims = 3,
                             .shape = {planes->height, planes->width, 3},
                             .data = hwc,
                             .size = 3 * n * sizeof *hwc};
  enum status st = safetensors_write(path, &view, 1, NULL, 0);
  free(hwc);
  return st;
}

static bool ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n > m && strcmp(text + n - m, end) == 0;
}

static enum status transform(const struct image *image, const struct step *steps, size_t n,
                             const char *output) {
  struct workspace work = {0};
  struct extent whole = {image->width, image->height};
  struct source source = {image->pixels, {0, 0, whole.width, whole.height}, whole};
  struct canvas canvas = {.source = &source, .work = &work};
  enum status st = OK;
  for (size_t i = 0; st == OK && i < n; i++) {
    st = steps[i].op->apply(&steps[i].args, steps[i].value, (struct rect){0}, &canvas);
    if (st != OK) fail_within(st, "operation %zu, %s", i + 1, steps[i].op->name);
  }
  if (st == OK) st = canvas_load(&canvas);
  if (st == OK) st = (ends_with(output, ".png") ? write_png : write_tensor)(output, &canvas.planes);
  workspace_free(&work);
  return st;
}

static enum status run(void *state) {
  const struct apply *a = state;
  uint8_t *bytes = NULL;
  size_t size;
  struct image image = {0};
  enum status st = OK;
  struct step *steps = calloc(a->ops.count + 1, sizeof *steps);
  if (!steps) return fail(E_MEMORY, "out of memory");
  if (!ends_with(a->output, ".png") && !ends_with(a->output, ".safetensors")) {
    st = fail(E_ARG, "%s: the output's name must end in .png or .safetensors", a->output);
    goto out;
  }
  TRY(read_steps(&a->ops, steps));
  TRY(file_read(a->input, INPUT_LIMIT, &bytes, &size));
  st = image_decode(bytes, size, &image);
  if (st != OK) fail_within(st, "%s", a->input);
  if (st == OK) st = transform(&image, steps, a->ops.count, a->output);
out:
  image_free(&image);
  free(bytes);
  free(steps);
  return st;
}

const struct command augment_apply = {.name = "apply",
                                      .summary =
                                          "Applies given transformations to one image, in the order given.",
                                      .state_size = sizeof(struct apply),
                                      .opts = opts,
                                      .run = run};
