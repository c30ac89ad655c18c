/* GPUs that a graph can be planned for where they are not: what of them decides plans and memory. */
#ifndef NN_CUDA_GPU_MODELS_H
#define NN_CUDA_GPU_MODELS_H

struct gpu_model {
  const char *name;       /* behind "cuda:" */
  const char *title;      /* as the driver calls it */
  int processors;         /* streaming multiprocessors */
  const char *properties; /* as JSON, for dnn_config.device */
};

/* NULL: there is none of that name. */
const struct gpu_model *gpu_model_find(const char *name);

#endif
