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
    __shared__ u64 tops[THREADS], waiting[THREADS];
    __shared__ u32 sums[THREADS], ranks[THREADS], open;
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
    // Sums of four classes a thread, then of the threads before, then of the classes.
    u32 own_sum = 0;
    for (u32 i = 1; i <= CLASSES / THREADS; i++) own_sum += smaller[thread * (CLASSES / THREADS) + i];
    sums[thread] = own_sum;
    for (u32 step = 1; step < THREADS; step *= 2) {
        __syncthreads();
        u32 before = thread >= step ? sums[thread - step] : 0;
        __syncthreads();
        sums[thread] += before;
    }
    __syncthreads();
    u32 running = thread > 0 ? sums[thread - 1] : 0;
    for (u32 i = 1; i <= CLASSES / THREADS; i++) {
        running += smaller[thread * (CLASSES / THREADS) + i];
        smaller[thread * (CLASSES / THREADS) + i] = running;
    }
    __syncthreads();
    for (u64 from = 0; from < len; from += THREADS) {
        u64 at = from + thread, own = 0;
        double draw = 0.0;
        if (thread == 0) open = 0;
        __syncthreads();
        u32 place = THREADS;
        if (at < len) {
            own = bits_of(fabs(row[at]));
            u64 shifted = own >> BELOW;
            u32 slot = shifted > lowest ? (u32)(shifted - lowest) : 0;
            double first = probability(density, epsilon, smaller[slot], len);
            double last = probability(density, epsilon, smaller[slot + 1] - 1, len);
            double all = fmin(first, last), none = fmax(first, last);
            draw = splitmix_unit(key, start + begin + at);
            kept[begin + at] = draw < all;
            if (draw >= all && draw < none) {
                place = atomicAdd(&open, 1u);
                waiting[place] = at;
                ranks[place] = 0;
            }
        }
        __syncthreads();
        // The few whose rank decides: a warp counts for one of them at a time.
        for (u32 next = thread / 32; next < open; next += THREADS / 32) {
            u64 mine = waiting[next], bits = bits_of(fabs(row[mine]));
            u32 rank = 0;
            for (u64 other = thread % 32; other < len; other += 32) {
                u64 theirs = bits_of(fabs(row[other]));
                rank += other < mine ? theirs <= bits : theirs < bits;
            }
            atomicAdd(&ranks[next], rank);
        }
        __syncthreads();
        if (place < THREADS) kept[begin + at] = draw < probability(density, epsilon, ranks[place], len);
        __syncthreads();
    }
}
