/* The frozen backbone: pixels in, features out; its weights from a checkpoint, or random with BatchNorm
 * statistics measured on images. One thread drives it. */
#ifndef LINEAR_NETWORK_H
#define LINEAR_NETWORK_H

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

struct network;

/* mode: GRAPH_INFERENCE, or GRAPH_FORWARD to measure BatchNorm statistics. Weights are in place afterwards.
 * Errors: E_FORMAT (a file of another network: names the tensors), E_DEVICE, E_ARG, E_MEMORY. */
enum status network_open(struct network **out, const struct weights_source *source, enum graph_mode mode,
                         int64_t batch, const char *device, int threads);
void network_close(struct network **network);

int64_t network_dim(const struct network *network);

/* pixels [n, size, size, 3], n <= batch -> features [n, dim]. A ragged batch is padded with black images,
 * which inference keeps from touching the others. */
enum status network_features(struct network *network, const uint8_t *pixels, int64_t n, float *features);

/* Mixes in the statistics of one whole batch as the k-th (from 1), so that after K batches the running
 * statistics are the mean of the K batches'. GRAPH_FORWARD only. */
enum status network_calibrate(struct network *network, const uint8_t *pixels, int64_t k);

/* Copies all parameters and statistics. */
enum status network_copy(struct network *to, const struct network *from);

#endif
