/* What networks are built with: a graph, the backbone's options, and a record of every BatchNorm made.
 *
 * Builders (backbone.h, head.h) append to the model's graph under the checkpoint's parameter names; weights.h
 * moves those to and from files. One thread drives a model. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cli.h"
#include "base/status.h"
#include "nn/graph.h"

struct safetensors;

/* Which backbone. NULL or 0: not given; model_resolve fills it in. */
struct model_options {
  const char *arch; /* "resnet10", "resnet18", "resnet34", "resnet50" */
  const char
      *stem;     /* "imagenet": 7x7/2 convolution and 3x3/2 max-pooling; "cifar": 3x3/1 convolution alone */
  int64_t width; /* channels of the stem and of the first stage's 3x3 convolutions */
};
extern const struct opt model_opts[]; /* --arch --width --stem; for an OPT_TABLE */

/* Fills what was not given from the metadata of `weights` (may be NULL), then with resnet18, width 64,
 * imagenet. Strings stay borrowed from `weights`' file only if it was needed; keep it open as long as the
 * options. Errors: E_ARG (unknown arch or stem, width out of range, or a flag that contradicts the weights'
 * metadata). */
enum status model_resolve(struct model_options *options, const struct safetensors *weights);

/* Channels of the backbone's output: 8 x width, 32 x width for bottlenecks. */
int64_t model_features(const struct model_options *options);

#define TARGET_PREFIX "target."
enum { NORM_NAME_SIZE = 96 };

/* One BatchNorm: how often a step calls it, and the calls so far (PyTorch's num_batches_tracked). */
struct norm {
  char name[NORM_NAME_SIZE]; /* without the last part: "backbone.bn1" */
  int calls_per_step;
  int64_t tracked;
};

struct model {
  struct graph *graph; /* borrowed */
  struct model_options options;
  struct model *online; /* these are its target networks; NULL: they are trained ones. Borrowed */
  struct norm *norms;
  size_t n_norms, capacity;
};

/* `options` resolved; its strings are borrowed. The graph is
 * borrowed and must outlive the model. E_MEMORY. */
enum status model_open(struct model **out, struct graph *graph, const struct model_options *options);
void model_close(struct model **model); /* accepts NULL; nulls */

/* Target networks: builders that are given this model build the network of `online` (already built) once more, from
 * shadows of its tensors (graph_shadow) called "target." and their names. No gradient reaches them; nn/ema
 * moves them; the BatchNorms are recorded in `online`. `online` must outlive it. E_MEMORY. */
enum status model_open_target(struct model **out, struct model *online);

/* Counts one training step's BatchNorm calls. */
void model_count_step(struct model *model);

#endif
