/* Any bytes as the text of one given transformation: refused, or applied twice to a small image without a
 * fault. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "transform/step.h"

enum { WIDTH = 9, HEIGHT = 7, MAX_SIZE = 128 /* larger ones are allowed, but slow */ };

static bool large(const struct step *step) {
  for (int i = 0; step->op->params && step->op->params[i].name; i++)
    if (step->op->params[i].kind == PARAM_SIZE && step->args.low[i] > MAX_SIZE) return true;
  return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t pixels[3 * WIDTH * HEIGHT] = {200, 30, 5, 77};
  struct source source = {pixels, {0, 0, WIDTH, HEIGHT}, {WIDTH, HEIGHT}};
  struct workspace work = {0};
  struct canvas canvas = {.source = &source, .work = &work};
  struct step step;
  char *text = malloc(size + 1);
  if (!text) return 0;
  if (size) memcpy(text, data, size);
  text[size] = 0;
  if (step_parse(&step, text) == OK && !large(&step) && step_apply(&step, &canvas) == OK)
    step_apply(&step, &canvas);
  workspace_free(&work);
  free(text);
  return 0;
}
