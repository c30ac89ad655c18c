/* How the threads of the OpenMP runtime wait for each other. */
#ifndef BASE_OPENMP_H
#define BASE_OPENMP_H

/* Lets waiting OpenMP threads sleep after some ten microseconds instead of spinning for milliseconds. A
 * trainer shares its cores with the workers that feed it: a thread that spins for one that has no core takes
 * the core that it waits for (measured with twice as many processes as cores: a quarter of the time and of
 * the work per step). The runtime reads its settings before main, so the process executes itself once more
 * with GOMP_SPINCOUNT set; the process id stays. Does nothing where OMP_WAIT_POLICY or GOMP_SPINCOUNT is set
 * already. Call it first thing in main. */
void openmp_wait_briefly(char **argv);

#endif
