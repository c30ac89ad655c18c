#include "nn/cuda/descriptor.h"

enum status descriptor_check(const struct cudnn_functions *api, cudnnStatus_t status, const char *what) {
  if (status == CUDNN_STATUS_SUCCESS) return OK;
  char detail[512] = "";
  api->cudnnGetLastErrorString(detail, sizeof detail);
  return fail(E_DEVICE, "cuDNN: %s: %s%s%s", what, api->cudnnGetErrorString(status), *detail ? ": " : "",
              detail);
}

cudnnStatus_t descriptor_try(const struct cudnn_functions *api, cudnnBackendDescriptorType_t type,
                             const struct attribute *attributes, int count, cudnnBackendDescriptor_t *out) {
  *out = NULL;
  cudnnStatus_t status = api->cudnnBackendCreateDescriptor(type, out);
  for (int i = 0; i < count && status == CUDNN_STATUS_SUCCESS; i++) {
    const struct attribute *a = &attributes[i];
    status = api->cudnnBackendSetAttribute(*out, a->name, a->type, a->count, a->value);
  }
  if (status == CUDNN_STATUS_SUCCESS) status = api->cudnnBackendFinalize(*out);
  if (status != CUDNN_STATUS_SUCCESS) descriptor_free(api, out);
  return status;
}

enum status descriptor_make(const struct cudnn_functions *api, const char *what,
                            cudnnBackendDescriptorType_t type, const struct attribute *attributes, int count,
                            cudnnBackendDescriptor_t *out) {
  return descriptor_check(api, descriptor_try(api, type, attributes, count, out), what);
}

void descriptor_free(const struct cudnn_functions *api, cudnnBackendDescriptor_t *descriptor) {
  if (*descriptor) api->cudnnBackendDestroyDescriptor(*descriptor);
  *descriptor = NULL;
}
