/* GPUs described to cuDNN, which then makes plans without having one. The numbers are those that the driver
 * gives of such a GPU (cudaGetDeviceProperties; NVIDIA's datasheets). */
#ifndef UNIT_NN_CUDA_DEVICES_H
#define UNIT_NN_CUDA_DEVICES_H

#define DEVICE(name, version, sms, shared, sm_khz, memory_khz, l2, memory)                                   \
  "{\"deviceName\":\"" name "\",\"cudaDeviceId\":0,\"deviceVer\":" version ",\"driverVer\":13000,"           \
  "\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"         \
  "\"multiProcessorCount\":" sms ",\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"                       \
  "\"maxSharedMemoryPerBlockOptin\":" shared                                                                 \
  ",\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"                                      \
  "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,"              \
  "\"isTccDriver\":0,"                                                                                       \
  "\"supportCoopLaunch\":1,\"smClockRateKHz\":" sm_khz ",\"memClockRateKHz\":" memory_khz                    \
  ",\"l2CacheSize\":" l2 ",\"totalGlobalMem\":" memory "}"

#define DEVICE_A100                                                                                          \
  DEVICE("NVIDIA A100-SXM4-80GB", "800", "108", "166912", "1410000", "1593000", "41943040", "84974239744")
#define DEVICE_H200                                                                                          \
  DEVICE("NVIDIA H200", "900", "132", "232448", "1980000", "3201000", "62914560", "150110011392")

#endif
