#include "source.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"
#include "model/weights.h"

enum { MAX_WEIGHTS_GIB = 64 };

static enum status read_file(struct weights_source *s) {
  enum status st;
  uint8_t *bytes;
  size_t size;
  if ((st = file_read(s->path, (size_t)MAX_WEIGHTS_GIB << 30, &bytes, &size)) != OK) return st;
  XXH128_hash_t h = XXH3_128bits(bytes, size);
  snprintf(s->id, sizeof s->id, "xxh3:%016" PRIx64 "%016" PRIx64, h.high64, h.low64);
  st = safetensors_parse(&s->file, bytes, size);
  free(bytes);
  return st == OK ? OK : fail_within(st, "%s", s->path);
}

static enum status read_info(struct weights_source *s, int64_t size) {
  struct weights_info info;
  enum status st = weights_info(&info, s->file);
  if (st != OK) return fail_within(st, "%s", s->path);
  if (size && info.size && size != info.size)
    log_warn("--size %lld, but these weights were trained on images of %lld pixels", (long long)size,
             (long long)info.size);
  s->size = size ? size : info.size;
  if (!s->size) return fail(E_ARG, "%s does not say its image size; give --size", s->path);
  s->has_mean_std = info.has_mean_std;
  memcpy(s->mean, info.mean, sizeof s->mean);
  memcpy(s->std, info.std, sizeof s->std);
  return OK;
}

enum status weights_source_open(struct weights_source *s, const struct linear_options *o) {
  enum status st;
  bool random;
  *s = (struct weights_source){.path = o->weights, .model = o->model, .size = o->size};
  TRY(weights_are_random(o->weights, &random, &s->seed));
  if (random)
    snprintf(s->id, sizeof s->id, "random:%" PRIu64, s->seed);
  else
    TRY(read_file(s));
  TRY(model_resolve(&s->model, s->file));
  if (s->file) TRY(read_info(s, o->size));
out:
  if (st != OK) weights_source_close(s);
  return st;
}

void weights_source_close(struct weights_source *source) {
  safetensors_close(&source->file);
  *source = (struct weights_source){0};
}

enum status weights_source_network(struct network **out, const struct weights_source *s, enum graph_mode mode,
                                   int64_t batch, const struct device_options *device) {
  struct network_config config = {.model = &s->model,
                                  .size = s->size,
                                  .batch = batch,
                                  .mode = mode,
                                  .device = device->device,
                                  .threads = (int)device->threads,
                                  .precision = device_precision(device),
                                  .plans = device_plans(device)};
  enum status st = OK;
  memcpy(config.mean, s->mean, sizeof config.mean);
  memcpy(config.std, s->std, sizeof config.std);
  TRY(network_open(out, &config));
  struct model *model = network_model(*out);
  TRY(s->file ? weights_load(model, s->file, s->path, false) : graph_init(model->graph, s->seed));
out:
  if (st != OK) network_close(out);
  return st;
}
