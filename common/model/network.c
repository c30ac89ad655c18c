#include "model/network.h"

#include <stdlib.h>
#include <string.h>

#include "model/backbone.h"

struct network {
  struct graph *graph;
  struct model *model;
  struct value input, output;
  int64_t size, batch, dim;
  double mean[3], std[3];
  uint8_t *padded; /* [batch, size, size, 3] */
  float *features; /* [batch, dim] */
};

enum status network_open(struct network **out, const struct network_config *c) {
  enum status st = OK;
  struct network *w = *out = calloc(1, sizeof *w);
  if (!w) return fail(E_MEMORY, "out of memory");
  w->size = c->size;
  w->batch = c->batch;
  w->dim = model_features(c->model);
  memcpy(w->mean, c->mean, sizeof w->mean);
  memcpy(w->std, c->std, sizeof w->std);
  TRY(graph_open(&w->graph, &(struct graph_config){.device = c->device,
                                                   .mode = c->mode,
                                                   .threads = c->threads,
                                                   .precision = c->precision,
                                                   .plans = c->plans}));
  TRY(model_open(&w->model, w->graph, c->model));
  w->input = graph_input(w->graph, "images", (struct shape){4, {c->batch, 3, c->size, c->size}});
  w->output = backbone(w->model, w->input, 1);
  graph_output(w->graph, "features", w->output);
  TRY(graph_plan(w->graph, (struct value){0}));
  w->padded = calloc((size_t)(c->batch * c->size * c->size), 3);
  w->features = malloc((size_t)(c->batch * w->dim) * sizeof *w->features);
  if (!w->padded || !w->features)
    st = fail(E_MEMORY, "out of memory for a batch of %lld images", (long long)c->batch);
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

struct model *network_model(struct network *network) {
  return network->model;
}

int64_t network_dim(const struct network *network) { return network->dim; }

static enum status run(struct network *w, const uint8_t *pixels) {
  enum status st = graph_write_pixels(w->graph, w->input, pixels, w->mean, w->std);
  return st == OK ? graph_forward(w->graph) : st;
}

enum status network_features(struct network *w, const uint8_t *pixels, int64_t n, float *features) {
  enum status st;
  if (n < w->batch) {
    size_t image = (size_t)(w->size * w->size * 3);
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
