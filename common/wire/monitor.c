#include "wire/monitor.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <zmq.h>

enum status monitor_open(struct monitor *monitor, void *context) {
  static atomic_ulong opened; /* a name is never used twice in a process */
  snprintf(monitor->name, sizeof monitor->name, "inproc://monitor-%lu", atomic_fetch_add(&opened, 1));
  monitor->socket = zmq_socket(context, ZMQ_PAIR);
  if (monitor->socket && zmq_connect(monitor->socket, monitor->name) == 0) return OK;
  enum status st = fail(E_IO, "cannot watch connections: %s", zmq_strerror(errno));
  monitor_close(monitor);
  return st;
}

void monitor_close(struct monitor *monitor) {
  if (monitor->socket) zmq_close(monitor->socket);
  monitor->socket = NULL;
}

enum status monitor_start(struct monitor *monitor, void *socket, int events) {
  if (zmq_socket_monitor(socket, monitor->name, events) == 0) return OK;
  return fail(E_IO, "cannot watch connections: %s", zmq_strerror(errno));
}

void monitor_stop(void *socket) { zmq_socket_monitor(socket, NULL, 0); }

/* Two frames: event and value in the machine's own byte order; the endpoint. */
bool monitor_next(struct monitor *monitor, struct monitor_event *out) {
  uint8_t head[8];
  int n = zmq_recv(monitor->socket, head, sizeof head, ZMQ_DONTWAIT);
  if (n < 6) return false;
  memcpy(&out->event, head, sizeof out->event);
  memcpy(&out->value, head + 2, sizeof out->value);
  n = zmq_recv(monitor->socket, out->endpoint, ENDPOINT_MAX, 0);
  if (n < 0) return false;
  out->endpoint[n < ENDPOINT_MAX ? n : ENDPOINT_MAX] = '\0';
  return true;
}
