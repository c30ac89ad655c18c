/* The named policies and policy files. A name is NAME[/GROUP][+augmix][+essl]; what it stands for is written
 * as JSON and read as any policy is. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "transform/policy_impl.h"

/* Methods section 1, settings; section 4, E-SSL's third view. */
static const struct setting {
  const char *name;
  int32_t size, blur;      /* pixels of a view, unless another is asked for; taps, 0: no blur */
  int32_t third;           /* pixels of E-SSL's third view; 0: this is no setting for pretraining */
  const char *third_scale; /* area of its crop */
} settings[] = {{"stl10", 96, 9, 48, "[0.2,1]"},
                {"cifar", 32, 0, 16, "[0.2,1]"},
                {"imagenet", 224, 23, 96, "[0.05,0.14]"},
                {"evaluate", 96, 0, 0, NULL}};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

/* What the images of a pair share, and what is added. */
enum { SHARE_CROP = 1, SHARE_COLOR = 2, SHARE_REST = 4, AUGMIX = 8, ESSL = 16 };

static const struct word {
  const char *text;
  unsigned flags;
} groups[] = {{"crop+color", SHARE_CROP | SHARE_COLOR},
              {"crop", SHARE_CROP},
              {"color", SHARE_COLOR},
              {"all", SHARE_CROP | SHARE_COLOR | SHARE_REST},
              {"none", 0}},
  additions[] = {{"+augmix", AUGMIX}, {"+essl", ESSL}};
enum { N_GROUPS = sizeof groups / sizeof *groups, N_ADDITIONS = sizeof additions / sizeof *additions };

struct named {
  const struct setting *setting;
  unsigned flags;
};

static const char *group(bool pair) { return pair ? "pair" : "image"; }

/* The official code's order: crop, colours, greyscale (AugMix: last of what a pair shares), then flip and
 * blur. */
static void write_view(FILE *f, const struct named *n, int32_t size) {
  const char *color = group(n->flags & SHARE_COLOR), *rest = group(n->flags & SHARE_REST);
  fprintf(f,
          "{\"size\":%d,\"ops\":[{\"op\":\"random_resized_crop\",\"group\":\"%s\"},"
          "{\"op\":\"color_jitter\",\"group\":\"%s\",\"p\":0.8},"
          "{\"op\":\"grayscale\",\"group\":\"%s\",\"p\":0.2},",
          size, group(n->flags & SHARE_CROP), color, color);
  if (n->flags & AUGMIX) fprintf(f, "{\"op\":\"augmix\",\"group\":\"%s\"},", color);
  fprintf(f, "{\"op\":\"hflip\",\"group\":\"%s\",\"p\":0.5}", rest);
  if (n->setting->blur)
    fprintf(f, ",{\"op\":\"gaussian_blur\",\"group\":\"%s\",\"p\":0.5,\"kernel\":%d}", rest,
            n->setting->blur);
  fputs("]}", f);
}

/* E-SSL's third view, each image's own. Its four rotations are the trainer's. */
static void write_third(FILE *f, const struct setting *s, int32_t size) {
  int64_t third = (int64_t)s->third * size / s->size;
  fprintf(f,
          ",{\"size\":%d,\"ops\":[{\"op\":\"random_resized_crop\",\"scale\":%s},{\"op\":\"hflip\",\"p\":0.5},"
          "{\"op\":\"color_jitter\",\"p\":0.8},{\"op\":\"grayscale\",\"p\":0.2}]}",
          third > 0 ? (int)third : 1, s->third_scale);
}

static enum status load_named(struct policy **out, const struct named *n, int32_t size) {
  char *text = NULL;
  size_t length;
  FILE *f = open_memstream(&text, &length);
  if (!f) return fail(E_MEMORY, "out of memory");
  size = size ? size : n->setting->size;
  fputs("{\"views\":[", f);
  if (n->setting->third) {
    write_view(f, n, size);
    fputc(',', f);
    write_view(f, n, size);
    if (n->flags & ESSL) write_third(f, n->setting, size);
  } else {
    fprintf(f, "{\"size\":%d,\"ops\":[{\"op\":\"resize_short_center_crop\",\"filter\":\"bicubic\"}]}", size);
  }
  fputs("]}", f);
  bool failed = ferror(f) != 0;
  failed |= fclose(f) != 0;
  enum status st = failed ? fail(E_MEMORY, "out of memory") : policy_parse(out, text);
  free(text);
  return st;
}

static enum status no_policy(const char *name) {
  return fail(E_ARG, "there is no policy '%.200s'; it must be one of " POLICY_NAMES, name);
}

/* One of `words` at the start of *text, which moves behind it; NULL if there is none. */
static const struct word *take(const struct word *words, size_t n, const char **text) {
  for (size_t i = 0; i < n; i++) {
    size_t length = strlen(words[i].text);
    char next = strncmp(*text, words[i].text, length) == 0 ? (*text)[length] : 'x';
    if (next != 0 && next != '+') continue;
    *text += length;
    return &words[i];
  }
  return NULL;
}

static enum status read_name(const char *name, struct named *out) {
  size_t length = strcspn(name, "/+");
  *out = (struct named){.flags = SHARE_CROP | SHARE_COLOR};
  for (size_t i = 0; i < N_SETTINGS; i++)
    if (strlen(settings[i].name) == length && strncmp(settings[i].name, name, length) == 0)
      out->setting = &settings[i];
  const char *rest = name + length;
  if (!out->setting) return no_policy(name);
  if (*rest && !out->setting->third)
    return fail(E_ARG, "policy '%.200s': %s takes no group and no addition", name, out->setting->name);
  if (*rest == '/') {
    rest++;
    const struct word *w = take(groups, N_GROUPS, &rest);
    if (!w) return no_policy(name);
    out->flags = w->flags;
  }
  while (*rest) {
    const struct word *w = take(additions, N_ADDITIONS, &rest);
    if (!w) return no_policy(name);
    if (out->flags & w->flags) return fail(E_ARG, "policy '%.200s': %s is there twice", name, w->text);
    out->flags |= w->flags;
  }
  return OK;
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
  size_t n = strlen(name_or_file);
  if (n > 5 && strcmp(name_or_file + n - 5, ".json") == 0) return load_file(out, name_or_file, size);
  struct named named;
  enum status st = read_name(name_or_file, &named);
  return st == OK ? load_named(out, &named, size) : st;
}
