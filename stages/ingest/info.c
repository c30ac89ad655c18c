#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/version.h"
#include "ingest.h"

/* --- As JSON --- */

static json_t *strings(const char *const *items, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(list, json_string(items[i]));
  return list;
}

/* {"CLASS": samples}; unlabelled samples count nowhere. */
static json_t *class_counts(const struct dataset_info *info, const struct split *split) {
  json_t *counts = json_object();
  int64_t *n = calloc(info->n_classes + 1, sizeof *n);
  for (int64_t i = 0; n && i < split->count; i++)
    if (split->entries[i].label >= 0) n[split->entries[i].label]++;
  for (size_t c = 0; n && c < info->n_classes; c++)
    json_object_set_new(counts, info->classes[c], json_integer(n[c]));
  free(n);
  return counts;
}

static json_t *splits(const struct dataset_info *info) {
  json_t *list = json_array();
  for (size_t i = 0; i < info->n_splits; i++)
    json_array_append_new(list, json_pack("{s:s, s:I, s:o}", "name", info->splits[i].name, "count",
                                          (json_int_t)info->splits[i].count, "classes",
                                          class_counts(info, &info->splits[i])));
  return list;
}

json_t *dataset_describe(const struct dataset_info *info) {
  return json_pack("{s:s, s:s, s:i, s:o, s:o, s:o, s:[f,f,f], s:[f,f,f]}", "name", info->name, "fingerprint",
                   info->fingerprint, "format_version", DATASET_VERSION, "classes",
                   strings(info->classes, info->n_classes), "attributes",
                   strings(info->attributes, info->n_attributes), "splits", splits(info), "mean",
                   info->mean[0], info->mean[1], info->mean[2], "std", info->std[0], info->std[1],
                   info->std[2]);
}

/* Only what decides the outcome: neither times nor threads, so that equal ingests give equal files. */
static json_t *settings(const struct ingest_options *o) {
  json_t *j = json_pack("{s:s, s:b}", "format", o->format, "skip_bad", o->skip_bad);
  if (o->in) json_object_set_new(j, "in", json_string(o->in));
  if (o->classes) json_object_set_new(j, "classes", json_string(o->classes));
  if (o->restart) json_object_set_new(j, "restart", json_true());
  if (o->short_side)
    json_object_update_new(j, json_pack("{s:I, s:I}", "short_side", (json_int_t)o->short_side, "quality",
                                        (json_int_t)o->quality));
  if (strcmp(o->format, "shapes") == 0)
    json_object_update_new(j, json_pack("{s:I, s:I, s:I, s:I}", "size", (json_int_t)o->size, "train",
                                        (json_int_t)o->train, "test", (json_int_t)o->test, "seed",
                                        (json_int_t)o->seed));
  return j;
}

/* A file name need not be UTF-8; JSON must be: bytes beyond ASCII of such a name become '?'. */
static json_t *text(const char *s) {
  json_t *j = json_string(s);
  if (j) return j;
  char *copy = strdup(s);
  for (char *c = copy; c && *c; c++)
    if (*c & 0x80) *c = '?';
  j = json_string(copy ? copy : "?");
  free(copy);
  return j;
}

enum status result_write(const char *path, const struct ingest_options *o,
                         const struct ingest_outcome *outcome) {
  enum status st;
  char *dump = NULL;
  struct dataset *d;
  json_t *j = NULL, *skipped = NULL;
  TRY(dataset_open(&d, o->out)); /* what is reported is what the next stage will find */
  skipped = json_array();
  for (size_t i = 0; i < outcome->n_skipped; i++)
    json_array_append_new(skipped, json_pack("{s:o, s:o}", "source", text(outcome->skipped[i].origin),
                                             "reason", text(outcome->skipped[i].reason)));
  j = json_pack("{s:s, s:s, s:o, s:o, s:O, s:I, s:I, s:I}", "stage", "ingest", "version", TANDEM_VERSION,
                "settings", settings(o), "dataset", dataset_describe(dataset_info(d)), "skipped", skipped,
                "shrunk", (json_int_t)outcome->shrunk, "recoded", (json_int_t)outcome->recoded,
                "not_recodable", (json_int_t)outcome->not_recodable);
  dump = j ? json_dumps(j, JSON_INDENT(1)) : NULL;
  st = dump ? file_write(path, dump, strlen(dump)) : fail(E_MEMORY, "out of memory while writing %s", path);
out:
  dataset_close(&d);
  free(dump);
  json_decref(j);
  json_decref(skipped);
  return st;
}

/* --- For people --- */

struct info_options {
  const char *dataset, *sheet;
  bool json, verify;
};

static void print_sizes(const struct split *s) {
  if (s->count == 0) return;
  int32_t low_w = INT32_MAX, low_h = INT32_MAX, high_w = 0, high_h = 0;
  for (int64_t i = 0; i < s->count; i++) {
    const struct index_entry *e = &s->entries[i];
    if (e->width < low_w) low_w = e->width;
    if (e->height < low_h) low_h = e->height;
    if (e->width > high_w) high_w = e->width;
    if (e->height > high_h) high_h = e->height;
  }
  if (low_w == high_w && low_h == high_h)
    printf(", %dx%d pixels", low_w, low_h);
  else
    printf(", %dx%d to %dx%d pixels", low_w, low_h, high_w, high_h);
}

static int width_of(const struct dataset_info *info) {
  size_t width = 12;
  for (size_t c = 0; c < info->n_classes; c++)
    if (strlen(info->classes[c]) > width) width = strlen(info->classes[c]);
  return width > 40 ? 40 : (int)width;
}

/* A row per class, a column per split. */
static void print_classes(const struct dataset_info *info) {
  int width = width_of(info);
  json_t *counts = splits(info);
  printf("\n%-*s", width, "class");
  for (size_t i = 0; i < info->n_splits; i++) printf(" %12s", info->splits[i].name);
  for (size_t c = 0; c < info->n_classes; c++) {
    printf("\n%-*s", width, info->classes[c]);
    for (size_t i = 0; i < info->n_splits; i++)
      printf(" %12lld", (long long)json_integer_value(json_object_get(
                            json_object_get(json_array_get(counts, i), "classes"), info->classes[c])));
  }
  putchar('\n');
  json_decref(counts);
}

/* How the images are stored; known once all of them were read. */
static void print_contents(const struct dataset_contents *c) {
  printf("stored       %lld JPEG", (long long)c->jpeg);
  if (c->restarts) printf(" (%lld with an index of restart intervals)", (long long)c->restarts);
  printf(", %lld RGB; %.1f MB\n", (long long)c->rgb8, (double)c->bytes / 1e6);
}

static void print_info(const struct dataset_info *info, const struct dataset_contents *contents) {
  printf("name         %s\nfingerprint  %s\nformat       %d\n", info->name, info->fingerprint,
         DATASET_VERSION);
  printf("mean         %.4f %.4f %.4f\nstd          %.4f %.4f %.4f\n", info->mean[0], info->mean[1],
         info->mean[2], info->std[0], info->std[1], info->std[2]);
  for (size_t i = 0; i < info->n_splits; i++) {
    printf("split        %s: %lld images", info->splits[i].name, (long long)info->splits[i].count);
    print_sizes(&info->splits[i]);
    putchar('\n');
  }
  if (contents) print_contents(contents);
  if (info->n_attributes) printf("attributes  ");
  for (size_t i = 0; i < info->n_attributes; i++) printf(" %s", info->attributes[i]);
  if (info->n_attributes) putchar('\n');
  if (info->n_classes) print_classes(info);
}

static enum status info_run(void *state) {
  const struct info_options *o = state;
  enum status st;
  struct dataset *d;
  TRY(dataset_open(&d, o->dataset));
  struct dataset_contents contents;
  if (o->verify) TRY(dataset_verify(d, &contents));
  if (o->sheet) TRY(sheet_write(d, o->sheet));
  if (o->json) {
    json_t *j = dataset_describe(dataset_info(d));
    json_dumpf(j, stdout, JSON_INDENT(1));
    putchar('\n');
    json_decref(j);
  } else {
    print_info(dataset_info(d), o->verify ? &contents : NULL);
  }
  if (fflush(stdout) != 0) st = fail(E_IO, "cannot write to the standard output");
out:
  dataset_close(&d);
  return st;
}

#define FIELD(name) offsetof(struct info_options, name)
static const struct opt opts[] = {
    {"dataset", OPT_STR, FIELD(dataset), NULL, "dataset file", NULL, NULL, true, true},
    {"json", OPT_BOOL, FIELD(json), NULL, "print JSON"},
    {"sheet", OPT_STR, FIELD(sheet), NULL, "also draw some images of every class into this PNG file"},
    {"verify", OPT_BOOL, FIELD(verify), NULL,
     "read every sample, compare checksums and fingerprint, and say how they are stored"},
    {0}};

struct command info_command(void) {
  return (struct command){.name = "info",
                          .summary = "prints what is inside a dataset",
                          .state_size = sizeof(struct info_options),
                          .opts = opts,
                          .run = info_run};
}
