/* What the parts of tandem-ingest share: the options, and the interface of a format.
 *
 * A format (formats/NAME.c defines `format_NAME`; the Makefile finds it) says in `open` which splits with how
 * many samples, which classes and which attributes there are, and hands over one sample at a time. Everything
 * else is the same for all: checking every image by decoding it, channel statistics, storing, publishing,
 * skipping, reporting. */
#ifndef INGEST_INGEST_H
#define INGEST_INGEST_H

#include <jansson.h>

#include "base/cli.h"
#include "image/image.h"
#include "store/dataset.h"

struct ingest_options {
  const char *format, *in, *out, *name, *result, *classes;
  int64_t size, train, test, seed, threads, short_side, quality;
  bool skip_bad, replace, restart;
};

extern const struct command ingest_command;
struct command info_command(void);

struct source_split {
  char name[32];
  int64_t count;
};

enum { SOURCE_MAX_SPLITS = 8, SAMPLE_MAX_BOXES = 1, SAMPLE_MAX_ATTRIBUTES = 16 };

/* What `open` fills in. The strings belong to the format and live until its close. */
struct source_plan {
  const char *const *classes;
  size_t n_classes;
  const char *const *attributes;
  size_t n_attributes;
  struct source_split splits[SOURCE_MAX_SPLITS];
  size_t n_splits;
  char note[160]; /* something the user should know once all went well; "" if nothing */
};

/* One sample on its way in. A format fills in either `bytes` (an image file as it was found, malloc'ed) or
 * `image`; label, boxes and attributes; and where the sample came from. All of it is freed by the caller. */
struct sample {
  uint8_t *bytes;
  size_t size;
  struct image image;
  int32_t label;
  struct box boxes[SAMPLE_MAX_BOXES];
  size_t n_boxes;
  float attributes[SAMPLE_MAX_ATTRIBUTES];
  size_t n_attributes;
  char origin[512]; /* for messages: a file, or a record in one */
};

struct format {
  const char *name, *summary;
  bool needs_in;      /* whether --in is required, or forbidden */
  bool takes_classes; /* whether --classes is allowed */

  /* Errors are final: the input as a whole makes no sense. */
  enum status (*open)(void **source, const struct ingest_options *options, struct source_plan *plan);

  /* Sample i of a split. Called from several threads at once. E_FORMAT and E_IO concern this sample alone:
   * --skip-bad goes on without it. `origin` is set whatever the outcome. */
  enum status (*sample)(const void *source, size_t split, int64_t i, struct sample *sample);

  void (*close)(void **source); /* accepts half-open; nulls */
};

extern const struct format *const format_registry[];

/* A sample that was left out. */
struct skipped {
  char *origin, *reason;
};

struct ingest_outcome {
  int64_t counts[SOURCE_MAX_SPLITS]; /* stored samples per split */
  int64_t shrunk, recoded, not_recodable;
  struct skipped *skipped;
  size_t n_skipped;
};

/* Writes --result: settings, what was stored, what was skipped (schemas/result-ingest.schema.json). */
enum status result_write(const char *path, const struct ingest_options *options,
                         const struct ingest_outcome *outcome);

/* Draws images of every class of the first split as one PNG. Errors: E_IO, E_FORMAT, E_MEMORY. */
enum status sheet_write(struct dataset *dataset, const char *path);

/* What is inside a dataset, as `info --json` prints it and a result holds it. NULL when out of memory. */
json_t *dataset_describe(const struct dataset_info *info);

#endif
