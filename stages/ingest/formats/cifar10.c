/* CIFAR-10, binary version: data_batch_{1..5}.bin and test_batch.bin of 3073-byte records: the label, then
 * the red, green and blue planes of 32x32 pixels, row
 * by row. (https://www.cs.toronto.edu/~kriz/cifar.html) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ingest/ingest.h"
#include "ingest/records.h"

enum { SIDE = 32, RECORD = 1 + 3 * SIDE * SIDE, CLASSES = 10, TRAIN_FILES = 5, FILES = TRAIN_FILES + 1 };

static const char *const usual_names[CLASSES] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                                 "dog",      "frog",       "horse", "ship", "truck"};

struct cifar10 {
  struct records files[FILES]; /* the last is the test set */
  char *own_names[CLASSES];
};

static enum status cifar10_open(void **source, const struct ingest_options *options,
                                struct source_plan *plan) {
  enum status st;
  char folder[512], name[32];
  struct cifar10 *s = *source = calloc(1, sizeof *s);
  if (!s) return fail(E_MEMORY, "out of memory");
  for (int i = 0; i < FILES; i++) s->files[i].fd = -1;
  plan->n_splits = 2;
  plan->splits[0] = (struct source_split){.name = "train"};
  plan->splits[1] = (struct source_split){.name = "test"};
  inner_folder(options->in, "cifar-10-batches-bin", folder, sizeof folder);
  for (int i = 0; i < FILES; i++) {
    snprintf(name, sizeof name, i < TRAIN_FILES ? "data_batch_%d.bin" : "test_batch.bin", i + 1);
    TRY(records_open(&s->files[i], folder, name, RECORD));
    plan->splits[i == TRAIN_FILES].count += s->files[i].count;
  }
  st = read_class_names(folder, "batches.meta.txt", CLASSES, s->own_names);
  plan->classes = st == OK ? (const char *const *)s->own_names : usual_names;
  plan->n_classes = CLASSES;
  if (st == E_NOT_FOUND) st = OK;
out:
  return st;
}

static enum status cifar10_sample(const void *source, size_t split, int64_t i, struct sample *sample) {
  const struct cifar10 *s = source;
  const struct records *file = &s->files[split == 0 ? 0 : TRAIN_FILES];
  uint8_t record[RECORD];
  enum status st;
  for (; i >= file->count; file++) i -= file->count;
  snprintf(sample->origin, sizeof sample->origin, "%.480s record %lld", file->path, (long long)i);
  TRY(records_read(file, i, record));
  if (record[0] >= CLASSES) return fail(E_FORMAT, "label %d, but the labels are 0..9", record[0]);
  sample->label = record[0];
  TRY(planes_to_rgb(record + 1, SIDE, 1, SIDE, &sample->image));
out:
  return st;
}

static void cifar10_close(void **source) {
  struct cifar10 *s = *source;
  *source = NULL;
  if (!s) return;
  for (int i = 0; i < FILES; i++) records_close(&s->files[i]);
  for (int i = 0; i < CLASSES; i++) free(s->own_names[i]);
  free(s);
}

extern const struct format format_cifar10;
const struct format format_cifar10 = {.name = "cifar10",
                                      .summary = "CIFAR-10, binary version",
                                      .needs_in = true,
                                      .open = cifar10_open,
                                      .sample = cifar10_sample,
                                      .close = cifar10_close};
