/* Descriptors of cuDNN's graph API: made, filled from a table and finalised in one call. For dnn.c. */
#ifndef NN_CUDA_DESCRIPTOR_H
#define NN_CUDA_DESCRIPTOR_H

#include "nn/cuda/libraries.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

struct attribute {
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  int64_t count;
  const void *value;
};

/* cuDNN's status as ours, with what it says of itself; `what` names the failed call. */
enum status descriptor_check(const struct cudnn_functions *api, cudnnStatus_t status, const char *what);

/* cuDNN's own status, for callers who expect refusals; *out is NULL unless it is CUDNN_STATUS_SUCCESS. */
cudnnStatus_t descriptor_try(const struct cudnn_functions *api, cudnnBackendDescriptorType_t type,
                             const struct attribute *attributes, int count, cudnnBackendDescriptor_t *out);

/* Errors: E_DEVICE; *out is NULL then. */
enum status descriptor_make(const struct cudnn_functions *api, const char *what,
                            cudnnBackendDescriptorType_t type, const struct attribute *attributes, int count,
                            cudnnBackendDescriptor_t *out);

void descriptor_free(const struct cudnn_functions *api, cudnnBackendDescriptor_t *descriptor); /* nulls */

#endif
