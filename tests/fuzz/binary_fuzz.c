#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "ingest/ingest.h"

extern const struct format format_cifar10, format_stl10;

static const char *const links[] = {"data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
                                    "data_batch_5.bin", "test_batch.bin",   "train_X.bin",
                                    "train_y.bin",      "test_X.bin",       "test_y.bin",
                                    "unlabeled_X.bin",  "batches.meta.txt", "class_names.txt"};

static bool write_plain(const char *path, const uint8_t *data,
                        size_t size) { /* file_write would sync each time */
  FILE *f = fopen(path, "wb");
  bool ok = f && fwrite(data, 1, size, f) == size;
  return f && fclose(f) == 0 && ok;
}

static void read_all(const struct format *format, const char *folder) {
  const struct ingest_options options = {.in = folder};
  struct source_plan plan = {0};
  void *source;
  if (format->open(&source, &options, &plan) == OK)
    for (size_t s = 0; s < plan.n_splits; s++)
      for (int64_t i = 0; i < plan.splits[s].count; i++) {
        struct sample sample = {.label = -1};
        if (format->sample(source, s, i, &sample) == OK && sample.label >= (int32_t)plan.n_classes)
          __builtin_trap();
        image_free(&sample.image);
      }
  format->close(&source);
}

/* One folder for all inputs: data_batch_1.bin, and everything else a link to it. */
static char folder[] = "/tmp/tandem-fuzz-XXXXXX";

static void in_folder(const char *name, char path[64]) { snprintf(path, 64, "%s/%s", folder, name); }

static void remove_folder(void) {
  char path[64];
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    in_folder(links[i], path);
    unlink(path);
  }
  in_folder("data_batch_1.bin", path);
  unlink(path);
  rmdir(folder);
}

static void make_folder(void) {
  char path[64];
  if (!mkdtemp(folder)) abort();
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    in_folder(links[i], path);
    if (symlink("data_batch_1.bin", path) != 0) abort();
  }
  atexit(remove_folder);
}

/* The input is every file of a CIFAR-10 and an STL-10 folder at once. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool made;
  char path[64];
  if (!made) make_folder();
  made = true;
  in_folder("data_batch_1.bin", path);
  if (!write_plain(path, data, size)) return 0;
  read_all(&format_cifar10, folder);
  read_all(&format_stl10, folder);
  return 0;
}
