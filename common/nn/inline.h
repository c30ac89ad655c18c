/* Arithmetic of one element that the CPU's loops and CUDA's kernels share: NN_INLINE functions. */
#ifndef NN_INLINE_H
#define NN_INLINE_H

#ifdef __CUDACC__
#define NN_INLINE static __host__ __device__ inline
#else
#define NN_INLINE static inline
#endif

#endif
