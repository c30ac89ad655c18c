/* The generator: nothing to download, any size and count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/ingest.h"
#include "ingest/shapes.h"

enum { MIN_SIDE = 8, MAX_SIDE = 4096, MAX_COUNT = 100000000 };

struct shapes {
  uint64_t seed;
  int32_t side;
  int64_t counts[2];
};

static enum status shapes_open(void **source, const struct ingest_options *o, struct source_plan *plan) {
  *source = NULL;
  if (o->size < MIN_SIDE || o->size > MAX_SIDE)
    return fail(E_ARG, "--size: %lld is not %d..%d pixels", (long long)o->size, MIN_SIDE, MAX_SIDE);
  if (o->train < 1 || o->train > MAX_COUNT)
    return fail(E_ARG, "--train: %lld is not 1..%d", (long long)o->train, MAX_COUNT);
  if (o->test < 0 || o->test > MAX_COUNT)
    return fail(E_ARG, "--test: %lld is not 0..%d", (long long)o->test, MAX_COUNT);
  if (o->seed < 0) return fail(E_ARG, "--seed: %lld is negative", (long long)o->seed);
  struct shapes *s = *source = malloc(sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  *s = (struct shapes){(uint64_t)o->seed, (int32_t)o->size, {o->train, o->test}};
  plan->splits[0] = (struct source_split){"train", o->train};
  plan->splits[1] = (struct source_split){"test", o->test};
  plan->n_splits = 2;
  plan->classes = shape_kinds;
  plan->n_classes = SHAPE_KINDS;
  plan->attributes = shape_attributes;
  plan->n_attributes = SHAPE_ATTRIBUTES;
  return OK;
}

static enum status shapes_sample(const void *source, size_t split, int64_t i, struct sample *sample) {
  const struct shapes *s = source;
  struct scene scene = scene_draw(s->seed, (uint32_t)split, (uint64_t)s->counts[split], (uint64_t)i);
  snprintf(sample->origin, sizeof sample->origin, "image %lld", (long long)i);
  sample->label = scene.kind;
  sample->n_boxes = 1;
  sample->n_attributes = SHAPE_ATTRIBUTES;
  _Static_assert((int)SHAPE_ATTRIBUTES <= (int)SAMPLE_MAX_ATTRIBUTES, "no room for the attributes");
  scene_attributes(&scene, sample->attributes);
  return scene_render(&scene, s->side, &sample->image, &sample->boxes[0]);
}

static void shapes_close(void **source) {
  free(*source);
  *source = NULL;
}

extern const struct format format_shapes;
const struct format format_shapes = {.name = "shapes",
                                     .summary = "generated pictures of shapes",
                                     .needs_in = false,
                                     .open = shapes_open,
                                     .sample = shapes_sample,
                                     .close = shapes_close};
