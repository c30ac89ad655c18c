#include "nn/cuda/libraries.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* Plans for a described device, and what the plans rely on, came with 9.8. */
enum { OLDEST_CUDNN = 90800, OLDEST_CUBLASLT = 130000 };

static enum status missing(const struct library *library, const char *why) {
  const char *path = getenv("LD_LIBRARY_PATH");
  return fail(
      E_DEVICE,
      "%s: %s; looked for it in LD_LIBRARY_PATH (%s) and where the system's loader looks: install %s, and "
      "put the folder that holds it into LD_LIBRARY_PATH",
      library->file, why, path && *path ? path : "empty", library->package);
}

enum status library_open(const struct library *library, void *table) {
  void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
  if (!handle) return missing(library, "not found");
  char *field = table;
  for (const char *const *name = library->names; *name; name++, field += sizeof(void *)) {
    void *function = dlsym(handle, *name);
    if (!function) {
      dlclose(handle);
      return fail(E_VERSION, "%s has no function %s: install %s", library->file, *name, library->package);
    }
    memcpy(field, &function, sizeof function);
  }
  return OK;
}

static enum status check_version(const struct library *library, size_t found, size_t oldest) {
  if (found >= oldest) return OK;
  return fail(E_VERSION, "%s is version %zu.%zu: %zu.%zu is the oldest that will do; install %s",
              library->file, found / 10000, found / 100 % 100, oldest / 10000, oldest / 100 % 100,
              library->package);
}

#define LIBRARY_NAME(name) #name,

enum status libraries_cudnn(struct cudnn_functions *out) {
  static const char *const names[] = {CUDNN_FUNCTIONS(LIBRARY_NAME) NULL};
  static const struct library library = {
      "libcudnn.so.9",
      "cuDNN 9 for CUDA 13 (NVIDIA's package cudnn9-cuda-13, or nvidia-cudnn-cu13 "
      "with pip: site-packages/nvidia/cudnn/lib)",
      names};
  enum status st = library_open(&library, out);
  return st == OK ? check_version(&library, out->cudnnGetVersion(), OLDEST_CUDNN) : st;
}

enum status libraries_cublaslt(struct cublaslt_functions *out) {
  static const char *const names[] = {CUBLASLT_FUNCTIONS(LIBRARY_NAME) NULL};
  static const struct library library = {
      "libcublasLt.so.13",
      "the CUDA Toolkit 13 (NVIDIA's package libcublas-13-0, or nvidia-cublas with "
      "pip: site-packages/nvidia/cu13/lib)",
      names};
  enum status st = library_open(&library, out);
  return st == OK ? check_version(&library, out->cublasLtGetVersion(), OLDEST_CUBLASLT) : st;
}
