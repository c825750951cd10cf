// Linear block count-sketches: kernels/src/sketch.rs with the same hashes and signs.
#include "number.cuh"

// Neighbours that share one hash.
#define NEIGHBOURS 32u
// Rows of a sketch at most: their cells lie in the memory of one block.
#define MOST_ROWS 128u
#define WARPS (THREADS / NEIGHBOURS)
// Groups hashed at a time.
#define GROUPS 512u
#define TOGETHER 8u

// The groups of one warp in their order.
struct Groups {
    const u32* words;
    u32 word, left;
    // The next one; GROUPS where there is none.
    __device__ u32 next() {
        while (left == 0) {
            word += 1;
            if (word >= GROUPS / 32) return GROUPS;
            left = words[word];
        }
        u32 bit = (u32)__ffs((int)left) - 1;
        left &= left - 1;
        return word * 32 + bit;
    }
};

// The cells that `groups` groups from `blockIdx.x * groups` of block `blockIdx.y` of the vector add up to, in the order of
// their index: every row belongs to one warp, which finds its groups in a list of bits.
extern "C" __global__ void sketch_parts(u32 dtype, const u8* bytes, u64 elements, u64 block, u64 key, u32 rows, u64 groups,
                                        double* parts) {
    __shared__ double cells[MOST_ROWS * NEIGHBOURS];
    __shared__ u64 hashes[GROUPS];
    __shared__ u32 owned[WARPS][GROUPS / 32];
    u32 thread = threadIdx.x, warp = thread / NEIGHBOURS, lane = thread % NEIGHBOURS;
    for (u32 cell = thread; cell < rows * NEIGHBOURS; cell += THREADS) cells[cell] = 0;
    u64 end = min(elements, ((u64)blockIdx.y + 1) * block);
    u64 first = (u64)blockIdx.y * (block / NEIGHBOURS) + blockIdx.x * groups;
    u64 last = min(first + groups, (end + NEIGHBOURS - 1) / NEIGHBOURS);
    for (u64 from = first; from < last; from += GROUPS) {
        u32 count = (u32)min((u64)GROUPS, last - from);
        __syncthreads();
        for (u32 at = thread; at < WARPS * (GROUPS / 32); at += THREADS) owned[at / (GROUPS / 32)][at % (GROUPS / 32)] = 0;
        __syncthreads();
        for (u32 at = thread; at < count; at += THREADS) {
            u64 hash = splitmix(key, from + at);
            hashes[at] = hash;
            atomicOr(&owned[((u32)(hash >> 32) & (rows - 1)) % WARPS][at / 32], 1u << (at % 32));
        }
        __syncthreads();
        Groups mine{owned[warp], 0, owned[warp][0]};
        for (;;) {
            // Several loads are on their way before the first is added.
            u32 at[TOGETHER];
            float values[TOGETHER];
#pragma unroll
            for (u32 i = 0; i < TOGETHER; i++) {
                at[i] = mine.next();
                u64 place = (from + at[i]) * NEIGHBOURS + lane;
                values[i] = at[i] < GROUPS && place < end ? load_f32(dtype, bytes, place) : 0.0f;
            }
#pragma unroll
            for (u32 i = 0; i < TOGETHER; i++) {
                if (at[i] == GROUPS) continue;
                u64 hash = hashes[at[i]];
                u32 row = (u32)(hash >> 32) & (rows - 1), bits = bits_of(values[i]);
                if ((bits & 0x7F800000u) == 0x7F800000u) bits = 0;
                cells[row * NEIGHBOURS + lane] += (double)float_of(bits ^ ((((u32)hash >> lane) & 1) << 31));
            }
            if (at[TOGETHER - 1] == GROUPS) break;
        }
    }
    __syncthreads();
    double* part = parts + ((u64)blockIdx.y * gridDim.x + blockIdx.x) * rows * NEIGHBOURS;
    for (u32 cell = thread; cell < rows * NEIGHBOURS; cell += THREADS) part[cell] = cells[cell];
}

// Adds up the parts of each block of the vector in order.
extern "C" __global__ void sketch_fold(const double* parts, u32 cells, u32 count, double* out) {
    u32 cell = (u32)own_element();
    if (cell >= cells) return;
    double total = 0;
    for (u32 part = 0; part < count; part++) total += parts[((u64)blockIdx.y * count + part) * cells + cell];
    out[(u64)blockIdx.y * cells + cell] = total;
}
