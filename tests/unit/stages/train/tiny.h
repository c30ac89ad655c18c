/* A tiny training step on the float64 backend, with every path carrying gradient. */
#ifndef TESTS_TINY_H
#define TESTS_TINY_H

#include "base/rng.h"
#include "test.h"
#include "train/step.h"

enum {
  TINY_N = 8,
  TINY_SIDE = 8,
  TINY_IMAGE = 3 * TINY_SIDE * TINY_SIDE,
  TINY_VIEWS = 2 * TINY_N * TINY_IMAGE
};

#define TINY_OK(expr)                                                                                        \
  do {                                                                                                       \
    if ((expr) != OK) fail_msg("%s: %s", #expr, fail_message());                                             \
  } while (0)

/* A number in [0,1) that depends on nothing but its coordinates. */
static inline double tiny_unit(uint64_t key, uint32_t i) {
  struct philox_block b = philox(key, i, 0, 0, 0);
  return rng_unit_f64(b.word[0], b.word[1]);
}

static inline bool tiny_ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && strcmp(text + n - m, end) == 0;
}

/* BatchNorm scales from [0.5, 1]: at their starting value 0, residual branches would hide mistakes. Values
 * depend on names alone, so networks with different heads share what they have in common. */
static inline void tiny_set_scales(struct step *s) {
  const struct graph_tensor *t;
  for (size_t i = 0, n = graph_tensors(s->graph, &t); i < n; i++) {
    if (!t[i].trained || t[i].shape.n_dims != 1) continue;
    double data[256];
    int64_t count = shape_count(t[i].shape);
    assert_true(count <= 256);
    bool scale = tiny_ends_with(t[i].name, ".weight");
    for (int64_t k = 0; k < count; k++) {
      double u = tiny_unit(strlen(t[i].name), (uint32_t)k);
      data[k] = scale ? 0.5 + 0.5 * u : 0.2 * (u - 0.5);
    }
    TINY_OK(graph_write_f64(s->graph, t[i].value, data, count));
  }
}

static inline struct step *tiny_open(const char *method, double inv, double equi, double trans) {
  struct model_options model = {"resnet10", "cifar", 2};
  struct method_options o = {method, NULL, "6-4", "5-4", "4-3", 0.2, {inv, equi, trans}};
  struct step_config config = {&model, &o, TINY_N, TINY_SIDE, TINY_SIDE, "ref", 1};
  struct step *s;
  TINY_OK(step_open(&s, &config));
  TINY_OK(graph_init(s->graph, 5));
  tiny_set_scales(s);
  return s;
}

/* views [2N, 3, H, W]: a common image in both views and noise of each view. */
static inline void tiny_views(double *views) {
  for (int v = 0; v < 2; v++)
    for (int i = 0; i < TINY_N; i++)
      for (int k = 0; k < TINY_IMAGE; k++)
        views[(v * TINY_N + i) * TINY_IMAGE + k] =
            2 * tiny_unit(1, (uint32_t)(i * TINY_IMAGE + k)) - 1 +
            tiny_unit(2, (uint32_t)((v * TINY_N + i) * TINY_IMAGE + k));
}

static inline struct losses tiny_forward(struct step *s, const double *views) {
  struct losses l;
  TINY_OK(graph_write_f64(s->graph, s->views, views, TINY_VIEWS));
  TINY_OK(step_forward(s, &l));
  return l;
}

#endif
