#include "labels.h"

#include <stdio.h>
#include <string.h>

const struct label_kind label_kinds[N_LABELS] = {{"crop", 0, 4}, {"color", 4, 4}, {"blur", 8, 1},
                                                 {"flip", 9, 1}, {"gray", 10, 1}, {NULL, 11, 1}};

enum { CX = 1, FLIP = 9, SAME = 11 };

/* The names that render_view gives to the parameters. */
static const char *const parameter_names[LABEL_GIVEN] = {
    "crop.cy",   "crop.cx",    "crop.h", "crop.w", "color.brightness", "color.contrast", "color.saturation",
    "color.hue", "blur.sigma", "flip",   "gray"};

static bool find_kind(const char *name, size_t length, enum label *kind) {
  for (*kind = 0; *kind < N_LABELS; ++*kind) {
    const char *known = label_kinds[*kind].name;
    if (known && strlen(known) == length && memcmp(known, name, length) == 0) return true;
  }
  return false;
}

enum status labels_parse(int64_t *kinds, const char *text) {
  *kinds = 0;
  for (const char *at = text;; at++) {
    enum label kind;
    size_t length = strcspn(at, ",");
    if (!find_kind(at, length, &kind))
      return fail(E_ARG, "--labels: '%s' is not a list of crop, color, blur, flip, gray", text);
    *kinds |= 1 << kind;
    at += length;
    if (!*at) return OK;
  }
}

enum status label_map_make(struct label_map *out, const char *const *names, size_t n, int64_t kinds) {
  for (int c = 0; c < LABEL_GIVEN; c++) {
    out->column[c] = -1;
    for (size_t i = 0; i < n && out->column[c] < 0; i++)
      if (strcmp(names[i], parameter_names[c]) == 0) out->column[c] = (int)i;
  }
  for (enum label k = 0; k < N_LABELS; k++)
    if (label_kinds[k].name && kinds >> k & 1 && out->column[label_kinds[k].first] < 0)
      return fail(E_ARG, "--labels: the policy's views have no %s", label_kinds[k].name);
  return OK;
}

static float at(const float *p, const struct label_map *map, int column) {
  return map->column[column] < 0 ? 0 : p[map->column[column]];
}

void label_difference(float *out, const float *p1, const struct label_map *map1, const float *p2,
                      const struct label_map *map2) {
  for (int c = 0; c < LABEL_GIVEN; c++) out[c] = at(p1, map1, c) - at(p2, map2, c);
  if (at(p1, map1, FLIP) != 0) out[CX] = -out[CX]; /* (1 - cx1) - (1 - cx2) */
  out[SAME] = out[FLIP] == 0;
}

void labels_complete(float *out, const float *differences, int64_t n, int64_t given) {
  memset(out, 0, (size_t)(n * LABEL_COLUMNS) * sizeof *out);
  for (int64_t i = 0; i < n; i++) {
    float *row = out + i * LABEL_COLUMNS;
    memcpy(row, differences + i * given, (size_t)given * sizeof *row);
    row[SAME] = row[FLIP] == 0;
  }
}
