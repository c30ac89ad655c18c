/* The frozen backbone: pixels in, features out. One thread at a time drives it. */
#ifndef MODEL_NETWORK_H
#define MODEL_NETWORK_H

#include "model/model.h"

struct network_config {
  const struct model_options *model; /* resolved */
  int64_t size, batch;               /* side of the images in pixels; images per pass */
  double mean[3], std[3];            /* that pixels are normalised with, images in [0, 1] */
  enum graph_mode mode;              /* GRAPH_INFERENCE, or GRAPH_FORWARD to measure BatchNorm statistics */
  const char *device;
  int threads;
  enum precision precision;
  enum plans plans;
};

struct network;

/* Weights are not set yet. Errors: E_DEVICE, E_ARG, E_MEMORY. */
enum status network_open(struct network **out, const struct network_config *config);
void network_close(struct network **network); /* accepts NULL; nulls */

/* To set the weights: weights_load, graph_init, or tensor by tensor. */
struct model *network_model(struct network *network);

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
