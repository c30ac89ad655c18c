/* Inside the engine: what op, kernel and backend authors see of a graph. Model code includes graph.h and op
 * headers only.
 *
 * An op (OP/OP.c) checks shapes and appends a node. A kernel (OP/OP_BACKEND.c) computes it on one backend; it
 * is found by (op, backend) in the generated registry. A backend (backends/BACKEND.c) owns memory, layouts
 * and transfers.
 *
 * Life of a kernel: `prepare` once per node, in graph order, when the layouts of its inputs are known: it
 * chooses its output's layout and says which memory it needs; `bind` once, when all addresses are final; then
 * forward and backward each step on the same addresses, without allocation and without waiting for the
 * device. */
#ifndef NN_ENGINE_H
#define NN_ENGINE_H

#include "nn/cost.h"
#include "nn/graph.h"

/* What one number of a tensor is, where it is not the backend's ordinary one. */
enum element { ELEMENT_OWN, ELEMENT_BF16 };

/* How a backend orders one tensor in memory.
 * block 0: row-major. block b > 0: [N, ceil(C/b), H, W, b], padded channels zero (b >= C is NHWC).
 * opaque: the backend's own description instead, kept alive by whoever fixed the layout. */
struct layout {
  int64_t block;
  const void *opaque;
  enum element element;
};

static inline bool layout_equal(struct layout a, struct layout b) {
  return a.block == b.block && a.opaque == b.opaque && a.element == b.element;
}

/* A tensor's data or gradient once more, in a form that a `prepare` asked for; bytes 0: none did. That of the data is there from
 * the beginning of a step to the last kernel that reads it, that of the gradient from its first writer to the end of the
 * backward pass; the backend copies from the one and into the gradient. */
struct twin {
  enum element element;
  bool itself; /* somebody asked for the form that the tensor has */
  size_t bytes;
  void *at;
};

enum tensor_role { TENSOR_INPUT, TENSOR_PARAM, TENSOR_BUFFER, TENSOR_RESULT };

struct tensor {
  enum tensor_role role;
  char *name; /* NULL for unnamed results */
  bool output;
  bool wants_grad;                /* a parameter lies before it and the loss behind it */
  int gradients;                  /* how many of its consumers give it one */
  bool laid_out;                  /* layout is final */
  const struct tensor *shadow_of; /* graph_shadow: whose starting value and layout it has; NULL: none */
  struct shape shape;
  struct layout layout;
  struct init init;
  size_t bytes; /* of data, and of grad; set when planned */
  void *data, *grad;
  struct twin data_twin, grad_twin;
};

struct node;

/* Fixed by the op, whatever the backend. */
struct op {
  const char *name;
  uint64_t constant;                           /* bit i: input i is never differentiated */
  struct flops (*flops)(const struct node *n); /* NULL: it only moves numbers */
};

struct node {
  const struct op *op;
  const struct kernel *kernel;
  void *attr; /* the op's descriptor, copied from the builder */
  int n_in;
  struct tensor **in;
  struct tensor *out;

  /* Written by prepare. */
  void *state;
  uint64_t keep_in; /* bit i: backward reads in[i]->data */
  bool keep_out;    /* backward reads out->data */
  size_t saved_bytes, forward_scratch, backward_scratch;
  size_t constant_bytes; /* written by bind, kept for good */

  /* Final at bind. saved lives from forward to backward; the scratches only during their call. */
  void *saved, *scratch_f, *scratch_b;
  void *constant;
  void **in_grad;   /* where backward writes the gradient of input i; NULL: not wanted */
  bool *accumulate; /* += instead of =; set only for kernels that say `accumulates` */
  void **merge;     /* in_grad[i] is a temporary that the engine adds to in[i]->grad afterwards */
};

/* Whether backward computes the gradient of input i; known when planned. */
static inline bool node_differentiates(const struct node *n, int i) {
  return n->out->wants_grad && n->in[i]->wants_grad && !(n->op->constant >> i & 1);
}

/* How many of its inputs that is. */
static inline int node_gradients(const struct node *n) {
  int count = 0;
  for (int i = 0; i < n->n_in; i++) count += node_differentiates(n, i);
  return count;
}

/* Told of every kernel call, for profiles; forward, backward, or the
 * merging of gradients behind a backward. */
enum node_phase { NODE_FORWARD, NODE_BACKWARD, NODE_MERGE };
typedef void node_observer(void *context, const struct node *node, enum node_phase phase,
                           int64_t nanoseconds);

/* What one step runs under. */
struct run {
  void *device; /* the backend's context */
  enum graph_mode mode;
  double bn_momentum;
  node_observer *observer; /* NULL: none */
  void *observer_context;
};

/* A run of memory that an optimiser or an average updates: parameters, their gradients and every state, in the
 * same order. */
enum { UPDATE_STATES = 4, UPDATE_ARGS = 10 };
struct update {
  void *theta;
  const void *grad;
  void *state[UPDATE_STATES];
  size_t bytes;
  double arg[UPDATE_ARGS];
};

struct kernel {
  const char *op, *backend;
  bool accumulates; /* backward honours node->accumulate */
  enum status (*prepare)(struct node *node, const struct run *run);
  enum status (*bind)(struct node *node, const struct run *run); /* optional */
  enum status (*forward)(struct node *node, const struct run *run);
  enum status (*backward)(struct node *node, const struct run *run);
  void (*release)(struct node *node); /* frees node->state, also half-made; optional */

  /* Optimisers and averages only: one run, or, where a call costs much, all of a step's. */
  enum status (*update)(void *device, void *theta, const void *grad, void *const *state, size_t bytes,
                        const double *arg);
  enum status (*update_all)(void *device, const struct update *updates, size_t n);

  /* Of what is no node of a graph: a table of functions, as its own header has it; alone. */
  const void *algorithm;
};
enum status kernel_update(const struct kernel *kernel, void *device, const struct update *updates, size_t n);

struct backend {
  const char *name;
  size_t element; /* bytes of one ordinary number on the device */
  /* With plan_only nothing is allocated, and where the device can be described it need not be there. */
  enum status (*open)(void **device, const struct graph_config *config);
  void (*close)(void *device);
  void (*enter)(void *device); /* before the calling thread asks anything of the device */
  /* How a tensor lies where no kernel says otherwise; NULL: row-major. With it every tensor is laid out
   * before the first `prepare`, which may still change its output's layout. */
  struct layout (*layout)(void *device, const struct tensor *t);
  enum status (*alloc)(void *device, size_t bytes, void **memory); /* zeroed, aligned for any kernel */
  void (*release)(void *device, void *memory);
  size_t (*bytes)(const struct shape *shape, struct layout layout); /* a multiple of element */
  /* Between row-major host numbers and a tensor's data (or gradient) at `at`. */
  enum status (*upload)(void *device, const struct tensor *t, void *at, const void *host, bool host_f64);
  enum status (*download)(void *device, const struct tensor *t, const void *at, void *host, bool host_f64);
  enum status (*pixels)(void *device, const struct tensor *t, const uint8_t *nhwc, const double mean[3],
                        const double std[3]);
  /* to += from, two that lie as t does */
  enum status (*add)(void *device, const struct tensor *t, void *to, const void *from);

  /* The rest is for backends with a device of their own; NULL otherwise. */
  const char *(*hardware)(void *device, bool *described); /* graph_hardware */
  /* What it takes beside the graph's tensors, once images of so many bytes were written. */
  struct own_memory (*own_memory)(size_t image_bytes);
  /* They compute while the host goes on. drain: before nodes and memory go, on any thread; waits for what uses
   * them, says nothing of what became of it. */
  void (*drain)(void *device);
  enum status (*forward_begin)(void *device, const struct run *run); /* at the start of every forward pass */
  enum status (*backward_end)(void *device);                         /* at the end of every backward pass */
  enum status (*wait)(void *device); /* until all that was asked of it is done */
  /* Around a step (graph_step). replays: the step is one that was recorded, and no kernel of a node is called;
   * what else is called only hands over its arguments. status: how the step's calls went. */
  enum status (*step_begin)(void *device, bool *replays);
  enum status (*step_end)(void *device, enum status status);
  /* Numbers of the host's, on their way since send until they are taken; one of SEND_SLOTS at a time. */
  enum status (*send)(void *device, const struct tensor *const *from, int n, int slot);
  enum status (*take)(void *device, double *to, int n, int slot);
};
enum { SEND_SLOTS = 2, SEND_NUMBERS = 16 };

/* The backend that config->device names, NULL on failure, and the device itself, which the backend closes. Errors: E_ARG
 * (unknown; lists them), those of its open. */
enum status backend_open(const struct backend **backend, void **device, const struct graph_config *config);

/* Looks up the generated registries. NULL if there is none. */
const struct backend *backend_find(const char *name, size_t length);
const struct kernel *kernel_find(const char *op, const char *backend);

/* --- For op builders ------------------------------------------------------------------------------------ */

/* Appends a node and returns its output; attr is copied. After an error it still returns a value of that
 * shape, so that building can go on. */
struct value graph_node(struct graph *g, const struct op *op, const void *attr, size_t attr_size,
                        const struct value *in, int n_in, struct shape out);

/* Like graph_fail(E_SHAPE) with "op: " in front and the shapes behind. */
void graph_fail_shapes(struct graph *g, const char *op, const char *what, const struct value *in, int n_in);

enum graph_mode graph_mode_of(const struct graph *g);

static inline struct shape shape_1(int64_t a) { return (struct shape){1, {a}}; }
static inline struct shape shape_2(int64_t a, int64_t b) { return (struct shape){2, {a, b}}; }
static inline struct shape shape_4(int64_t n, int64_t c, int64_t h, int64_t w) {
  return (struct shape){4, {n, c, h, w}};
}
bool shape_equal(struct shape a, struct shape b);
void shape_text(struct shape s, char text[64]);

/* --- For kernels ---------------------------------------------------------------------------------------- */

/* Makes an input, parameter or buffer that nobody has laid out yet take this layout; true if t has it now. */
bool tensor_lay_out(struct tensor *t, struct layout layout);

/* --- For optimisers, tests and profiles ----------------------------------------------------------------- */

/* graph_plan for a root of any shape: instead of 1, the caller writes graph_gradient(root) before
 * graph_backward, which then gives the vector-Jacobian product. */
enum status graph_plan_vjp(struct graph *g, struct value root);

/* The parameters that have gradients: one block of memory, their gradients another in the same order. */
struct param_block {
  const struct backend *backend;
  void *device;
  char *theta, *grad;
  size_t bytes;
};
struct param_block graph_param_block(const struct graph *g);
void graph_observe(struct graph *g, node_observer *observer, void *context);
struct node_cost node_cost_of(const struct graph *g, const struct node *n);
const struct tensor *graph_tensor_of(const struct graph *g, struct value v); /* NULL: no such value */

#endif
