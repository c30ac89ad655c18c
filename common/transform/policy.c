/* Reading a policy. Everything is checked here, so that sampling and rendering need not fail on a policy's
 * account. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transform/policy_impl.h"

static const char *const groups[] = {"pair", "image"};

static enum status read_pair(const json_t *value, double *low, double *high) {
  if (json_is_number(value)) {
    *low = *high = json_number_value(value);
    return OK;
  }
  const json_t *a = json_array_get(value, 0), *b = json_array_get(value, 1);
  if (json_array_size(value) != 2 || !json_is_number(a) || !json_is_number(b))
    return fail(E_ARG, "must be a number or [low, high]");
  *low = json_number_value(a);
  *high = json_number_value(b);
  return OK;
}

static enum status read_param(const struct op_param *param, const json_t *value, double *low, double *high) {
  if (param->kind == PARAM_CHOICE) {
    int i = json_is_string(value) ? op_choice(param->choices, json_string_value(value)) : -1;
    if (i < 0) return fail(E_ARG, "must be one of \"%s\"", param->choices);
    *low = *high = i;
    return OK;
  }
  if (param->kind == PARAM_RANGE) {
    enum status st = read_pair(value, low, high);
    if (st != OK) return st;
  } else if (json_is_number(value)) {
    *low = *high = json_number_value(value);
  } else {
    return fail(E_ARG, "must be a number");
  }
  return op_param_check(param, *low, *high);
}

static int find_param(const struct transform_op *op, const char *key) {
  for (int i = 0; op->params && op->params[i].name; i++)
    if (op->params[i].kind != PARAM_SIZE && strcmp(op->params[i].name, key) == 0) return i;
  return -1;
}

static enum status unknown_key(const struct transform_op *op, const char *key) {
  char list[256] = "op, group";
  size_t used = strlen(list);
  if (!op->opens) used += (size_t)snprintf(list + used, sizeof list - used, ", p");
  for (const struct op_param *p = op->params; p && p->name && used < sizeof list; p++)
    if (p->kind != PARAM_SIZE) used += (size_t)snprintf(list + used, sizeof list - used, ", %s", p->name);
  return fail(E_ARG, "%s has no key '%.64s'; its keys are %s", op->name, key, list);
}

/* One key of an operation; `seen` collects the parameters that were given. */
static enum status read_key(struct policy_op *out, const char *key, const json_t *value, unsigned *seen) {
  if (strcmp(key, "op") == 0) return OK;
  enum status st = OK;
  int i = find_param(out->op, key);
  if (i >= 0) {
    *seen |= 1U << i;
    st = read_param(&out->op->params[i], value, &out->args.low[i], &out->args.high[i]);
  } else if (strcmp(key, "group") == 0) {
    int g = json_is_string(value) ? op_choice("pair|image", json_string_value(value)) : -1;
    if (g < 0) st = fail(E_ARG, "must be \"pair\" or \"image\"");
    out->group = (enum group)g;
  } else if (strcmp(key, "p") == 0 && !out->op->opens) {
    out->p = json_is_number(value) ? json_number_value(value) : -1;
    if (!(out->p >= 0 && out->p <= 1)) st = fail(E_ARG, "must be a probability between 0 and 1");
  } else {
    return unknown_key(out->op, key);
  }
  return st == OK ? OK : fail_within(st, "%s", key);
}

static enum status read_op(struct policy_op *out, json_t *json, int32_t size) {
  const char *name = json_string_value(json_object_get(json, "op"));
  if (!name) return fail(E_ARG, "must be an object with the operation's name as \"op\"");
  *out = (struct policy_op){.op = transform_op_find(name, OP_IN_POLICY), .group = GROUP_IMAGE, .p = 1};
  if (!out->op) return E_ARG;
  op_defaults(out->op, size, &out->args);
  while (out->op->labels && out->op->labels[out->n_labels]) out->n_labels++;
  unsigned seen = 0;
  const char *key;
  json_t *value;
  json_object_foreach(json, key, value) {
    enum status st = read_key(out, key, value, &seen);
    if (st != OK) return st;
  }
  for (int i = 0; out->op->params && out->op->params[i].name; i++) {
    const struct op_param *p = &out->op->params[i];
    if (p->required && p->kind != PARAM_SIZE && !(seen & 1U << i))
      return fail(E_ARG, "%s needs '%s': %s", name, p->name, p->help);
  }
  return out->op->check ? out->op->check(&out->args) : OK;
}

/* Label names; those of an operation that occurs before in the view get its place, as in "blur.sigma@4". */
static enum status name_params(struct policy_view *view) {
  for (int i = 0; i < view->n_ops; i++) {
    for (size_t k = 0; k < view->ops[i].n_labels; k++) {
      if (view->n_params == POLICY_MAX_PARAMS)
        return fail(E_ARG, "reports more than %d parameters", POLICY_MAX_PARAMS);
      const char *label = view->ops[i].op->labels[k];
      bool taken = false;
      for (size_t n = 0; n < view->n_params; n++) taken |= strcmp(view->names[n], label) == 0;
      char *name = view->names[view->n_params];
      if (taken)
        snprintf(name, sizeof *view->names, "%.40s@%d", label, i);
      else
        snprintf(name, sizeof *view->names, "%.40s", label);
      view->params[view->n_params++] = name;
    }
  }
  return OK;
}

static enum status place_values(struct policy_view *view) {
  size_t n = 0;
  for (int i = 0; i < view->n_ops; i++) {
    view->ops[i].first_value = n;
    n += view->ops[i].op->n_values;
  }
  return n <= POLICY_MAX_VALUES ? OK
                                : fail(E_ARG, "its operations draw more than %d values", POLICY_MAX_VALUES);
}

static enum status read_view(struct policy_view *view, json_t *json) {
  const char *key;
  json_t *value, *ops = json_object_get(json, "ops"), *size = json_object_get(json, "size");
  if (!json_is_object(json)) return fail(E_ARG, "must be an object with \"size\" and \"ops\"");
  json_object_foreach(json, key, value) if (strcmp(key, "size") != 0 && strcmp(key, "ops") != 0) return fail(
      E_ARG, "a view has no key '%.64s'; its keys are size, ops", key);
  if (!json_is_integer(size) || json_integer_value(size) < 1 || json_integer_value(size) > POLICY_MAX_SIZE)
    return fail(E_ARG, "size must be a whole number of pixels between 1 and %d", POLICY_MAX_SIZE);
  if (!json_is_array(ops) || json_array_size(ops) < 1 || json_array_size(ops) > POLICY_MAX_OPS)
    return fail(E_ARG, "ops must be a list of 1 to %d operations", POLICY_MAX_OPS);
  view->size = (int32_t)json_integer_value(size);
  view->n_ops = (int)json_array_size(ops);
  for (int i = 0; i < view->n_ops; i++) {
    enum status st = read_op(&view->ops[i], json_array_get(ops, (size_t)i), view->size);
    if (st == OK && view->ops[i].op->opens != (i == 0))
      st = i ? fail(E_ARG, "%s makes a view of the image and can only be the first operation",
                    view->ops[i].op->name)
             : fail(E_ARG,
                    "the first operation must make a view of the image: random_resized_crop or "
                    "resize_short_center_crop, not %s",
                    view->ops[i].op->name);
    if (st != OK) return fail_within(st, "ops[%d]", i);
  }
  enum status st = place_values(view);
  return st == OK ? name_params(view) : st;
}

static enum status read_policy(struct policy *p, json_t *root) {
  json_t *views = json_object_get(root, "views"), *value;
  const char *key;
  json_object_foreach(
      root, key,
      value) if (strcmp(key, "views") != 0 &&
                 strcmp(key, "dct_scale") !=
                     0) return fail(E_ARG, "a policy has no key '%.64s'; its keys are views, dct_scale", key);
  value = json_object_get(root, "dct_scale");
  if (value && !json_is_boolean(value)) return fail(E_ARG, "dct_scale must be true or false");
  p->dct_scale = json_is_true(value);
  if (!json_is_array(views) || json_array_size(views) < 1 || json_array_size(views) > POLICY_MAX_VIEWS)
    return fail(E_ARG, "views must be a list of 1 to %d views", POLICY_MAX_VIEWS);
  p->n_views = (int)json_array_size(views);
  for (int v = 0; v < p->n_views; v++) {
    enum status st = read_view(&p->views[v], json_array_get(views, (size_t)v));
    if (st != OK) return fail_within(st, "views[%d]", v);
  }
  for (int v = 0; p->dct_scale && v < p->n_views; v++)
    if (strcmp(p->views[v].ops[0].op->name, "random_resized_crop") != 0)
      return fail(E_ARG, "dct_scale is for views that begin with random_resized_crop, and views[%d] does not",
                  v);
  return policy_write(p, &p->json);
}

enum status policy_parse(struct policy **out, const char *json) {
  *out = NULL;
  size_t size = strnlen(json, POLICY_MAX_JSON + 1);
  if (size > POLICY_MAX_JSON) return fail(E_ARG, "policy: longer than %d bytes", POLICY_MAX_JSON);
  json_error_t error;
  json_t *root = json_loadb(json, size, JSON_REJECT_DUPLICATES, &error);
  if (!root)
    return fail(E_ARG, "policy: not JSON: line %d, column %d: %s", error.line, error.column, error.text);
  struct policy *p = calloc(1, sizeof *p);
  enum status st = p ? read_policy(p, root) : fail(E_MEMORY, "out of memory");
  json_decref(root);
  if (st == OK)
    *out = p;
  else
    policy_close(&p);
  return st == OK ? OK : fail_within(st, "policy");
}

void policy_close(struct policy **policy) {
  if (!*policy) return;
  free((*policy)->json);
  free(*policy);
  *policy = NULL;
}

/* The shortest decimal that reads back as the same double. */
static void write_number(FILE *f, double x) {
  char text[32];
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  fputs(text, f);
}

static void write_op(FILE *f, const struct policy_op *o) {
  fprintf(f, "{\"op\":\"%s\",\"group\":\"%s\"", o->op->name, groups[o->group]);
  if (!o->op->opens) {
    fputs(",\"p\":", f);
    write_number(f, o->p);
  }
  for (int i = 0; o->op->params && o->op->params[i].name; i++) {
    const struct op_param *p = &o->op->params[i];
    if (p->kind == PARAM_SIZE) continue;
    fprintf(f, ",\"%s\":", p->name);
    if (p->kind == PARAM_CHOICE) {
      const char *c = p->choices;
      for (int skip = (int)o->args.low[i]; skip > 0; skip--) c = strchr(c, '|') + 1;
      fprintf(f, "\"%.*s\"", (int)strcspn(c, "|"), c);
      continue;
    }
    if (p->kind == PARAM_RANGE) fputc('[', f);
    write_number(f, o->args.low[i]);
    if (p->kind != PARAM_RANGE) continue;
    fputc(',', f);
    write_number(f, o->args.high[i]);
    fputc(']', f);
  }
  fputc('}', f);
}

enum status policy_write(const struct policy *policy, char **json) {
  size_t size = 0;
  FILE *f = open_memstream(json, &size);
  if (!f) return fail(E_MEMORY, "out of memory");
  fputs("{\"views\":[", f);
  for (int v = 0; v < policy->n_views; v++) {
    const struct policy_view *view = &policy->views[v];
    fprintf(f, "%s{\"size\":%d,\"ops\":[", v ? "," : "", view->size);
    for (int i = 0; i < view->n_ops; i++) {
      if (i) fputc(',', f);
      write_op(f, &view->ops[i]);
    }
    fputs("]}", f);
  }
  fputs(policy->dct_scale ? "],\"dct_scale\":true}" : "]}", f);
  bool failed = ferror(f) != 0;
  if (fclose(f) != 0 || failed) return fail(E_MEMORY, "out of memory");
  return OK;
}

const char *policy_json(const struct policy *policy) { return policy->json; }
int policy_views(const struct policy *policy) { return policy->n_views; }
int32_t policy_view_size(const struct policy *policy, int view) { return policy->views[view].size; }

size_t policy_params(const struct policy *policy, int view, const char *const **names) {
  if (names) *names = policy->views[view].params;
  return policy->views[view].n_params;
}
