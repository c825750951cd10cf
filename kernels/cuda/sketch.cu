// Linear block count-sketches: kernels/src/sketch.rs with the same hashes and signs.
#include "number.cuh"

// Neighbours that share one hash.
#define NEIGHBOURS 32u
// Rows of a sketch at most: their cells lie in the memory of one block.
#define MOST_ROWS 128u
#define WARPS (THREADS / NEIGHBOURS)
// Groups hashed at a time.
#define GROUPS 512u

// The cells that `groups` groups from `blockIdx.x * groups` of block `blockIdx.y` of the vector add up to, in the order of
// their index: every row belongs to one warp, which looks at all groups and takes those of its rows.
extern "C" __global__ void sketch_parts(u32 dtype, const u8* bytes, u64 elements, u64 block, u64 key, u32 rows, u64 groups,
                                        double* parts) {
    __shared__ double cells[MOST_ROWS * NEIGHBOURS];
    __shared__ u64 hashes[GROUPS];
    u32 thread = threadIdx.x, warp = thread / NEIGHBOURS, lane = thread % NEIGHBOURS;
    for (u32 cell = thread; cell < rows * NEIGHBOURS; cell += THREADS) cells[cell] = 0;
    u64 end = min(elements, ((u64)blockIdx.y + 1) * block);
    u64 first = (u64)blockIdx.y * (block / NEIGHBOURS) + blockIdx.x * groups;
    u64 last = min(first + groups, (end + NEIGHBOURS - 1) / NEIGHBOURS);
    for (u64 from = first; from < last; from += GROUPS) {
        __syncthreads();
        for (u32 at = thread; at < GROUPS; at += THREADS) hashes[at] = splitmix(key, from + at);
        __syncthreads();
        u32 count = (u32)min((u64)GROUPS, last - from);
        for (u32 at = 0; at < count; at++) {
            u64 hash = hashes[at];
            u32 row = (u32)(hash >> 32) & (rows - 1);
            if (row % WARPS != warp) continue;
            u64 place = (from + at) * NEIGHBOURS + lane;
            if (place >= end) continue;
            u32 bits = bits_of(load_f32(dtype, bytes, place));
            if ((bits & 0x7F800000u) == 0x7F800000u) bits = 0;
            cells[row * NEIGHBOURS + lane] += (double)float_of(bits ^ ((((u32)hash >> lane) & 1) << 31));
        }
    }
    __syncthreads();
    double* mine = parts + ((u64)blockIdx.y * gridDim.x + blockIdx.x) * rows * NEIGHBOURS;
    for (u32 cell = thread; cell < rows * NEIGHBOURS; cell += THREADS) mine[cell] = cells[cell];
}

// Adds up the parts of each block of the vector in order.
extern "C" __global__ void sketch_fold(const double* parts, u32 cells, u32 count, double* out) {
    u32 cell = (u32)own_element();
    if (cell >= cells) return;
    double total = 0;
    for (u32 part = 0; part < count; part++) total += parts[((u64)blockIdx.y * count + part) * cells + cell];
    out[(u64)blockIdx.y * cells + cell] = total;
}
