/* A change of variables in which the softmax objective is nearly round, so that L-BFGS needs tens of
 * iterations where raw features, whose covariance spans many orders of magnitude, need thousands.
 *
 *   P = A'A / classes + 2 l2 I = L L',  A = [X, 1]     (the Hessian where all classes are equally likely, up
 * to its v = theta L                                         factor I - 11'/classes; Boehning 1992)
 *
 * It moves neither the objective nor its minimum, only the path. Results do not depend on the number of
 * threads. */
#ifndef LINEAR_PRECONDITION_H
#define LINEAR_PRECONDITION_H

#include "base/status.h"
#include "softmax.h"

struct preconditioner;

/* Computes A'A, [dim + 1, dim + 1], of the samples. threads: 0 means all cores. E_MEMORY. */
enum status preconditioner_open(struct preconditioner **out, const struct samples *data, int threads);
void preconditioner_close(struct preconditioner **preconditioner);

/* Factors P for this l2; before the two functions below. E_NUMERIC (features not finite). */
enum status preconditioner_set(struct preconditioner *preconditioner, double l2);

/* In place, matrices [classes, dim + 1]: v = theta L; theta = v L^-1; a gradient by theta to one by v, g
 * L^-T. */
void precondition_params(const struct preconditioner *preconditioner, double *theta);
void precondition_back(const struct preconditioner *preconditioner, double *v);
void precondition_gradient(const struct preconditioner *preconditioner, double *gradient);

#endif
