#include "transform/step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum status no_param(const struct transform_op *op, const char *key) {
  char list[256] = "";
  size_t used = 0;
  for (const struct op_param *p = op->params; p && p->name && used < sizeof list; p++)
    used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", p->name);
  return used ? fail(E_ARG, "%s has no parameter '%s'; its parameters are %s", op->name, key, list)
              : fail(E_ARG, "%s takes no parameters, so no '%s'", op->name, key);
}

/* "key=value" into `args`; `seen` collects what was given. */
static enum status read_pair(const struct transform_op *op, char *pair, struct op_args *args,
                             unsigned *seen) {
  char *value = strchr(pair, '=');
  if (!value) return fail(E_ARG, "'%s' is not key=value", pair);
  *value++ = 0;
  int i = 0;
  while (op->params && op->params[i].name && strcmp(op->params[i].name, pair) != 0) i++;
  if (!op->params || !op->params[i].name) return no_param(op, pair);
  const struct op_param *p = &op->params[i];
  *seen |= 1U << i;
  if (p->kind == PARAM_CHOICE) {
    int choice = op_choice(p->choices, value);
    if (choice < 0) return fail(E_ARG, "%s=%s: must be one of %s", pair, value, p->choices);
    args->low[i] = args->high[i] = choice;
    return OK;
  }
  char *end;
  double x = strtod(value, &end);
  if (end == value || *end) return fail(E_ARG, "%s=%s: not a number", pair, value);
  args->low[i] = args->high[i] = x;
  enum status st = op_param_check(p, x, x);
  return st == OK ? OK : fail_within(st, "%s=%s", pair, value);
}

/* Splits `text` (cut up in place) into name and parameters. */
static enum status read_step(struct step *out, char *text) {
  char *rest = strchr(text, ':'), *save = NULL;
  if (rest) *rest++ = 0;
  *out = (struct step){.op = transform_op_find(text, OP_IN_APPLY)};
  if (!out->op) return E_ARG;
  op_defaults(out->op, 0, &out->args);
  unsigned seen = 0;
  for (char *pair = rest ? strtok_r(rest, ",", &save) : NULL; pair; pair = strtok_r(NULL, ",", &save)) {
    enum status st = read_pair(out->op, pair, &out->args, &seen);
    if (st != OK) return st;
  }
  for (int i = 0; out->op->params && out->op->params[i].name; i++) {
    const struct op_param *p = &out->op->params[i];
    bool range = p->kind == PARAM_RANGE; /* no draw here: what a policy draws has to be said */
    if ((p->required || range) && !(seen & 1U << i))
      return fail(E_ARG, "%s needs %s=: %s", text, p->name, p->help);
  }
  enum status st = out->op->check ? out->op->check(&out->args) : OK;
  if (st != OK) return st;
  /* Ranges of one number leave sampling no choice: it only brings the parameters into the form that apply
   * takes. */
  struct rng rng = rng_at(0, 0, 0, 0);
  struct op_site site = {{1, 1}, {1, 1}};
  struct rect crop;
  if (out->op->sample) out->op->sample(&out->args, &rng, &site, out->value, &crop);
  return OK;
}

enum status step_parse(struct step *out, const char *text) {
  char *copy = strdup(text);
  enum status st = copy ? read_step(out, copy) : fail(E_MEMORY, "out of memory");
  free(copy);
  return st;
}

enum status step_apply(const struct step *step, struct canvas *canvas) {
  enum status st = op_apply(step->op, &step->args, step->value, (struct rect){0}, canvas);
  return st == OK ? OK : fail_within(st, "%s", step->op->name);
}
