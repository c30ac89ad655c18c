/* What the CPU kernels share: the device, layouts as oneDNN sees them, and oneDNN primitives with the
 * reorders they need.
 *
 * Numbers are float32. Threads are OpenMP's, one runtime for oneDNN, OpenBLAS and our own loops. With the
 * same number of threads every kernel gives the same bytes on every run; reductions of our own do not depend
 * on the number at all. */
#ifndef NN_CPU_H
#define NN_CPU_H

#include <oneapi/dnnl/dnnl.h>

#include "nn/engine.h"

struct cpu {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_attr_t user_scratch; /* scratchpads are ours, in the arena */
  int threads;
};

/* Function versions for the instruction sets that matter; the loader picks one (the build stays baseline
 * x86-64). */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)
#define CPU_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CPU_CLONES
#endif

/* oneDNN's status as ours; `what` names the failed call. */
enum status cpu_check(dnnl_status_t status, const char *what);

/* --- Layouts --- */

dnnl_memory_desc_t cpu_tag_desc(struct shape shape, dnnl_format_tag_t tag);
dnnl_memory_desc_t cpu_desc(struct shape shape, struct layout layout);
size_t cpu_bytes(const struct shape *shape, struct layout layout);

/* The layout that a description chosen by oneDNN has, if it is one of ours (row-major, by 8 or 16 channels,
 * NHWC). */
bool cpu_layout_of(const dnnl_memory_desc_t *desc, struct shape shape, struct layout *layout);

/* Copies between two layouts, allocating as it likes (planning and transfers only). */
enum status cpu_reorder(struct cpu *cpu, const dnnl_memory_desc_t *from_desc, const void *from,
                        const dnnl_memory_desc_t *to_desc, void *to);

/* A tensor [N,C,H,W] or [N,C] seen as runs of neighbouring numbers: run (n, block, i), i < runs, starts at
 * n*row + block*block_stride + i*run_stride. Number j of a run belongs to channel block*lanes + j % lanes.
 * lanes is 1, 8, or 16 (the last block of rows [.., C] may be narrower than 16: its runs are `tail` long). */
struct cpu_view {
  int64_t rows, channels, blocks, lanes;
  int64_t row, block_stride, runs, run_stride, run_length, tail;
  int64_t area;
};
struct cpu_view cpu_view(struct shape shape, struct layout layout);

static inline int64_t cpu_run_length(const struct cpu_view *v, int64_t block) {
  return block == v->blocks - 1 ? v->tail : v->run_length;
}

/* For kernels that read any layout of ours: an input that nobody has laid out becomes row-major. Errors:
 * E_DEVICE for layouts of oneDNN's own (convolution weights used as data). */
enum status cpu_settle(struct tensor *t);

/* --- Primitives --- */

/* A copy between two layouts that is prepared once; empty, and nothing to run, when they are the same. */
struct cpu_copy {
  dnnl_primitive_t reorder;
  dnnl_memory_desc_t from_desc, to_desc;
  dnnl_memory_t from, to;
};
enum status cpu_copy_make(struct cpu_copy *copy, struct cpu *cpu, dnnl_memory_desc_t from,
                          dnnl_memory_desc_t to);
enum status cpu_copy_bind(struct cpu_copy *copy, struct cpu *cpu, void *from, void *to);
enum status cpu_copy_run(struct cpu_copy *copy, struct cpu *cpu);
void cpu_copy_free(struct cpu_copy *copy);

enum { CPU_MAX_ARGS = 6 };

/* One primitive. An argument whose tensor is laid out otherwise passes through scratch, with a copy before
 * (inputs) or after (outputs). */
struct cpu_call {
  dnnl_primitive_t primitive;
  int n_args;
  struct cpu_arg {
    int id; /* DNNL_ARG_* */
    bool output;
    size_t offset; /* in scratch, when copied */
    dnnl_memory_desc_t inner;
    dnnl_memory_t memory;
    struct cpu_copy copy;
  } args[CPU_MAX_ARGS];
  size_t scratch_bytes, pad_offset;
  dnnl_memory_desc_t pad_desc;
  dnnl_memory_t pad;
};

/* Takes over the primitive descriptor, also on failure. */
enum status cpu_call_make(struct cpu_call *call, dnnl_primitive_desc_t pd);
/* Adds an argument: `outer` is how the tensor lies in memory, `inner` how the primitive wants it. */
enum status cpu_call_arg(struct cpu_call *call, struct cpu *cpu, int id, bool output,
                         dnnl_memory_desc_t outer, dnnl_memory_desc_t inner);
/* Final addresses, one per argument in the order they were added, and scratch_bytes of scratch. */
enum status cpu_call_bind(struct cpu_call *call, struct cpu *cpu, void *const *addresses, void *scratch);
enum status cpu_call_run(struct cpu_call *call, struct cpu *cpu);
void cpu_call_free(struct cpu_call *call);

#endif
