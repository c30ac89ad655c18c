/* tandem-augment policy: a preset as text to start a policy file from, and the schema of policy files. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "transform/op.h"

struct options {
  const char *policy;
  int64_t size;
  bool schema;
};

static const struct opt opts[] = {
    {"policy", OPT_STR, offsetof(struct options, policy), "stl10", POLICY_NAMES},
    {"size", OPT_INT, offsetof(struct options, size), "0",
     "side of the views in pixels; 0: the policy's own"},
    {"schema", OPT_BOOL, offsetof(struct options, schema), NULL, "print the JSON Schema of policies instead"},
    {0}};

static json_t *number(double x) {
  return x == (double)(json_int_t)x ? json_integer((json_int_t)x) : json_real(x);
}

static json_t *choice_schema(const struct op_param *p) {
  json_t *names = json_array();
  for (const char *c = p->choices; *c;) {
    size_t n = strcspn(c, "|");
    json_array_append_new(names, json_stringn(c, n));
    c += n + (c[n] == '|');
  }
  json_t *fallback = json_incref(json_array_get(names, (size_t)p->low));
  return json_pack("{s:s, s:o, s:o}", "description", p->help, "enum", names, "default", fallback);
}

static json_t *param_schema(const struct op_param *p) {
  if (p->kind == PARAM_CHOICE) return choice_schema(p);
  json_t *one = json_pack("{s:s, s:o, s:o}", "type", p->kind == PARAM_INTEGER ? "integer" : "number",
                          "minimum", number(p->min), "maximum", number(p->max));
  if (p->kind == PARAM_RANGE)
    one = json_pack("{s:[O, {s:s, s:o, s:i, s:i}]}", "oneOf", one, "type", "array", "items", one, "minItems",
                    2, "maxItems", 2);
  json_object_set_new(one, "description", json_string(p->help));
  if (!p->required)
    json_object_set_new(one, "default",
                        p->kind == PARAM_RANGE ? json_pack("[o, o]", number(p->low), number(p->high))
                                               : number(p->low));
  return one;
}

static json_t *op_schema(const struct transform_op *op) {
  json_t *required = json_pack("[s]", "op");
  json_t *keys = json_pack("{s:{s:s}, s:{s:s}}", "op", "const", op->name, "group", "$ref", "#/$defs/group");
  if (!op->opens) json_object_set_new(keys, "p", json_pack("{s:s}", "$ref", "#/$defs/probability"));
  for (const struct op_param *p = op->params; p && p->name; p++) {
    if (p->kind == PARAM_SIZE) continue;
    json_object_set_new(keys, p->name, param_schema(p));
    if (p->required) json_array_append_new(required, json_string(p->name));
  }
  return json_pack("{s:s, s:s, s:o, s:b, s:o}", "description", op->summary, "type", "object", "required",
                   required, "additionalProperties", 0, "properties", keys);
}

/* Generated from the operations, so that a new one needs no other place. NULL: out of memory. */
static json_t *schema(void) {
  json_t *opening = json_array(), *other = json_array(), *defs = json_object();
  for (const struct transform_op *const *op = transform_op_registry; *op; op++) {
    if (!((*op)->where & OP_IN_POLICY)) continue;
    char ref[64];
    snprintf(ref, sizeof ref, "#/$defs/%.48s", (*op)->name);
    json_object_set_new(defs, (*op)->name, op_schema(*op));
    json_array_append_new((*op)->opens ? opening : other, json_pack("{s:s}", "$ref", ref));
  }
  json_object_set_new(defs, "group",
                      json_pack("{s:s, s:[s, s], s:s}", "description",
                                "who shares the draws: both images of a pair, or each image has its own",
                                "enum", "pair", "image", "default", "image"));
  json_object_set_new(defs, "probability",
                      json_pack("{s:s, s:s, s:i, s:i, s:i}", "description", "of being applied", "type",
                                "number", "minimum", 0, "maximum", 1, "default", 1));
  json_object_set_new(
      defs, "view",
      json_pack(
          "{s:s, s:[s, s], s:b, s:{s:{s:s, s:s, s:i, s:i}, s:{s:s, s:s, s:[{s:o}], s:{s:o}, s:i, s:i}}}",
          "type", "object", "required", "size", "ops", "additionalProperties", 0, "properties", "size",
          "description", "width and height, pixels", "type", "integer", "minimum", 1, "maximum",
          POLICY_MAX_SIZE, "ops", "description",
          "in order of application; the first makes the view of the image", "type", "array", "prefixItems",
          "oneOf", opening, "items", "oneOf", other, "minItems", 1, "maxItems", POLICY_MAX_OPS));
  return json_pack("{s:s, s:s, s:s, s:s, s:[s], s:b, s:{s:{s:s, s:{s:s}, s:i, s:i}, s:{s:s, s:s, s:b}}, s:o}",
                   "$schema", "https://json-schema.org/draft/2020-12/schema", "title", "Tandem policy",
                   "description",
                   "What happens to an image: views, each a size and a list of operations. "
                   "docs/transformations.md explains "
                   "it. Written by `tandem-augment policy --schema`.",
                   "type", "object", "required", "views", "additionalProperties", 0, "properties", "views",
                   "type", "array", "items", "$ref", "#/$defs/view", "minItems", 1, "maxItems",
                   POLICY_MAX_VIEWS, "dct_scale", "type", "boolean", "description",
                   "JPEGs may be decoded at 1/2, 1/4 or 1/8 where that leaves crops as large as the view: "
                   "faster, other pixels",
                   "default", 0, "$defs", defs);
}

/* The canonical text, a line per view and per operation. */
static void print_policy(const char *json) {
  for (; *json; json++) {
    if (strncmp(json, "{\"size\"", 7) == 0) fputs("\n  ", stdout);
    if (strncmp(json, "{\"op\"", 5) == 0) fputs("\n    ", stdout);
    putchar(*json);
  }
  putchar('\n');
}

static enum status print_schema(void) {
  json_t *json = schema();
  bool done = json && json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) == 0;
  json_decref(json);
  if (!done) return fail(E_MEMORY, "the schema could not be made or written");
  putchar('\n');
  return OK;
}

static enum status run(void *state) {
  const struct options *o = state;
  struct policy *policy = NULL;
  if (o->size < 0 || o->size > POLICY_MAX_SIZE)
    return fail(E_ARG, "--size must lie between 0 and %d", POLICY_MAX_SIZE);
  enum status st = o->schema ? print_schema() : policy_load(&policy, o->policy, (int32_t)o->size);
  if (policy) print_policy(policy_json(policy));
  policy_close(&policy);
  if (st == OK && (fflush(stdout) != 0 || ferror(stdout)))
    st = fail(E_IO, "standard output: cannot be written");
  return st;
}

const struct command augment_policy = {
    .name = "policy",
    .summary = "Prints a policy to start a file from, or the schema of policy files.",
    .state_size = sizeof(struct options),
    .opts = opts,
    .run = run};
