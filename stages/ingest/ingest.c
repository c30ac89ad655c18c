/* The way of every sample: read by its format, decoded to prove that it can be, counted, stored.
 *
 * Blocks of samples are read and decoded by all threads, then stored in order by one, so the dataset does not
 * depend on the number of threads. Channel statistics are integer sums: exact, hence the same in any order
 * too. */
#include "ingest.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/progress.h"
#include "ingest/rewrite.h"

enum { BLOCK = 64 };

struct totals { /* over all pixels of one split */
  uint64_t pixels, sum[3], squares[3];
};

struct slot {
  struct sample sample;
  struct record record;
  struct rewrite rewrite;
  struct totals totals;
  enum status status;
  char message[1024];
};

struct ingest {
  const struct ingest_options *options;
  const struct format *format;
  void *source;
  struct source_plan plan;
  struct dataset_writer *writer;
  struct progress *progress;
  struct ingest_outcome outcome;
  struct totals totals[SOURCE_MAX_SPLITS];
  struct slot *slots; /* [BLOCK] */
  struct pool *pool;
};

/* --- Reading and checking, on every thread --- */

static void count_pixels(const struct image *m, struct totals *t) {
  size_t n = (size_t)m->width * (size_t)m->height;
  t->pixels = n;
  for (size_t i = 0; i < n; i++)
    for (size_t c = 0; c < 3; c++) {
      uint64_t v = m->pixels[3 * i + c];
      t->sum[c] += v;
      t->squares[c] += v * v;
    }
}

/* A JPEG is stored as a file, everything else as RGB. */
static enum status check_sample(const struct ingest_options *o, struct slot *s) {
  struct sample *in = &s->sample;
  const struct jpeg_recoded *recoded = &s->rewrite.jpeg;
  enum status st = OK;
  bool jpeg = in->bytes && image_sniff(in->bytes, in->size) == IMAGE_JPEG;
  if (in->bytes) TRY(image_decode(in->bytes, in->size, &in->image));
  TRY(rewrite_shrink(&s->rewrite, o, in));
  if (jpeg && o->restart) TRY(rewrite_recode(&s->rewrite, in));
  count_pixels(&in->image, &s->totals);
  s->record =
      (struct record){.encoding = jpeg ? ENCODING_JPEG : ENCODING_RGB8,
                      .bytes = jpeg ? in->bytes : in->image.pixels,
                      .size = jpeg ? in->size : 3 * (size_t)in->image.width * (size_t)in->image.height,
                      .width = in->image.width,
                      .height = in->image.height,
                      .label = in->label,
                      .boxes = in->boxes,
                      .n_boxes = in->n_boxes,
                      .attributes = in->attributes,
                      .n_attributes = in->n_attributes};
  if (recoded->bytes) {
    s->record.bytes = recoded->bytes;
    s->record.size = recoded->size;
    s->record.restarts = recoded->restarts;
    s->record.n_restarts = recoded->n_restarts;
  }
  if (jpeg) image_free(&in->image);
out:
  return st;
}

static void read_slot(const struct ingest *g, size_t split, int64_t i, struct slot *s) {
  *s = (struct slot){.sample.label = -1};
  s->status = g->format->sample(g->source, split, i, &s->sample);
  if (s->status == OK) s->status = check_sample(g->options, s);
  if (s->status != OK)
    memcpy(s->message, fail_message(), strlen(fail_message()) + 1); /* fail's message is per thread */
}

static void free_slot(struct slot *s) {
  rewrite_free(&s->rewrite);
  free(s->sample.bytes);
  image_free(&s->sample.image);
  s->sample.bytes = NULL;
}

/* --- Storing, in order --- */

static enum status skip(struct ingest *g, const struct slot *s) {
  struct ingest_outcome *o = &g->outcome;
  struct skipped *grown = realloc(o->skipped, (o->n_skipped + 1) * sizeof *grown);
  if (grown) o->skipped = grown;
  struct skipped entry = {strdup(s->sample.origin), strdup(s->message)};
  if (!grown || !entry.origin || !entry.reason) {
    free(entry.origin);
    free(entry.reason);
    return fail(E_MEMORY, "out of memory");
  }
  o->skipped[o->n_skipped++] = entry;
  log_warn("skipped %s: %s", entry.origin, entry.reason);
  return OK;
}

/* "ORIGIN: reason", unless the reason names the place itself. */
static enum status explain(const struct slot *s, const char *advice) {
  bool named = strstr(s->message, s->sample.origin) != NULL;
  return fail(s->status, "%s%s%s%s", named ? "" : s->sample.origin, named ? "" : ": ", s->message, advice);
}

static enum status store_slot(struct ingest *g, size_t split, struct slot *s) {
  bool own_fault = s->status == E_FORMAT || s->status == E_IO;
  if (own_fault && g->options->skip_bad) return skip(g, s);
  if (own_fault) return explain(s, " (--skip-bad leaves such images out)");
  if (s->status != OK) return explain(s, "");
  struct totals *t = &g->totals[split];
  t->pixels += s->totals.pixels;
  for (int c = 0; c < 3; c++) {
    t->sum[c] += s->totals.sum[c];
    t->squares[c] += s->totals.squares[c];
  }
  g->outcome.counts[split]++;
  g->outcome.shrunk += s->rewrite.shrunk;
  g->outcome.recoded += s->rewrite.recoded;
  g->outcome.not_recodable += s->rewrite.not_recodable;
  return dataset_writer_add(g->writer, &s->record);
}

struct block { /* of samples that are read together */
  struct ingest *ingest;
  size_t split;
  int64_t first;
};

/* What is wrong with a sample stands in its slot. */
static enum status read_item(void *context, uint32_t k, int thread) {
  (void)thread;
  const struct block *b = context;
  read_slot(b->ingest, b->split, b->first + k, &b->ingest->slots[k]);
  return OK;
}

static enum status ingest_split(struct ingest *g, size_t split, int64_t done) {
  enum status st = OK;
  int64_t count = g->plan.splits[split].count;
  TRY(dataset_writer_split(g->writer, g->plan.splits[split].name));
  for (int64_t first = 0; first < count && st == OK; first += BLOCK) {
    if (stop_requested()) return fail(E_INTERRUPTED, "interrupted");
    int n = count - first < BLOCK ? (int)(count - first) : BLOCK;
    struct block block = {g, split, first};
    st = pool_run(g->pool, &(struct pool_job){(uint32_t)n, &block, read_item, NULL});
    for (int k = 0; k < n; k++) {
      if (st == OK) st = store_slot(g, split, &g->slots[k]);
      free_slot(&g->slots[k]);
    }
    progress_set(g->progress, done + first + n, g->plan.splits[split].name);
  }
out:
  return st;
}

/* Mean and standard deviation over all pixels of the first split that has any, in [0, 1]. */
static void channel_statistics(const struct ingest *g, double mean[3], double std[3]) {
  const struct totals *t = g->totals;
  for (size_t i = 0; i + 1 < g->plan.n_splits && t->pixels == 0; i++) t++;
  for (int c = 0; c < 3; c++) {
    double n = (double)t->pixels, m = (double)t->sum[c] / n;
    mean[c] = m / 255;
    std[c] = sqrt(fmax((double)t->squares[c] / n - m * m, 0)) / 255;
  }
}

/* --- The whole --- */

static enum status find_format(struct ingest *g) {
  const struct ingest_options *o = g->options;
  for (const struct format *const *f = format_registry; *f && !g->format; f++)
    if (strcmp((*f)->name, o->format) == 0) g->format = *f;
  assert(g->format); /* the option takes the names of the same registry */
  if (g->format->needs_in && !o->in) return fail(E_ARG, "--in is required for --format %s", o->format);
  if (!g->format->needs_in && o->in) return fail(E_ARG, "--in: --format %s reads nothing", o->format);
  if (!g->format->takes_classes && o->classes)
    return fail(E_ARG, "--classes: --format %s has its own classes", o->format);
  if (o->short_side && (o->short_side < 8 || o->short_side > IMAGE_MAX_SIDE))
    return fail(E_ARG, "--short-side: %lld is neither 0 nor 8..%d", (long long)o->short_side, IMAGE_MAX_SIDE);
  if (o->quality < 1 || o->quality > 100)
    return fail(E_ARG, "--quality: %lld is not 1..100", (long long)o->quality);
  return pool_open(&g->pool, o->threads ? o->threads : pool_cores());
}

/* The last part of a path without its extension, e.g. "shapes" of "runs/demo/shapes.lmdb". Empty if there is
 * none. */
static void name_of(const char *path, char *name, size_t size) {
  const char *slash = strrchr(path, '/');
  snprintf(name, size, "%s", slash ? slash + 1 : path);
  char *dot = strrchr(name, '.');
  if (dot && dot != name) *dot = '\0';
}

static enum status ingest_all(struct ingest *g, int64_t total) {
  enum status st = OK;
  int64_t done = 0, stored = 0;
  double mean[3], std[3];
  TRY(progress_open(&g->progress, "ingest", "images", total));
  progress_set(g->progress, 0, NULL); /* rates count from here */
  for (size_t i = 0; i < g->plan.n_splits; done += g->plan.splits[i++].count) {
    TRY(ingest_split(g, i, done));
    stored += g->outcome.counts[i];
  }
  progress_close(&g->progress);
  if (stored == 0) {
    st = fail(E_FORMAT, "%s: not one usable image", g->options->in ? g->options->in : "shapes");
    goto out;
  }
  channel_statistics(g, mean, std);
  TRY(dataset_writer_commit(&g->writer, mean, std));
out:
  return st;
}

static void report(const struct ingest *g) {
  char text[512] = "";
  for (size_t i = 0; i < g->plan.n_splits; i++) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s%lld %s", i ? ", " : "", (long long)g->outcome.counts[i],
             g->plan.splits[i].name);
  }
  const struct ingest_outcome *o = &g->outcome;
  if (g->plan.note[0]) log_info("%s", g->plan.note);
  if (g->options->short_side) log_info("--short-side: %lld images were scaled down", (long long)o->shrunk);
  if (g->options->restart)
    log_info("--restart: %lld JPEGs were re-coded, %lld kept as they were", (long long)o->recoded,
             (long long)o->not_recodable);
  log_info("%s: %s images of %zu classes%s", g->options->out, text, g->plan.n_classes,
           g->outcome.n_skipped ? "; some were skipped, see above" : "");
}

static void close_ingest(struct ingest *g) {
  progress_abort(&g->progress);
  dataset_writer_abort(&g->writer);
  if (g->format) g->format->close(&g->source);
  for (size_t i = 0; i < g->outcome.n_skipped; i++) {
    free(g->outcome.skipped[i].origin);
    free(g->outcome.skipped[i].reason);
  }
  free(g->outcome.skipped);
  free(g->slots);
  pool_close(&g->pool);
}

static enum status ingest_run(void *state) {
  struct ingest g = {.options = state};
  const struct ingest_options *o = g.options;
  enum status st;
  char name[256];
  int64_t total = 0;
  stop_on_signals();
  stop_with_parent();
  TRY(find_format(&g));
  g.slots = calloc(BLOCK, sizeof *g.slots);
  if (!g.slots) {
    st = fail(E_MEMORY, "out of memory");
    goto out;
  }
  TRY(g.format->open(&g.source, o, &g.plan));
  for (size_t i = 0; i < g.plan.n_splits; i++) total += g.plan.splits[i].count;
  name_of(o->out, name, sizeof name);
  const struct dataset_plan plan = {o->name ? o->name : name, g.plan.classes, g.plan.n_classes,
                                    g.plan.attributes, g.plan.n_attributes};
  TRY(dataset_writer_open(&g.writer, o->out, &plan, o->replace));
  TRY(ingest_all(&g, total));
  report(&g);
  if (o->result) TRY(result_write(o->result, o, &g.outcome));
out:
  close_ingest(&g);
  return st;
}

static const char *format_name_at(size_t i) { return format_registry[i] ? format_registry[i]->name : NULL; }

#define FIELD(name) offsetof(struct ingest_options, name)
static const struct opt opts[] = {
    {"format", OPT_STR, FIELD(format), NULL, "what the input is", .required = true, .names = format_name_at},
    {"in", OPT_STR, FIELD(in), NULL, "folder with the images or binary files"},
    {"classes", OPT_STR, FIELD(classes), NULL,
     "folder: file with the class folders to read, one a line, in the order of their labels"},
    {"out", OPT_STR, FIELD(out), NULL, "dataset file to write, e.g. pets.lmdb", NULL, NULL, true},
    {"name", OPT_STR, FIELD(name), NULL, "name of the dataset; without it, that of the file"},
    {"skip-bad", OPT_BOOL, FIELD(skip_bad), NULL,
     "leave unreadable or corrupt images out instead of failing"},
    {"restart", OPT_BOOL, FIELD(restart), NULL,
     "re-code JPEGs, pixels unchanged, so that decoding can begin anywhere in them"},
    {"short-side", OPT_INT, FIELD(short_side), "0",
     "scale larger images down until their shorter side has so many pixels; 0: keep them"},
    {"quality", OPT_INT, FIELD(quality), "90", "1..100, of the JPEGs that --short-side makes"},
    {"replace", OPT_BOOL, FIELD(replace), NULL, "replace the dataset file if there is one"},
    {"size", OPT_INT, FIELD(size), "32", "shapes: side of the images, pixels"},
    {"train", OPT_INT, FIELD(train), "3000", "shapes: images in the split train"},
    {"test", OPT_INT, FIELD(test), "1000", "shapes: images in the split test"},
    {"seed", OPT_INT, FIELD(seed), "0", "shapes: seed; the same seed gives the same images"},
    {"threads", OPT_INT, FIELD(threads), "0",
     "threads that decode; 0: one per core; the dataset does not depend on it"},
    {"result", OPT_STR, FIELD(result), NULL, "file to write the result to, as JSON"},
    {0}};

const struct command ingest_command = {
    .summary = "makes a dataset of images from a folder or known files, or of generated shapes",
    .state_size = sizeof(struct ingest_options),
    .opts = opts,
    .run = ingest_run};
