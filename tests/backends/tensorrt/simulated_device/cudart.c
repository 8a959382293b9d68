/* The calls of the CUDA runtime that verify.py makes, on the host's own memory: compute capability 8.7. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void (*Work)(void);
static Work captured;
static int capturing;

/* What the simulated TensorRT asks: whether a capture is under way, and it leaves its work here. */
int simulate_capture(Work work) {
    if (capturing) captured = work;
    return capturing;
}

int cudaDeviceGetAttribute(int *value, int attribute, int device) {
    *value = attribute == 75 ? 8 : 7;
    return 0;
}
int cudaSetDeviceFlags(unsigned flags) { return 0; }
int cudaGetLastError(void) { return 0; }
int cudaMalloc(void **pointer, size_t size) { return (*pointer = malloc(size)) == NULL; }
int cudaFree(void *pointer) { free(pointer); return 0; }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
    memcpy(to, from, size);
    return 0;
}
int cudaStreamCreate(void **stream) { *stream = (void *)1; return 0; }
int cudaStreamDestroy(void *stream) { return 0; }
int cudaStreamSynchronize(void *stream) { return 0; }
int cudaEventCreate(void **event) { return (*event = malloc(sizeof(struct timespec))) == NULL; }
int cudaEventDestroy(void *event) { free(event); return 0; }
int cudaEventRecord(void *event, void *stream) { return clock_gettime(CLOCK_MONOTONIC, event); }
int cudaEventElapsedTime(float *milliseconds, const struct timespec *start, const struct timespec *end) {
    *milliseconds = (end->tv_sec - start->tv_sec) * 1e3f + (end->tv_nsec - start->tv_nsec) / 1e6f;
    return 0;
}

#ifdef GRAPHS
int cudaStreamBeginCapture(void *stream, int mode) { capturing = 1; return 0; }
int cudaStreamEndCapture(void *stream, void **graph) {
    capturing = 0;
    *graph = (void *)captured;
    return GRAPHS; /* 900 is what a call that no graph can hold leaves */
}
int cudaGraphInstantiateWithFlags(void **executable, void *graph, unsigned long long flags) {
    *executable = graph;
    return 0;
}
int cudaGraphLaunch(void *executable, void *stream) { ((Work)executable)(); return 0; }
int cudaGraphDestroy(void *graph) { return 0; }
int cudaGraphExecDestroy(void *executable) { return 0; }
#endif
