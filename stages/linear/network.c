#include "network.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"
#include "base/log.h"
#include "model/backbone.h"
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

struct network {
  struct graph *graph;
  struct model *model;
  struct value input, output;
  const struct weights_source *source;
  int64_t batch, dim;
  uint8_t *padded; /* [batch, size, size, 3] */
  float *features; /* [batch, dim] */
};

enum status network_open(struct network **out, const struct weights_source *source, enum graph_mode mode,
                         int64_t batch, const char *device, int threads) {
  enum status st = OK;
  int64_t size = source->size;
  struct network *w = *out = calloc(1, sizeof *w);
  if (!w) return fail(E_MEMORY, "out of memory");
  w->source = source;
  w->batch = batch;
  w->dim = model_features(&source->model);
  TRY(graph_open(&w->graph, &(struct graph_config){device, mode, threads}));
  TRY(model_open(&w->model, w->graph, &source->model));
  w->input = graph_input(w->graph, "images", (struct shape){4, {batch, 3, size, size}});
  w->output = backbone(w->model, w->input, 1);
  graph_output(w->graph, "features", w->output);
  TRY(graph_plan(w->graph, (struct value){0}));
  if (source->file)
    TRY(weights_load(w->model, source->file, source->path, false));
  else
    TRY(graph_init(w->graph, source->seed));
  w->padded = calloc((size_t)(batch * size * size), 3);
  w->features = malloc((size_t)(batch * w->dim) * sizeof *w->features);
  if (!w->padded || !w->features)
    st = fail(E_MEMORY, "out of memory for a batch of %lld images", (long long)batch);
out:
  if (st != OK) network_close(out);
  return st;
}

void network_close(struct network **network) {
  struct network *w = *network;
  *network = NULL;
  if (!w) return;
  model_close(&w->model);
  graph_close(&w->graph);
  free(w->padded);
  free(w->features);
  free(w);
}

int64_t network_dim(const struct network *network) { return network->dim; }

static enum status run(struct network *w, const uint8_t *pixels) {
  enum status st = graph_write_pixels(w->graph, w->input, pixels, w->source->mean, w->source->std);
  return st == OK ? graph_forward(w->graph) : st;
}

enum status network_features(struct network *w, const uint8_t *pixels, int64_t n, float *features) {
  enum status st;
  if (n < w->batch) {
    size_t image = (size_t)(w->source->size * w->source->size * 3);
    memcpy(w->padded, pixels, (size_t)n * image);
    memset(w->padded + (size_t)n * image, 0, (size_t)(w->batch - n) * image);
    pixels = w->padded;
  }
  TRY(run(w, pixels));
  TRY(graph_read_f32(w->graph, w->output, w->features, w->batch * w->dim));
  memcpy(features, w->features, (size_t)(n * w->dim) * sizeof *features);
out:
  return st;
}

enum status network_calibrate(struct network *w, const uint8_t *pixels, int64_t k) {
  graph_set_bn_momentum(w->graph, 1.0 / (double)k);
  return run(w, pixels);
}

enum status network_copy(struct network *to, const struct network *from) {
  enum status st = OK;
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(from->graph, &tensors);
  double *data = NULL;
  for (size_t i = 0; i < n; i++) {
    int64_t count = shape_count(tensors[i].shape);
    double *grown = realloc(data, (size_t)count * sizeof *grown);
    if (!grown) {
      st = fail(E_MEMORY, "out of memory");
      goto out;
    }
    data = grown;
    TRY(graph_read_f64(from->graph, tensors[i].value, data, count));
    TRY(graph_write_f64(to->graph, graph_find(to->graph, tensors[i].name), data, count));
  }
out:
  free(data);
  return st;
}
