/* What happens to a socket's connections: zmq_socket_monitor with the strings attached. One thread reads. */
#ifndef WIRE_MONITOR_H
#define WIRE_MONITOR_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

struct monitor {
  void *socket; /* to poll; NULL: closed */
  char name[64];
};

struct monitor_event {
  uint16_t event; /* ZMQ_EVENT_... */
  uint32_t value;
  char endpoint[ENDPOINT_MAX + 1];
};

/* E_IO. */
enum status monitor_open(struct monitor *monitor, void *context);
void monitor_close(struct monitor *monitor); /* accepts a zeroed one */

/* Reports `events` of `socket` from now on; from the thread that owns it. A monitor that nobody reads, or that is
 * closed before monitor_stop, blocks the connections it watches. E_IO. */
enum status monitor_start(struct monitor *monitor, void *socket, int events);
void monitor_stop(void *socket); /* before the socket or the monitor is closed */

/* False: nothing more has happened. */
bool monitor_next(struct monitor *monitor, struct monitor_event *out);

#endif
