/* A change of variables in which the softmax objective is nearly round, so that L-BFGS needs tens of
 * iterations where raw features, whose covariance spans many orders of magnitude, need thousands.
 *
 *   P = A'A / classes + 2 l2 I = L L',  A = [X, 1]     (the Hessian where all classes are equally likely, up
 * to its v = theta L                                         factor I - 11'/classes; Boehning 1992)
 *
 * It moves neither the objective nor its minimum, only the path. Results do not depend on the number of
 * threads.
 *
 * A'A is computed where the regression is. The factor and what is multiplied by it stay on the host, whatever the
 * device: cuBLASLt has no triangular solve, and cuBLAS and cuSOLVER would be two more libraries to find at run time. The
 * two solves of a point are classes (dim + 1)^2 products beside the 2 n classes (dim + 1) of its objective, 0.8 % at
 * 126,000 x 2048; on the host of a GPU they nevertheless take longer than the objective on it. */
#ifndef LINEAR_PRECONDITION_H
#define LINEAR_PRECONDITION_H

#include "base/status.h"
#include "nn/softmax_regression/softmax_regression.h"

struct preconditioner;

/* Of A'A of these rows. `regression` stays open as long as the preconditioner is used. E_MEMORY, E_DEVICE. */
enum status preconditioner_open(struct preconditioner **out, struct softmax_regression *regression,
                                struct sample_range rows);
void preconditioner_close(struct preconditioner **preconditioner);

/* Factors P for this l2; before the two functions below. E_NUMERIC (features not finite). */
enum status preconditioner_set(struct preconditioner *preconditioner, double l2);

/* In place, matrices [classes, dim + 1]: v = theta L; theta = v L^-1; a gradient by theta to one by v, g
 * L^-T. */
void precondition_params(const struct preconditioner *preconditioner, double *theta);
void precondition_back(const struct preconditioner *preconditioner, double *v);
void precondition_gradient(const struct preconditioner *preconditioner, double *gradient);

#endif
