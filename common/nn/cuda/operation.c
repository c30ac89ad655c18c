#include "nn/cuda/operation.h"

#include "nn/cuda/descriptor.h"

/* dim is [N,C,H,W], as cuDNN wants it whatever the order in memory. */
static enum status make_tensor(const struct cudnn_functions *api, enum operation_tensor id,
                               enum precision precision, const int64_t dim[4],
                               cudnnBackendDescriptor_t *out) {
  const cudnnDataType_t type = precision == PRECISION_BF16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
  const int64_t stride[4] = {dim[1] * dim[2] * dim[3], 1, dim[3] * dim[1], dim[1]}, uid = id, alignment = 16;
  const struct attribute attributes[] = {{CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type},
                                         {CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, dim},
                                         {CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, stride},
                                         {CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid},
                                         {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment}};
  return descriptor_make(api, "tensor", CUDNN_BACKEND_TENSOR_DESCRIPTOR, attributes, COUNT(attributes), out);
}

static enum status make_convolution(const struct cudnn_functions *api, const struct dnn_conv_shape *s,
                                    cudnnBackendDescriptor_t *out) {
  const cudnnDataType_t sums = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const int64_t dims = 2, pad[] = {s->pad, s->pad}, stride[] = {s->stride, s->stride}, dilation[] = {1, 1};
  const struct attribute attributes[] = {
      {CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums},
      {CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode},
      {CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &dims},
      {CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, pad},
      {CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, pad},
      {CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, stride},
      {CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation}};
  return descriptor_make(api, "convolution", CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, attributes,
                         COUNT(attributes), out);
}

/* Attributes of both forms of the pass by data. */
#define BY_DATA                                                                                              \
  CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,                                              \
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,             \
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,     \
      CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA

static const struct pass {
  const char *name;
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
  float keep; /* beta's value: how much of what is there stays */
} passes[] = {
    [DNN_FORWARD] = {"forward", CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    [DNN_BACKWARD_DATA] = {"backward by data", BY_DATA},
    [DNN_ADD_TO_DATA] = {"adding backward by data", BY_DATA, 1},
    [DNN_BACKWARD_WEIGHTS] = {"backward by weights",
                              CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

/* The graph of one operation. What it refers to it holds on to: the parts are let go of here. */
enum status operation_make(const struct cudnn_functions *api, cudnnHandle_t handle,
                           const struct dnn_conv_shape *s, enum dnn_pass which,
                           cudnnBackendDescriptor_t *out) {
  const struct pass *pass = &passes[which];
  const int64_t x_dim[] = {s->n, s->c, s->h, s->w}, w_dim[] = {s->o, s->c, s->k, s->k},
                y_dim[] = {s->n, s->o, dnn_conv_out(s->h, s), dnn_conv_out(s->w, s)};
  const float one = 1;
  cudnnBackendDescriptor_t x = NULL, w = NULL, y = NULL, convolution = NULL, operation = NULL;
  enum status st = OK;
  TRY(make_tensor(api, ID_X, s->precision, x_dim, &x));
  TRY(make_tensor(api, ID_W, s->precision, w_dim, &w));
  TRY(make_tensor(api, ID_Y, s->precision, y_dim, &y));
  TRY(make_convolution(api, s, &convolution));
  const struct attribute parts[] = {{pass->x, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &x},
                                    {pass->w, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &w},
                                    {pass->y, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &y},
                                    {pass->convolution, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &convolution},
                                    {pass->alpha, CUDNN_TYPE_FLOAT, 1, &one},
                                    {pass->beta, CUDNN_TYPE_FLOAT, 1, &pass->keep}};
  TRY(descriptor_make(api, pass->name, pass->type, parts, COUNT(parts), &operation));
  const struct attribute graph[] = {
      {CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operation},
      {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle}};
  TRY(descriptor_make(api, "operation graph", CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, graph, handle ? 2 : 1,
                      out));
out:
  descriptor_free(api, &operation);
  descriptor_free(api, &convolution);
  descriptor_free(api, &y);
  descriptor_free(api, &w);
  descriptor_free(api, &x);
  return st;
}

const char *operation_name(enum dnn_pass pass) { return passes[pass].name; }
