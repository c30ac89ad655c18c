/* Where the frozen network's weights come from: a file, or a seed. */
#ifndef LINEAR_SOURCE_H
#define LINEAR_SOURCE_H

#include "model/network.h"
#include "options.h"
#include "store/safetensors.h"

/* Where weights come from, and what they say about the images they want. */
struct weights_source {
  const char *path;           /* as given */
  struct safetensors *file;   /* NULL: random */
  uint64_t seed;              /* of random weights */
  char id[40];                /* "xxh3:..." of the file's bytes, or "random:SEED" */
  struct model_options model; /* resolved */
  int64_t size;               /* of the images, in pixels */
  bool has_mean_std;          /* whether the weights say how pixels were normalised */
  double mean[3], std[3];     /* the dataset's own statistics otherwise: the caller fills them in */
};

/* Errors: E_IO, E_FORMAT (not a weights file), E_ARG (flags that contradict the weights; size unknown). */
enum status weights_source_open(struct weights_source *out, const struct linear_options *o);
void weights_source_close(struct weights_source *source);

/* The network with these weights in place; mode as in model/network.h. Errors: E_FORMAT (a file of another network:
 * names the tensors), E_DEVICE, E_ARG, E_MEMORY. */
enum status weights_source_network(struct network **out, const struct weights_source *source,
                                   enum graph_mode mode, int64_t batch, const struct device_options *device);

#endif
