/* What cuDNN is asked to compute: one pass of one convolution, as a graph of one operation. */
#ifndef NN_CUDA_OPERATION_H
#define NN_CUDA_OPERATION_H

#include "nn/cuda/dnn.h"
#include "nn/cuda/libraries.h"

/* How a plan's arguments say which tensor they are. */
enum operation_tensor { ID_X = 1, ID_W, ID_Y };

/* handle: NULL for a device that is only described. The caller frees *out with descriptor_free. Errors: E_DEVICE. */
enum status operation_make(const struct cudnn_functions *api, cudnnHandle_t handle,
                           const struct dnn_conv_shape *shape, enum dnn_pass pass,
                           cudnnBackendDescriptor_t *out);

const char *operation_name(enum dnn_pass pass); /* for people */

#endif
