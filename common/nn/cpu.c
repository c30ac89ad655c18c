#include "nn/cpu.h"

#include <assert.h>
#include <string.h>

enum { SCRATCH_ALIGNMENT = 256 };

enum status cpu_check(dnnl_status_t status, const char *what) {
  if (status == dnnl_success) return OK;
  if (status == dnnl_out_of_memory) return fail(E_MEMORY, "oneDNN: out of memory in %s", what);
  return fail(E_DEVICE, "oneDNN: %s failed with status %d", what, (int)status);
}

/* --- Layouts --- */

dnnl_memory_desc_t cpu_tag_desc(struct shape shape, dnnl_format_tag_t tag) {
  dnnl_memory_desc_t desc;
  dnnl_dims_t dims = {0};
  for (int i = 0; i < shape.n_dims; i++) dims[i] = shape.dim[i];
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(&desc, shape.n_dims, dims, dnnl_f32, tag);
  assert(status == dnnl_success);
  (void)status;
  return desc;
}

dnnl_memory_desc_t cpu_desc(struct shape shape, struct layout layout) {
  if (layout.opaque) return *(const dnnl_memory_desc_t *)layout.opaque;
  static const dnnl_format_tag_t row_major[] = {dnnl_a, dnnl_a, dnnl_ab, dnnl_abc, dnnl_abcd};
  dnnl_format_tag_t tag = row_major[shape.n_dims];
  if (shape.n_dims == 4 && layout.block) {
    tag = layout.block == 16 ? dnnl_aBcd16b : layout.block == 8 ? dnnl_aBcd8b : dnnl_acdb;
  }
  return cpu_tag_desc(shape, tag);
}

size_t cpu_bytes(const struct shape *shape, struct layout layout) {
  dnnl_memory_desc_t desc = cpu_desc(*shape, layout);
  return dnnl_memory_desc_get_size(&desc);
}

bool cpu_layout_of(const dnnl_memory_desc_t *desc, struct shape shape, struct layout *layout) {
  const int64_t blocks[] = {0, 16, 8, shape.dim[1]};
  for (int i = 0; i < 4; i++) {
    dnnl_memory_desc_t ours = cpu_desc(shape, (struct layout){blocks[i], NULL});
    *layout = (struct layout){blocks[i], NULL};
    if (dnnl_memory_desc_equal(&ours, desc)) return true;
  }
  *layout = (struct layout){0, NULL};
  return false;
}

struct cpu_view cpu_view(struct shape shape, struct layout layout) {
  int64_t c = shape.dim[1], area = shape.n_dims == 4 ? shape.dim[2] * shape.dim[3] : 1;
  struct cpu_view v = {.rows = shape.dim[0], .channels = c, .area = area};
  int64_t block = shape.n_dims == 2 ? c : layout.block;
  if (block == 0 || (shape.n_dims == 4 && (block == 8 || block == 16))) { /* planes of `lanes` channels */
    v.lanes = block ? block : 1;
    v.blocks = (c + v.lanes - 1) / v.lanes;
    v.run_length = v.tail = v.block_stride = area * v.lanes;
    v.row = v.blocks * v.block_stride;
    v.runs = 1;
    return v;
  }
  v.lanes = v.run_length = v.block_stride = 16; /* rows of channels */
  v.blocks = (c + 15) / 16;
  v.tail = c - 16 * (v.blocks - 1);
  v.row = area * c;
  v.runs = area;
  v.run_stride = c;
  return v;
}

enum status cpu_settle(struct tensor *t) {
  tensor_lay_out(t, (struct layout){0, NULL});
  if (!t->layout.opaque) return OK;
  return fail(E_DEVICE, "the cpu backend reads the weights of a convolution (%s) in convolutions only",
              t->name);
}

/* --- Primitives --- */

enum status cpu_copy_make(struct cpu_copy *copy, struct cpu *cpu, dnnl_memory_desc_t from,
                          dnnl_memory_desc_t to) {
  copy->from_desc = from;
  copy->to_desc = to;
  if (dnnl_memory_desc_equal(&from, &to)) return OK;
  dnnl_primitive_desc_t pd = NULL;
  enum status st = cpu_check(
      dnnl_reorder_primitive_desc_create(&pd, &from, cpu->engine, &to, cpu->engine, NULL), "reorder");
  if (st == OK) st = cpu_check(dnnl_primitive_create(&copy->reorder, pd), "reorder");
  if (pd) dnnl_primitive_desc_destroy(pd);
  return st;
}

enum status cpu_copy_bind(struct cpu_copy *copy, struct cpu *cpu, void *from, void *to) {
  if (!copy->reorder) return OK;
  enum status st =
      cpu_check(dnnl_memory_create(&copy->from, &copy->from_desc, cpu->engine, from), "memory_create");
  if (st == OK)
    st = cpu_check(dnnl_memory_create(&copy->to, &copy->to_desc, cpu->engine, to), "memory_create");
  return st;
}

enum status cpu_copy_run(struct cpu_copy *copy, struct cpu *cpu) {
  if (!copy->reorder) return OK;
  dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, copy->from}, {DNNL_ARG_TO, copy->to}};
  return cpu_check(dnnl_primitive_execute(copy->reorder, cpu->stream, 2, args), "reorder");
}

void cpu_copy_free(struct cpu_copy *copy) {
  if (copy->from) dnnl_memory_destroy(copy->from);
  if (copy->to) dnnl_memory_destroy(copy->to);
  if (copy->reorder) dnnl_primitive_destroy(copy->reorder);
}

enum status cpu_reorder(struct cpu *cpu, const dnnl_memory_desc_t *from_desc, const void *from,
                        const dnnl_memory_desc_t *to_desc, void *to) {
  if (dnnl_memory_desc_equal(from_desc, to_desc)) {
    memcpy(to, from, dnnl_memory_desc_get_size(to_desc));
    return OK;
  }
  struct cpu_copy copy = {0};
  enum status st = cpu_copy_make(&copy, cpu, *from_desc, *to_desc);
  if (st == OK) st = cpu_copy_bind(&copy, cpu, (void *)(uintptr_t)from, to);
  if (st == OK) st = cpu_copy_run(&copy, cpu);
  if (st == OK) st = cpu_check(dnnl_stream_wait(cpu->stream), "reorder");
  cpu_copy_free(&copy);
  return st;
}

static size_t take_scratch(struct cpu_call *call, size_t bytes) {
  size_t at = call->scratch_bytes;
  call->scratch_bytes += (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
  return at;
}

enum status cpu_call_make(struct cpu_call *call, dnnl_primitive_desc_t pd) {
  enum status st = cpu_check(dnnl_primitive_create(&call->primitive, pd), "primitive_create");
  const dnnl_memory_desc_t *pad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
  if (pad) call->pad_desc = *pad;
  call->pad_offset = take_scratch(call, pad ? dnnl_memory_desc_get_size(pad) : 0);
  dnnl_primitive_desc_destroy(pd);
  return st;
}

enum status cpu_call_arg(struct cpu_call *call, struct cpu *cpu, int id, bool output,
                         dnnl_memory_desc_t outer, dnnl_memory_desc_t inner) {
  assert(call->n_args < CPU_MAX_ARGS);
  struct cpu_arg *a = &call->args[call->n_args++];
  *a = (struct cpu_arg){.id = id, .output = output, .inner = inner};
  enum status st = cpu_copy_make(&a->copy, cpu, output ? inner : outer, output ? outer : inner);
  if (a->copy.reorder) a->offset = take_scratch(call, dnnl_memory_desc_get_size(&inner));
  return st;
}

enum status cpu_call_bind(struct cpu_call *call, struct cpu *cpu, void *const *addresses, void *scratch) {
  enum status st = OK;
  for (int i = 0; i < call->n_args && st == OK; i++) {
    struct cpu_arg *a = &call->args[i];
    void *inner = a->copy.reorder ? (char *)scratch + a->offset : addresses[i];
    st = cpu_check(dnnl_memory_create(&a->memory, &a->inner, cpu->engine, inner), "memory_create");
    if (st == OK)
      st = cpu_copy_bind(&a->copy, cpu, a->output ? inner : addresses[i], a->output ? addresses[i] : inner);
  }
  if (st == OK && call->pad_desc.ndims) {
    void *pad = (char *)scratch + call->pad_offset;
    st = cpu_check(dnnl_memory_create(&call->pad, &call->pad_desc, cpu->engine, pad), "memory_create");
  }
  return st;
}

enum status cpu_call_run(struct cpu_call *call, struct cpu *cpu) {
  dnnl_exec_arg_t exec[CPU_MAX_ARGS + 1];
  int n = 0;
  enum status st = OK;
  for (int i = 0; i < call->n_args; i++) {
    struct cpu_arg *a = &call->args[i];
    if (!a->output) TRY(cpu_copy_run(&a->copy, cpu));
    exec[n++] = (dnnl_exec_arg_t){a->id, a->memory};
  }
  if (call->pad) exec[n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, call->pad};
  TRY(cpu_check(dnnl_primitive_execute(call->primitive, cpu->stream, n, exec), "primitive_execute"));
  for (int i = 0; i < call->n_args; i++) {
    if (call->args[i].output) TRY(cpu_copy_run(&call->args[i].copy, cpu));
  }
out:
  return st;
}

void cpu_call_free(struct cpu_call *call) {
  for (int i = 0; i < call->n_args; i++) {
    if (call->args[i].memory) dnnl_memory_destroy(call->args[i].memory);
    cpu_copy_free(&call->args[i].copy);
  }
  if (call->pad) dnnl_memory_destroy(call->pad);
  if (call->primitive) dnnl_primitive_destroy(call->primitive);
}
