#include "model/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/tensor_list.h"

static const char backbone_prefix[] = "backbone.", tracked_suffix[] = ".num_batches_tracked";
enum { BACKBONE_PREFIX = sizeof backbone_prefix - 1 };

/* What the name of a module ends in; a file may hold more modules than are asked for. */
static const char *const module_kinds[] = {"_projector", "_predictor", "_backbone", "_transform", "_head"};

static bool starts_with(const char *text, const char *prefix) {
  return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_backbone_only(const struct safetensors *file) {
  for (size_t i = 0; i < safetensors_count(file); i++)
    if (starts_with(safetensors_at(file, i)->name, backbone_prefix)) return false;
  return safetensors_find(file, "conv1.weight") != NULL;
}

static bool parse_triple(const char *text, double out[3]) {
  int end = 0;
  return sscanf(text, "%lf,%lf,%lf%n", &out[0], &out[1], &out[2], &end) == 3 && text[end] == '\0' &&
         isfinite(out[0]) && isfinite(out[1]) && isfinite(out[2]);
}

enum status weights_info(struct weights_info *out, const struct safetensors *file) {
  *out = (struct weights_info){.backbone_only = is_backbone_only(file),
                               .method = safetensors_metadata(file, "method"),
                               .base = safetensors_metadata(file, "base")};
  const char *size = safetensors_metadata(file, "size"), *mean = safetensors_metadata(file, "mean"),
             *std = safetensors_metadata(file, "std");
  if (size) {
    char *end;
    out->size = strtoll(size, &end, 10);
    if (end == size || *end || out->size < 1 || out->size > INT32_MAX)
      return fail(E_FORMAT, "the weights say size '%.40s', which is not a number of pixels", size);
  }
  if (!mean && !std) return OK;
  if (!mean || !std || !parse_triple(mean, out->mean) || !parse_triple(std, out->std) || !(out->std[0] > 0) ||
      !(out->std[1] > 0) || !(out->std[2] > 0))
    return fail(E_FORMAT, "the weights' mean and std are not three numbers each: '%.60s', '%.60s'",
                mean ? mean : "", std ? std : "");
  out->has_mean_std = true;
  return OK;
}

/* --- Reading -------------------------------------------------------------------------------------------- */

enum { LISTED_NAMES = 6 };

/* Names that do not fit, for the message. */
struct complaint {
  const char *what;
  size_t count;
  char text[400];
};

static void complain(struct complaint *c, const char *format, const char *name, const char *detail) {
  if (c->count++ >= LISTED_NAMES) return;
  size_t used = strlen(c->text);
  used += (size_t)snprintf(c->text + used, sizeof c->text - used, "%s", c->count > 1 ? ", " : "");
  if (used < sizeof c->text) snprintf(c->text + used, sizeof c->text - used, format, name, detail);
}

static enum status verdict(const char *path, const struct complaint *c, size_t n) {
  char text[900] = "";
  for (size_t i = 0; i < n; i++) {
    if (!c[i].count) continue;
    size_t used = strlen(text);
    snprintf(text + used, sizeof text - used, "%s%zu %s: %s%s", *text ? "; " : "", c[i].count, c[i].what,
             c[i].text, c[i].count > LISTED_NAMES ? ", ..." : "");
  }
  return *text ? fail(E_FORMAT, "%s does not fit this network: %s", path, text) : OK;
}

static void describe(char *text, size_t size, const struct tensor_view *t, struct shape want) {
  char have[80] = "", need[80] = "";
  for (int i = 0; i < t->n_dims; i++)
    snprintf(have + strlen(have), sizeof have - strlen(have), "%s%" PRId64, i ? "," : "", t->shape[i]);
  for (int i = 0; i < want.n_dims; i++)
    snprintf(need + strlen(need), sizeof need - strlen(need), "%s%" PRId64, i ? "," : "", want.dim[i]);
  if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F64)
    snprintf(text, size, "not f32 or f64");
  else
    snprintf(text, size, "[%s], not [%s]", have, need);
}

static bool fits(const struct tensor_view *t, struct shape want) {
  if ((t->dtype != DTYPE_F32 && t->dtype != DTYPE_F64) || t->n_dims != want.n_dims) return false;
  for (int i = 0; i < want.n_dims; i++)
    if (t->shape[i] != want.dim[i]) return false;
  return true;
}

/* How a model is filled from a file. */
struct filling {
  const struct model *model;
  const struct safetensors *file;
  const char *path;
  bool backbone_only; /* what kind of file it is */
  bool fresh_heads;   /* modules that it does not hold may keep their values */
  bool no_targets;    /* it holds no target networks, and they shall start as the networks they follow */
};

/* The name in the file of the model's tensor `name`; NULL: this kind of file cannot hold it. */
static const char *name_in_file(const struct filling *f, const char *name) {
  if (f->no_targets && starts_with(name, TARGET_PREFIX)) name += sizeof TARGET_PREFIX - 1;
  if (!f->backbone_only) return name;
  return starts_with(name, backbone_prefix) ? name + BACKBONE_PREFIX : NULL;
}

static bool holds_targets(const struct safetensors *file) {
  for (size_t i = 0; i < safetensors_count(file); i++)
    if (starts_with(safetensors_at(file, i)->name, TARGET_PREFIX)) return true;
  return false;
}

static bool model_has(const struct model *model, const char *prefix, bool whole) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(model->graph, &tensors), length = strlen(prefix);
  for (size_t i = 0; i < n; i++)
    if (strncmp(tensors[i].name, prefix, length) == 0 && tensors[i].name[length] == (whole ? '\0' : '.'))
      return true;
  return false;
}

static struct norm *norm_by_tracked(const struct model *model, const char *name) {
  size_t length = strlen(name), suffix = sizeof tracked_suffix - 1;
  if (length < suffix || strcmp(name + length - suffix, tracked_suffix) != 0) return NULL;
  for (size_t i = 0; i < model->n_norms; i++)
    if (strlen(model->norms[i].name) == length - suffix &&
        strncmp(model->norms[i].name, name, length - suffix) == 0)
      return &model->norms[i];
  return NULL;
}

/* Whether the first `length` characters of `name` can name a module: "inv_projector", "backbone". */
static bool is_module(const char *name, size_t length) {
  if (length == BACKBONE_PREFIX - 1 && starts_with(name, backbone_prefix)) return true;
  for (size_t i = 0; i < sizeof module_kinds / sizeof *module_kinds; i++) {
    size_t kind = strlen(module_kinds[i]);
    if (length > kind && memcmp(name + length - kind, module_kinds[i], kind) == 0) return true;
  }
  return false;
}

/* Whether `name` belongs to a module, or a module's target network, of which the model has nothing. */
static bool is_unused_module(const struct model *model, const char *name) {
  size_t prefix = starts_with(name, TARGET_PREFIX) ? sizeof TARGET_PREFIX - 1 : 0,
         length = strcspn(name + prefix, ".");
  char module[128];
  if (!name[prefix + length] || !is_module(name + prefix, length)) return false;
  return snprintf(module, sizeof module, "%.*s", (int)(prefix + length), name) < (int)sizeof module &&
         !model_has(model, module, false);
}

/* Whether the model knows what to do with the file's tensor `name`. */
static bool is_expected(const struct model *model, const char *name, bool backbone_only) {
  char full[256];
  snprintf(full, sizeof full, "%s%s", backbone_only ? backbone_prefix : "", name);
  return starts_with(full, "fc.") || starts_with(full, "backbone.fc.") || model_has(model, full, true) ||
         norm_by_tracked(model, full) || is_unused_module(model, full);
}

static enum status check(const struct filling *f) {
  struct complaint c[] = {{.what = "missing"}, {.what = "unfit"}, {.what = "unknown"}};
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(f->model->graph, &tensors);
  for (size_t i = 0; i < n; i++) {
    const char *name = name_in_file(f, tensors[i].name);
    const struct tensor_view *t = name ? safetensors_find(f->file, name) : NULL;
    char detail[200];
    if (!t && (name || !f->fresh_heads)) complain(&c[0], "%s%s", name ? name : tensors[i].name, "");
    if (!t || fits(t, tensors[i].shape)) continue;
    describe(detail, sizeof detail, t, tensors[i].shape);
    complain(&c[1], "%s is %s", name, detail);
  }
  for (size_t i = 0; i < safetensors_count(f->file); i++) {
    const struct tensor_view *t = safetensors_at(f->file, i);
    const size_t suffix = sizeof tracked_suffix - 1, length = strlen(t->name);
    bool tracked = length > suffix && strcmp(t->name + length - suffix, tracked_suffix) == 0;
    if (!is_expected(f->model, t->name, f->backbone_only))
      complain(&c[2], "%s%s", t->name, "");
    else if (tracked && (t->dtype != DTYPE_I64 || t->size != sizeof(int64_t)))
      complain(&c[1], "%s is %s", t->name, "not one i64");
  }
  return verdict(f->path, c, sizeof c / sizeof *c);
}

static enum status copy_in(struct model *model, const struct tensor_view *t, struct value v) {
  int64_t count = (int64_t)(t->size / dtype_size(t->dtype));
  return t->dtype == DTYPE_F64 ? graph_write_f64(model->graph, v, t->data, count)
                               : graph_write_f32(model->graph, v, t->data, count);
}

enum status weights_load(struct model *model, const struct safetensors *file, const char *path,
                         bool fresh_heads) {
  const struct filling f = {model,
                            file,
                            path,
                            .backbone_only = is_backbone_only(file),
                            .fresh_heads = fresh_heads,
                            .no_targets = fresh_heads && !holds_targets(file)};
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(model->graph, &tensors);
  enum status st = OK;
  TRY(check(&f));
  for (size_t i = 0; i < n; i++) {
    const char *name = name_in_file(&f, tensors[i].name);
    if (name) TRY(copy_in(model, safetensors_find(file, name), tensors[i].value));
  }
  for (size_t i = 0; i < safetensors_count(file); i++) {
    const struct tensor_view *t = safetensors_at(file, i);
    char full[256];
    snprintf(full, sizeof full, "%s%s", f.backbone_only ? backbone_prefix : "", t->name);
    struct norm *norm = norm_by_tracked(model, full);
    if (norm) memcpy(&norm->tracked, t->data, sizeof norm->tracked);
  }
out:
  return st;
}

/* --- Writing -------------------------------------------------------------------------------------------- */

enum { MAX_METADATA = 24 };

static enum status write_list(const struct model *model, const char *path, const struct tensor_list *list,
                              const struct metadata *metadata, size_t n_metadata) {
  char width[24];
  struct metadata all[MAX_METADATA];
  size_t n = 0;
  if (n_metadata > MAX_METADATA - 3)
    return fail(E_ARG, "%s: %zu metadata entries are too many", path, n_metadata);
  snprintf(width, sizeof width, "%" PRId64, model->options.width);
  all[n++] = (struct metadata){"arch", model->options.arch};
  all[n++] = (struct metadata){"stem", model->options.stem};
  all[n++] = (struct metadata){"width", width};
  for (size_t i = 0; i < n_metadata; i++) all[n++] = metadata[i];
  return safetensors_write(path, list->views, list->count, all, n);
}

/* Tensors whose names start with `prefix`, which is cut off. */
static enum status save(const struct model *model, const char *path, const char *prefix,
                        const struct metadata *metadata, size_t n_metadata) {
  const struct graph_tensor *tensors;
  size_t n = graph_tensors(model->graph, &tensors), cut = strlen(prefix);
  struct tensor_list list = {0};
  enum status st = OK;
  for (size_t i = 0; i < n; i++)
    if (starts_with(tensors[i].name, prefix))
      TRY(tensor_list_value(&list, model->graph, "", tensors[i].name + cut, tensors[i].value, DTYPE_F32));
  for (size_t i = 0; i < model->n_norms; i++)
    if (starts_with(model->norms[i].name, prefix))
      TRY(tensor_list_tracked(&list, "", model->norms[i].name + cut, model->norms[i].tracked));
  TRY(write_list(model, path, &list, metadata, n_metadata));
out:
  tensor_list_free(&list);
  return st;
}

enum status weights_save(const struct model *model, const char *path, const struct metadata *metadata,
                         size_t n_metadata) {
  return save(model, path, "", metadata, n_metadata);
}

enum status weights_save_backbone(const struct model *model, const char *path,
                                  const struct metadata *metadata, size_t n_metadata) {
  return save(model, path, backbone_prefix, metadata, n_metadata);
}
