#include "nn/cuda/gpu_models.h"

#include <stddef.h>
#include <string.h>

/* The numbers are those that the driver gives of such a GPU (cudaGetDeviceProperties; NVIDIA's datasheets). */
#define MODEL(name, title, version, sms, shared, sm_khz, memory_khz, l2, memory)                             \
  {                                                                                                          \
    name, title, sms,                                                                                        \
        "{\"deviceName\":\"" title "\",\"cudaDeviceId\":0,\"deviceVer\":" #version ",\"driverVer\":13000,"   \
        "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"   \
        "\"multiProcessorCount\":" #sms ",\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"                \
        "\"maxSharedMemoryPerBlockOptin\":" #shared                                                          \
        ",\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"                                \
        "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"        \
        "\"isTccDriver\":0,"                                                                                 \
        "\"supportCoopLaunch\":1,\"smClockRateKHz\":" #sm_khz ",\"memClockRateKHz\":" #memory_khz            \
        ",\"l2CacheSize\":" #l2 ",\"totalGlobalMem\":" #memory "}"                                           \
  }

static const struct gpu_model models[] = {
    MODEL("a100", "NVIDIA A100-SXM4-80GB", 800, 108, 166912, 1410000, 1593000, 41943040, 84974239744),
    MODEL("h200", "NVIDIA H200", 900, 132, 232448, 1980000, 3201000, 62914560, 150110011392)};

const struct gpu_model *gpu_model_find(const char *name) {
  for (size_t i = 0; i < sizeof models / sizeof *models; i++)
    if (strcmp(models[i].name, name) == 0) return &models[i];
  return NULL;
}
