#include "event.h"

enum {
  EVENT_WALL_TIME = 1,
  EVENT_STEP = 2,
  EVENT_FILE_VERSION = 3,
  EVENT_SUMMARY = 5,
  EVENT_SESSION_LOG = 7
};
enum { SESSION_LOG_STATUS = 1, STATUS_START = 1 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE = 2, VALUE_IMAGE = 4 };
enum { IMAGE_HEIGHT = 1, IMAGE_WIDTH = 2, IMAGE_COLOURSPACE = 3, IMAGE_BYTES = 4, COLOURSPACE_RGB = 3 };

void event_version(struct pb *out, double wall_time) {
  pb_double(out, EVENT_WALL_TIME, wall_time);
  pb_string(out, EVENT_FILE_VERSION, "brain.Event:2");
}

static void begin(struct pb *out, double wall_time, int64_t step) {
  pb_double(out, EVENT_WALL_TIME, wall_time);
  pb_int(out, EVENT_STEP, step);
}

void event_start(struct pb *out, double wall_time, int64_t step) {
  struct pb log = {0};
  pb_int(&log, SESSION_LOG_STATUS, STATUS_START);
  begin(out, wall_time, step);
  pb_message_take(out, EVENT_SESSION_LOG, &log);
}

void event_scalars(struct pb *out, double wall_time, int64_t step, const struct event_scalar *scalars,
                   size_t n) {
  struct pb summary = {0};
  for (size_t i = 0; i < n; i++) {
    struct pb value = {0};
    pb_string(&value, VALUE_TAG, scalars[i].tag);
    pb_float(&value, VALUE_SIMPLE, (float)scalars[i].value);
    pb_message_take(&summary, SUMMARY_VALUE, &value);
  }
  begin(out, wall_time, step);
  pb_message_take(out, EVENT_SUMMARY, &summary);
}

void event_image(struct pb *out, double wall_time, int64_t step, const struct event_image *image) {
  struct pb picture = {0}, value = {0}, summary = {0};
  pb_int(&picture, IMAGE_HEIGHT, image->height);
  pb_int(&picture, IMAGE_WIDTH, image->width);
  pb_int(&picture, IMAGE_COLOURSPACE, COLOURSPACE_RGB);
  pb_bytes(&picture, IMAGE_BYTES, image->png, image->size);
  pb_string(&value, VALUE_TAG, image->tag);
  pb_message_take(&value, VALUE_IMAGE, &picture);
  pb_message_take(&summary, SUMMARY_VALUE, &value);
  begin(out, wall_time, step);
  pb_message_take(out, EVENT_SUMMARY, &summary);
}
