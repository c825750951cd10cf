// Random pruning by rank (MagPrune), one block a row: kernels/src/prune.rs.
#include "number.cuh"

#define CLASSES 1024u
#define BELOW 46u

__device__ inline double probability(double density, double epsilon, u64 rank, u64 len) {
    double share = len > 1 ? (double)rank / (double)(len - 1) : 0.5;
    return __dadd_rn(density, __dmul_rn(epsilon, __dsub_rn(__dmul_rn(2.0, share), 1.0)));
}

// Whether each element of a row of `len` is kept: its rank by magnitude says how probably, equal ones rank by place. The
// numbers drawn are those at `start + row·len ..` of the stream `key`.
extern "C" __global__ void prune_rows(const double* rows, u64 len, double density, double epsilon, u64 key, u64 start,
                                      u8* kept) {
    __shared__ u32 smaller[CLASSES + 1];
    __shared__ u64 tops[THREADS];
    u32 thread = threadIdx.x;
    u64 begin = (u64)blockIdx.x * len;
    const double* row = rows + begin;
    u64 top = 0;
    for (u64 at = thread; at < len; at += THREADS) top = max(top, bits_of(fabs(row[at])));
    tops[thread] = top;
    for (u32 slot = thread; slot <= CLASSES; slot += THREADS) smaller[slot] = 0;
    for (u32 half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) tops[thread] = max(tops[thread], tops[thread + half]);
    }
    __syncthreads();
    top = tops[0] >> BELOW;
    u64 lowest = top > CLASSES - 1 ? top - (CLASSES - 1) : 0;
    for (u64 at = thread; at < len; at += THREADS) {
        u64 shifted = bits_of(fabs(row[at])) >> BELOW;
        atomicAdd(&smaller[(shifted > lowest ? (u32)(shifted - lowest) : 0) + 1], 1u);
    }
    __syncthreads();
    if (thread == 0) {
        for (u32 slot = 0; slot < CLASSES; slot++) smaller[slot + 1] += smaller[slot];
    }
    __syncthreads();
    for (u64 at = thread; at < len; at += THREADS) {
        u64 own = bits_of(fabs(row[at])), shifted = own >> BELOW;
        u32 slot = shifted > lowest ? (u32)(shifted - lowest) : 0;
        double first = probability(density, epsilon, smaller[slot], len);
        double last = probability(density, epsilon, smaller[slot + 1] - 1, len);
        double all = fmin(first, last), none = fmax(first, last);
        double draw = splitmix_unit(key, start + begin + at);
        bool keeps = draw < all;
        if (draw >= all && draw < none) {
            u64 rank = 0;
            for (u64 other = 0; other < len; other++) {
                u64 bits = bits_of(fabs(row[other]));
                rank += other < at ? bits <= own : bits < own;
            }
            keeps = draw < probability(density, epsilon, rank, len);
        }
        kept[begin + at] = keeps;
    }
}
