#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/backbone.h"
#include "model/parts.h"
#include "store/safetensors.h"

static const char archs[] = "resnet10|resnet18|resnet34|resnet50", stems[] = "imagenet|cifar";
enum { DEFAULT_WIDTH = 64, MAX_WIDTH = 4096 };

const struct opt model_opts[] = {
    {"arch", OPT_STR, offsetof(struct model_options, arch), NULL,
     "backbone; without it as in --weights, or resnet18", archs},
    {"width", OPT_INT, offsetof(struct model_options, width), NULL,
     "channels of the backbone's first stage; without it as in --weights, or 64"},
    {"stem", OPT_STR, offsetof(struct model_options, stem), NULL,
     "first layers: 7x7/2 and pooling, or 3x3/1; without it as in --weights, or imagenet", stems},
    {0}};

static bool one_of(const char *choices, const char *word) {
  size_t n = strlen(word);
  for (const char *c = choices; c; c = strchr(c, '|'), c += c != NULL)
    if (strncmp(c, word, n) == 0 && (c[n] == '|' || c[n] == '\0')) return true;
  return false;
}

/* What the weights say wins over the default and must agree with a flag. */
static enum status resolve_text(const char **option, const char *key, const char *choices,
                                const char *fallback, const struct safetensors *weights) {
  const char *said = weights ? safetensors_metadata(weights, key) : NULL;
  if (said && !one_of(choices, said))
    return fail(E_FORMAT, "the weights say %s '%.40s', which is not one of %s", key, said, choices);
  if (said && *option && strcmp(said, *option) != 0)
    return fail(E_ARG, "--%s %s contradicts the weights, which were made with %s; leave the flag out", key,
                *option, said);
  if (!*option) *option = said ? said : fallback;
  if (!one_of(choices, *option)) return fail(E_ARG, "--%s: '%s' is not one of %s", key, *option, choices);
  return OK;
}

static enum status resolve_width(int64_t *width, const struct safetensors *weights) {
  const char *text = weights ? safetensors_metadata(weights, "width") : NULL;
  int64_t said = 0;
  if (text) {
    char *end;
    said = strtoll(text, &end, 10);
    if (end == text || *end || said < 1 || said > MAX_WIDTH)
      return fail(E_FORMAT, "the weights say width '%.40s', which is not a number from 1 to %d", text,
                  MAX_WIDTH);
  }
  if (said && *width && said != *width)
    return fail(E_ARG, "--width %lld contradicts the weights, which were made with %lld; leave the flag out",
                (long long)*width, (long long)said);
  if (!*width) *width = said ? said : DEFAULT_WIDTH;
  if (*width < 1 || *width > MAX_WIDTH)
    return fail(E_ARG, "--width: %lld is not from 1 to %d", (long long)*width, MAX_WIDTH);
  return OK;
}

enum status model_resolve(struct model_options *options, const struct safetensors *weights) {
  enum status st = OK;
  TRY(resolve_text(&options->arch, "arch", archs, "resnet18", weights));
  TRY(resolve_text(&options->stem, "stem", stems, "imagenet", weights));
  TRY(resolve_width(&options->width, weights));
out:
  return st;
}

enum status model_open(struct model **out, struct graph *graph, const struct model_options *options) {
  struct model *m = *out = calloc(1, sizeof *m);
  if (!m) return fail(E_MEMORY, "out of memory");
  m->graph = graph;
  m->options = *options;
  return OK;
}

enum status model_open_target(struct model **out, struct model *online) {
  enum status st = model_open(out, online->graph, &online->options);
  if (st == OK) (*out)->online = online;
  return st;
}

void model_close(struct model **model) {
  struct model *m = *model;
  *model = NULL;
  if (!m) return;
  free(m->norms);
  free(m);
}

void model_count_step(struct model *model) {
  for (size_t i = 0; i < model->n_norms; i++) model->norms[i].tracked += model->norms[i].calls_per_step;
}

static enum status count_calls(struct model *m, const char *name, int calls) {
  for (size_t i = 0; i < m->n_norms; i++)
    if (strcmp(m->norms[i].name, name) == 0) return m->norms[i].calls_per_step += calls, OK;
  if (m->n_norms == m->capacity) {
    size_t capacity = m->capacity ? 2 * m->capacity : 64;
    struct norm *grown = realloc(m->norms, capacity * sizeof *grown);
    if (!grown) return fail(E_MEMORY, "out of memory");
    m->norms = grown;
    m->capacity = capacity;
  }
  struct norm *norm = &m->norms[m->n_norms++];
  *norm = (struct norm){.calls_per_step = calls};
  snprintf(norm->name, sizeof norm->name, "%s", name);
  return OK;
}

/* The tensor of a trained network, or its shadow in a target network. */
static struct value tensor(struct model *m, const char *name, struct shape shape, struct init init,
                           bool trained) {
  char target[TENSOR_NAME_SIZE];
  if (!m->online)
    return trained ? graph_param(m->graph, name, shape, init) : graph_buffer(m->graph, name, shape, init);
  struct value online = graph_find(m->graph, name);
  if (!online.id) graph_fail(m->graph, E_ARG, "a target network has %s, the trained one has not", name);
  snprintf(target, sizeof target, TARGET_PREFIX "%s", name);
  return online.id ? graph_shadow(m->graph, target, online) : online;
}

struct value model_param(struct model *model, const char *name, struct shape shape, struct init init) {
  return tensor(model, name, shape, init, true);
}

struct bn_params norm_params(struct model *model, const char *name, int64_t channels, bool last_of_block,
                             int calls) {
  struct shape shape = {1, {channels}};
  struct init one = {INIT_ONE, 0}, zero = {INIT_ZERO, 0};
  char full[TENSOR_NAME_SIZE], called[NORM_NAME_SIZE];
  snprintf(called, sizeof called, "%s%s", model->online ? TARGET_PREFIX : "", name);
  enum status st = count_calls(model->online ? model->online : model, called, calls);
  if (st != OK) graph_fail(model->graph, st, "%s", fail_message());
  struct bn_params p;
  snprintf(full, sizeof full, "%s.weight", name);
  p.gamma = tensor(model, full, shape, last_of_block ? zero : one, true);
  snprintf(full, sizeof full, "%s.bias", name);
  p.beta = tensor(model, full, shape, zero, true);
  snprintf(full, sizeof full, "%s.running_mean", name);
  p.mean = tensor(model, full, shape, zero, false);
  snprintf(full, sizeof full, "%s.running_var", name);
  p.var = tensor(model, full, shape, one, false);
  return p;
}
