#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(struct linear_options, member)
const struct opt linear_opts[] = {
    {"weights", OPT_STR, AT(weights), NULL,
     "checkpoint (final.safetensors or backbone.safetensors), or random:SEED for an untrained network",
     .required = true},
    {"out", OPT_STR, AT(out), NULL, "folder for features.lmdb, classifier.safetensors and result.json",
     .required = true},
    {"result", OPT_STR, AT(result), NULL, "where the result goes; without it OUT/result.json"},
    {"size", OPT_INT, AT(size), "0", "side of the images in pixels; 0: as the weights were trained"},
    {"train-split", OPT_STR, AT(train_split), "train", "split to fit on; the validation part comes from it"},
    {"test-split", OPT_STR, AT(test_split), "test", "split to score on"},
    {"val-fraction", OPT_FLOAT, AT(val_fraction), "0.1", "share of the training split to choose l2 on"},
    {"val-count", OPT_INT, AT(val_count), "0",
     "images of the training split to choose l2 on, instead of a share"},
    {"split-seed", OPT_INT, AT(split_seed), "50",
     "seed of the permutation whose last part is the validation part"},
    {"protocol", OPT_STR, AT(protocol), "default",
     "when a fit stops: default, relative gradient 1e-5 or 500 iterations; paper, gradient 1e-10 or 5000",
     "default|paper"},
    {"metric", OPT_STR, AT(metric), "top1", "accuracy that chooses l2", "top1|class-mean"},
    {"batch", OPT_INT, AT(batch), "128", "images per pass through the network"},
    {"device", OPT_TABLE, AT(device), .sub = device_opts},
    {"model", OPT_TABLE, AT(model), .sub = model_opts},
    {"feed", OPT_TABLE, AT(feed), .sub = feed_opts},
    {0}};
#undef AT

enum { MAX_SIZE = 4096, MAX_BATCH = 65536 };

static enum status in_range(const char *flag, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return OK;
  return fail(E_ARG, "--%s: %lld is not from %lld to %lld", flag, (long long)value, (long long)low,
              (long long)high);
}

enum status linear_options_check(const struct linear_options *o) {
  enum status st;
  bool random;
  uint64_t seed;
  TRY(weights_are_random(o->weights, &random, &seed));
  TRY(in_range("size", o->size, 0, MAX_SIZE));
  TRY(in_range("batch", o->batch, 1, MAX_BATCH));
  TRY(device_options_check(&o->device));
  TRY(in_range("val-count", o->val_count, 0, INT32_MAX));
  TRY(in_range("split-seed", o->split_seed, 0, UINT32_MAX));
  if (!(o->val_fraction > 0 && o->val_fraction < 1))
    return fail(E_ARG, "--val-fraction: %g is not between 0 and 1", o->val_fraction);
  if (strcmp(o->train_split, o->test_split) == 0)
    return fail(E_ARG,
                "--train-split and --test-split are both '%s'; score on other images than those fitted",
                o->train_split);
  if (random && !o->size)
    return fail(E_ARG, "--size is required with random weights: they say nothing about it");
out:
  return st;
}

enum status weights_are_random(const char *weights, bool *random, uint64_t *seed) {
  static const char prefix[] = "random:";
  *random = strncmp(weights, prefix, sizeof prefix - 1) == 0;
  *seed = 0;
  if (!*random) return OK;
  const char *text = weights + sizeof prefix - 1;
  char *end;
  errno = 0;
  *seed = strtoull(text, &end, 10);
  bool good = *text >= '0' && *text <= '9' && !*end && errno == 0;
  return good ? OK : fail(E_ARG, "--weights %s: the seed is not a whole number", weights);
}

enum status validation_count(const struct linear_options *o, int64_t n, int64_t *out) {
  *out = o->val_count ? o->val_count : llround(o->val_fraction * (double)n);
  if (*out < 1) *out = 1;
  if (*out < n) return OK;
  return fail(
      E_ARG, "%lld of the %lld images of split '%s' for validation leave none to train on; lower --val-count",
      (long long)*out, (long long)n, o->train_split);
}
