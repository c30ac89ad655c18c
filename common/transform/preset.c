/* The named policies and policy files. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "transform/policy_impl.h"

/* Methods section 1, the official code's order: what a pair shares first, then each image's own. */
#define ALIGNED                                                                                              \
  "{\"op\":\"random_resized_crop\",\"group\":\"pair\"},{\"op\":\"color_jitter\",\"group\":\"pair\",\"p\":0." \
  "8},"                                                                                                      \
  "{\"op\":\"grayscale\",\"group\":\"pair\",\"p\":0.2},{\"op\":\"hflip\",\"group\":\"image\",\"p\":0.5}"
#define BLUR(k) ",{\"op\":\"gaussian_blur\",\"group\":\"image\",\"p\":0.5,\"kernel\":" k "}"

static const struct named {
  const char *name;
  int32_t size; /* pixels, unless another is asked for */
  int views;
  const char *ops;
} presets[] = {{"stl10", 96, 2, ALIGNED BLUR("9")},
               {"cifar", 32, 2, ALIGNED},
               {"imagenet", 224, 2, ALIGNED BLUR("23")},
               {"evaluate", 96, 1, "{\"op\":\"resize_short_center_crop\",\"filter\":\"bicubic\"}"}};
enum { N_PRESETS = sizeof presets / sizeof *presets };

static enum status load_preset(struct policy **out, const struct named *preset, int32_t size) {
  char view[1024], text[2 * sizeof view + 32];
  snprintf(view, sizeof view, "{\"size\":%d,\"ops\":[%s]}", size ? size : preset->size, preset->ops);
  if (preset->views == 2)
    snprintf(text, sizeof text, "{\"views\":[%s,%s]}", view, view);
  else
    snprintf(text, sizeof text, "{\"views\":[%s]}", view);
  return policy_parse(out, text);
}

/* Replaces the one size that all views have. */
static enum status set_size(struct policy **policy, int32_t size) {
  struct policy *p = *policy;
  for (int v = 1; v < p->n_views; v++)
    if (p->views[v].size != p->views[0].size)
      return fail(E_ARG, "its views differ in size; leave out the size, or change it in the file");
  json_t *root = json_loads(p->json, 0, NULL);
  if (!root) return fail(E_MEMORY, "out of memory");
  json_t *views = json_object_get(root, "views");
  for (size_t i = 0; i < json_array_size(views); i++)
    json_object_set_new(json_array_get(views, i), "size", json_integer(size));
  char *text = json_dumps(root, JSON_REAL_PRECISION(17));
  json_decref(root);
  if (!text) return fail(E_MEMORY, "out of memory");
  policy_close(policy);
  enum status st = policy_parse(policy, text);
  free(text);
  return st;
}

static enum status load_file(struct policy **out, const char *path, int32_t size) {
  uint8_t *text = NULL;
  size_t length;
  enum status st = file_read(path, POLICY_MAX_JSON, &text, &length);
  if (st != OK) return st;
  st = strlen((char *)text) == length ? policy_parse(out, (char *)text)
                                      : fail(E_ARG, "policy: not JSON: a zero byte");
  free(text);
  if (st == OK && size) st = set_size(out, size);
  if (st == OK) return OK;
  policy_close(out);
  return fail_within(st, "%s", path);
}

enum status policy_load(struct policy **out, const char *name_or_file, int32_t size) {
  *out = NULL;
  for (size_t i = 0; i < N_PRESETS; i++)
    if (strcmp(presets[i].name, name_or_file) == 0) return load_preset(out, &presets[i], size);
  size_t n = strlen(name_or_file);
  if (n > 5 && strcmp(name_or_file + n - 5, ".json") == 0) return load_file(out, name_or_file, size);
  char list[128];
  for (size_t i = 0, used = 0; i < N_PRESETS; i++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", presets[i].name);
  return fail(E_ARG, "there is no policy '%.200s'; it must be one of %s, or a file whose name ends in .json",
              name_or_file, list);
}
