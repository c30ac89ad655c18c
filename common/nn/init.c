/* Starting values. Element i of a parameter depends on (seed, name, i) alone, and on no library's rounding:
 * uniform numbers are Philox words, normal ones come from Marsaglia's polar method with a logarithm of our
 * own (sqrt is exact in IEEE arithmetic; libm's log is not the same everywhere). Values are rounded to
 * float32 so that every backend starts from the same numbers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/numeric.h"
#include "base/rng.h"
#include "nn/graph_internal.h"

/* The pair of standard normals number `pair` of the stream `hash`. */
static void normal_pair(uint64_t seed, uint64_t hash, uint32_t pair, double out[2]) {
  for (uint32_t attempt = 0;; attempt++) {
    struct philox_block b = philox(seed, pair, attempt, (uint32_t)hash, (uint32_t)(hash >> 32));
    for (int i = 0; i < 4; i += 2) {
      double u = (b.word[i] + 0.5) * 0x1p-31 - 1, v = (b.word[i + 1] + 0.5) * 0x1p-31 - 1, s = u * u + v * v;
      if (s >= 1) continue;
      double scale = sqrt(-2 * numeric_log(s) / s);
      out[0] = u * scale;
      out[1] = v * scale;
      return;
    }
  }
}

static void fill_normal(uint64_t seed, uint64_t hash, double sd, float *out, int64_t count) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += 2) {
    double pair[2];
    normal_pair(seed, hash, (uint32_t)(i / 2), pair);
    out[i] = (float)(sd * pair[0]);
    if (i + 1 < count) out[i + 1] = (float)(sd * pair[1]);
  }
}

static void fill_uniform(uint64_t seed, uint64_t hash, double bound, float *out, int64_t count) {
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < count; i += 4) {
    struct philox_block b = philox(seed, (uint32_t)(i / 4), 0, (uint32_t)hash, (uint32_t)(hash >> 32));
    for (int64_t j = 0; j < 4 && i + j < count; j++) {
      out[i + j] = (float)(bound * ((b.word[j] + 0.5) * 0x1p-31 - 1));
    }
  }
}

static void fill(const struct tensor *t, uint64_t seed, float *out) {
  int64_t count = shape_count(t->shape);
  const char *name = t->shadow_of ? t->shadow_of->name : t->name;
  uint64_t hash = XXH3_64bits(name, strlen(name));
  switch (t->init.kind) {
  case INIT_ZERO: memset(out, 0, (size_t)count * sizeof *out); break;
  case INIT_ONE:
    for (int64_t i = 0; i < count; i++) out[i] = 1;
    break;
  case INIT_NORMAL: fill_normal(seed, hash, t->init.scale, out, count); break;
  case INIT_UNIFORM: fill_uniform(seed, hash, t->init.scale, out, count); break;
  }
}

enum status graph_init(struct graph *g, uint64_t seed) {
  int64_t largest = 0;
  if (!g->planned || g->plan_only)
    return fail(E_ARG,
                g->planned ? "graph_init of a graph that has no memory" : "graph_init before graph_plan");
  for (size_t i = 0; i < g->n_listed; i++) {
    int64_t count = shape_count(g->listed[i].shape);
    if (count > largest) largest = count;
  }
  float *values = malloc((size_t)(largest ? largest : 1) * sizeof *values);
  if (!values)
    return fail(E_MEMORY, "out of memory for the starting values of %lld numbers", (long long)largest);
  enum status st = OK;
  g->backend->enter(g->run.device);
  for (size_t i = 0; i < g->n_listed && st == OK; i++) {
    const struct tensor *t = graph_lookup(g, g->listed[i].value);
    fill(t, seed, values);
    st = g->backend->upload(g->run.device, t, t->data, values, false);
  }
  free(values);
  return st;
}
