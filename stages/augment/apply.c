/* tandem-augment apply: given transformations on one image, in the order given. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "commands.h"
#include "image/image.h"
#include "image/isa.h"
#include "store/safetensors.h"
#include "transform/step.h"

struct apply {
  struct isa_options isa;
  struct cli_list ops;
  const char *input, *output;
};

enum { INPUT_LIMIT = 1 << 30 };

static const struct opt opts[] = {
    {"op", OPT_LIST, offsetof(struct apply, ops), NULL,
     "NAME:key=value,... an operation and its parameters; repeat for a chain"},
    {"isa", OPT_TABLE, offsetof(struct apply, isa), .sub = isa_opts},
    {"INPUT", OPT_STR, offsetof(struct apply, input), NULL, "a JPEG or PNG file", .required = true,
     .positional = true},
    {"OUTPUT", OPT_STR, offsetof(struct apply, output), NULL,
     "NAME.png, or NAME.safetensors: `image` [height, width, 3] float32 in [0,1]", .required = true,
     .positional = true},
    {0}};

static enum status read_steps(const struct cli_list *ops, struct step *steps) {
  for (size_t i = 0; i < ops->count; i++) {
    enum status st = step_parse(&steps[i], ops->items[i]);
    if (st != OK) return fail_within(st, "--op %s", ops->items[i]);
  }
  return OK;
}

static enum status write_png(const char *path, const struct planes *planes) {
  struct image image = {planes->width, planes->height,
                        malloc(3 * (size_t)planes->width * (size_t)planes->height)};
  if (!image.pixels) return fail(E_MEMORY, "out of memory");
  planes_to_rgb8(planes, image.pixels);
  enum status st = png_write(path, &image);
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
    st = step_apply(&steps[i], &canvas);
    if (st != OK) fail_within(st, "operation %zu", i + 1);
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
  TRY(isa_select(a->isa.isa));
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
