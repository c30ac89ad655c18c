/* Streams, events and graphs. Work is kept back until somebody waits for it: whoever reads too early sees old
 * values, every time. */
#include "streams.h"

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

#include "emulation.h"

using work = std::function<void()>;

struct CUgraph_st {
  std::vector<work> nodes;
};
struct CUgraphExec_st {
  std::vector<work> nodes;
};
struct CUstream_st {
  int device = 0;
  std::deque<work> queue;
  size_t issued = 0, done = 0;
  CUgraph_st *recording = nullptr;
  bool broken = false; /* something was called that must not be recorded */
};
struct CUevent_st {
  int device = 0;
  CUstream_st *stream = nullptr;
  size_t position = 0;
  std::shared_ptr<double> ms; /* when the stream came past it; of events that take the time */
};

namespace {
std::vector<CUstream_st *> streams;
size_t calls_until_lost = SIZE_MAX;
thread_local int n_recording; /* streams that this thread records */
thread_local int device;
thread_local cudaError_t last_error = cudaSuccess;

void drain(CUstream_st *stream, size_t position) {
  while (stream->done < position) {
    work next = std::move(stream->queue.front());
    stream->queue.pop_front();
    emulation::begin_access(stream->device);
    if (calls_until_lost) next();
    emulation_end_access();
    stream->done++;
  }
}

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

cudaError_t refuse_recording(CUstream_st *stream) {
  stream->broken = true;
  return emulation::set_error(cudaErrorStreamCaptureUnsupported);
}
} // namespace

namespace emulation {
std::recursive_mutex &entrance() {
  static std::recursive_mutex mutex;
  return mutex;
}

cudaError_t lost() {
  if (calls_until_lost && calls_until_lost != SIZE_MAX) calls_until_lost--;
  return calls_until_lost ? cudaSuccess : set_error(cudaErrorLaunchFailure);
}

int current_device() { return device; }

cudaError_t set_error(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t enqueue(cudaStream_t stream, work item) {
  ENTER;
  if (!stream) die("work on the default stream, which would wait for no stream of ours");
  if (stream->recording) {
    stream->recording->nodes.push_back(std::move(item));
  } else {
    stream->queue.push_back(std::move(item));
    stream->issued++;
  }
  return cudaSuccess;
}

int device_of(cudaStream_t stream) { return stream ? stream->device : 0; }

void drain_all() {
  for (CUstream_st *stream : streams) drain(stream, stream->issued);
}

bool capturing() { return n_recording > 0; }

void die(const char *what) {
  fprintf(stderr, "CUDA emulation: %s\n", what);
  abort();
}
} // namespace emulation

extern "C" {

cudaError_t emulation_enqueue(cudaStream_t stream, void (*call)(void *), const void *arguments,
                              size_t bytes) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (stream->device != device) return emulation::set_error(cudaErrorInvalidResourceHandle);
  std::vector<char> copied((const char *)arguments, (const char *)arguments + bytes);
  return emulation::enqueue(stream, [call, copied]() mutable { call(copied.data()); });
}

void emulation_lose_device_after(size_t calls) { calls_until_lost = calls == SIZE_MAX ? calls : calls + 1; }

cudaError_t cudaSetDevice(int chosen) {
  int count = 0;
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (cudaError_t error = cudaGetDeviceCount(&count)) return error;
  if (chosen < 0 || chosen >= count) return emulation::set_error(cudaErrorInvalidDevice);
  device = chosen;
  return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error) {
  switch (error) {
  case cudaSuccess: return "no error";
  case cudaErrorMemoryAllocation: return "out of memory";
  case cudaErrorInvalidConfiguration: return "invalid configuration argument";
  case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
  case cudaErrorNoDevice: return "no CUDA-capable device is detected";
  case cudaErrorInvalidDevice: return "invalid device ordinal";
  case cudaErrorInvalidResourceHandle: return "invalid resource handle";
  case cudaErrorLaunchFailure: return "unspecified launch failure";
  case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
  case cudaErrorStreamCaptureIsolation: return "dependency created on uncaptured work in another stream";
  default: return "invalid argument";
  }
}

cudaError_t cudaGetLastError(void) {
  cudaError_t error = last_error;
  last_error = cudaSuccess;
  return error;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  *stream = new CUstream_st{.device = device};
  streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  ENTER;
  drain(stream, stream->issued);
  std::erase(streams, stream);
  delete stream;
  return emulation::lost();
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (stream->recording) return refuse_recording(stream);
  drain(stream, stream->issued);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (!event->stream || event->stream == stream) return cudaSuccess;
  if (stream->recording) {
    stream->broken = true;
    return emulation::set_error(cudaErrorStreamCaptureIsolation);
  }
  CUstream_st *other = event->stream;
  size_t position = event->position;
  return emulation::enqueue(stream, [other, position] { drain(other, position); });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  *event = new CUevent_st{.device = device};
  if (!(flags & cudaEventDisableTiming)) (*event)->ms = std::make_shared<double>(-1);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  ENTER;
  delete event;
  return emulation::lost();
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (stream->recording) return refuse_recording(stream); /* events stay outside of our graphs */
  if (event->device != stream->device) return emulation::set_error(cudaErrorInvalidResourceHandle);
  if (event->ms) {
    event->ms = std::make_shared<double>(-1);
    emulation::enqueue(stream, [ms = event->ms] { *ms = now_ms(); });
  }
  event->stream = stream;
  event->position = stream->issued;
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (event->stream) drain(event->stream, event->position);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (!start->ms || !end->ms || !start->stream || !end->stream)
    return emulation::set_error(cudaErrorInvalidResourceHandle);
  if (*start->ms < 0 || *end->ms < 0) return emulation::set_error(cudaErrorNotReady);
  *ms = (float)(*end->ms - *start->ms);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, enum cudaStreamCaptureMode) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  if (stream->recording) return refuse_recording(stream);
  stream->recording = new CUgraph_st;
  stream->broken = false;
  n_recording++;
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
  ENTER;
  const cudaError_t lost = emulation::lost();
  *graph = nullptr;
  if (!stream->recording) return emulation::set_error(cudaErrorInvalidValue);
  n_recording--;
  if (lost || stream->broken) {
    delete stream->recording;
  } else {
    *graph = stream->recording;
  }
  stream->recording = nullptr;
  if (lost) return lost;
  return stream->broken ? emulation::set_error(cudaErrorStreamCaptureUnsupported) : cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  *exec = new CUgraphExec_st{graph->nodes};
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  ENTER;
  delete graph;
  return emulation::lost();
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
  ENTER;
  if (cudaError_t error = emulation::lost()) return error;
  for (const work &node : exec->nodes) emulation::enqueue(stream, node);
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  ENTER;
  delete exec;
  return emulation::lost();
}

} // extern "C"
