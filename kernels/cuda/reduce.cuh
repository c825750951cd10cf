// Sums over the threads of a block, in one order whatever the machine.
#pragma once
#include "number.cuh"

// Adds up each of `N` values over all threads and writes the totals.
template <u32 N> __device__ inline void block_sums(const double (&values)[N], double* out) {
    const u32 together = 4, lanes = 16;
    __shared__ double held[together][THREADS];
    u32 thread = threadIdx.x;
#pragma unroll
    for (u32 first = 0; first < N; first += together) {
#pragma unroll
        for (u32 i = 0; i < together; i++) {
            if (first + i < N) held[i][thread] = values[first + i < N ? first + i : 0];
        }
        __syncthreads();
        u32 sum = thread / lanes, lane = thread % lanes;
        double total = 0;
        if (sum < together) {
            for (u32 i = 0; i < THREADS / lanes; i++) total += held[sum][lane + i * lanes];
        }
        __syncthreads();
        if (sum < together) held[sum][lane] = total;
        __syncthreads();
        if (thread < together && first + thread < N) {
            double all = 0;
            for (u32 i = 0; i < lanes; i++) all += held[thread][i];
            out[first + thread] = all;
        }
        __syncthreads();
    }
}

// Adds what the threads counted to a counter of all blocks.
__device__ inline void count_all(u32 count, u64* counter) {
    __shared__ u32 total;
    if (threadIdx.x == 0) total = 0;
    __syncthreads();
    if (count) atomicAdd(&total, count);
    __syncthreads();
    if (threadIdx.x == 0 && total) atomicAdd(counter, (u64)total);
    __syncthreads();
}
