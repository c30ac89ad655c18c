/* STL-10, binary version: train_X.bin, unlabeled_X.bin and test_X.bin of 27648-byte images: red, green and
 * blue planes of 96x96 pixels, column by column; train_y.bin and test_y.bin of one-byte labels 1..10.
 * (https://cs.stanford.edu/~acoates/stl10) The unlabelled images may be missing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/ingest.h"
#include "ingest/records.h"

enum { SIDE = 96, RECORD = 3 * SIDE * SIDE, CLASSES = 10, SPLITS = 3 };

static const char *const split_names[SPLITS] = {"train", "unlabeled", "test"};
static const char *const usual_names[CLASSES] = {"airplane", "bird",  "car",    "cat",  "deer",
                                                 "dog",      "horse", "monkey", "ship", "truck"};

struct stl10 {
  struct records images[SPLITS], labels[SPLITS]; /* in the order of the plan's splits; fd -1: no labels */
  char *own_names[CLASSES];
};

/* The files of one split, as the plan's next. A missing unlabelled split is left out. */
static enum status open_split(struct stl10 *s, const char *folder, const char *split,
                              struct source_plan *plan) {
  enum status st;
  char name[32];
  size_t k = plan->n_splits;
  bool labelled = strcmp(split, "unlabeled") != 0;
  snprintf(name, sizeof name, "%s_X.bin", split);
  st = records_open(&s->images[k], folder, name, RECORD);
  if (st == E_NOT_FOUND && !labelled) return OK;
  if (st != OK) return st;
  snprintf(name, sizeof name, "%s_y.bin", split);
  if (labelled) TRY(records_open(&s->labels[k], folder, name, 1));
  if (labelled && s->labels[k].count != s->images[k].count)
    return fail(E_FORMAT, "%s has %lld labels for %lld images; download both again", s->labels[k].path,
                (long long)s->labels[k].count, (long long)s->images[k].count);
  snprintf(plan->splits[k].name, sizeof plan->splits[k].name, "%s", split);
  plan->splits[k].count = s->images[k].count;
  plan->n_splits++;
out:
  return st;
}

static enum status stl10_open(void **source, const struct ingest_options *options, struct source_plan *plan) {
  enum status st;
  char folder[512];
  struct stl10 *s = *source = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  for (int i = 0; i < SPLITS; i++) s->images[i].fd = s->labels[i].fd = -1;
  inner_folder(options->in, "stl10_binary", folder, sizeof folder);
  for (int i = 0; i < SPLITS; i++) TRY(open_split(s, folder, split_names[i], plan));
  st = read_class_names(folder, "class_names.txt", CLASSES, s->own_names);
  plan->classes = st == OK ? (const char *const *)s->own_names : usual_names;
  plan->n_classes = CLASSES;
  if (st == E_NOT_FOUND) st = OK;
out:
  return st;
}

static enum status stl10_sample(const void *source, size_t split, int64_t i, struct sample *sample) {
  const struct stl10 *s = source;
  enum status st = OK;
  uint8_t label = 0, *planes = NULL;
  snprintf(sample->origin, sizeof sample->origin, "%.480s image %lld", s->images[split].path, (long long)i);
  if (s->labels[split].fd >= 0) {
    TRY(records_read(&s->labels[split], i, &label));
    if (label < 1 || label > CLASSES) return fail(E_FORMAT, "label %d, but the labels are 1..10", label);
    sample->label = label - 1;
  }
  planes = malloc(RECORD);
  if (!planes) return fail(E_MEMORY, "out of memory");
  TRY(records_read(&s->images[split], i, planes));
  TRY(planes_to_rgb(planes, SIDE, SIDE, 1, &sample->image));
out:
  free(planes);
  return st;
}

static void stl10_close(void **source) {
  struct stl10 *s = *source;
  *source = NULL;
  if (!s) return;
  for (int i = 0; i < SPLITS; i++) {
    records_close(&s->images[i]);
    records_close(&s->labels[i]);
  }
  for (int i = 0; i < CLASSES; i++) free(s->own_names[i]);
  free(s);
}

extern const struct format format_stl10;
const struct format format_stl10 = {.name = "stl10",
                                    .summary = "STL-10, binary version",
                                    .needs_in = true,
                                    .open = stl10_open,
                                    .sample = stl10_sample,
                                    .close = stl10_close};
