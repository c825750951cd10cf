// Sums of deltas straight from stored bytes. A delta is taken in f32 and multiplied in f64, where the product is exact.
#include "reduce.cuh"

// ⟨a, b⟩, ⟨a, a⟩, ⟨b, b⟩, Σ a, Σ b, Σ base² of one span; elements past the end are equal and count nothing.
template <u32 D, bool WHOLE>
__device__ inline void add_pair(const u8* arena, const Input* inputs, u64 elements, double (&sums)[6]) {
    const u8 *base = arena + inputs[0].offset, *a = arena + inputs[1].offset, *b = arena + inputs[2].offset;
    u32 dtypes[3] = {inputs[0].dtype, inputs[1].dtype, inputs[2].dtype};
#pragma unroll 2
    for (u32 turn = 0; turn < SPAN / TURN; turn++) {
        u64 at = (u64)blockIdx.x * SPAN + turn * TURN + threadIdx.x * PER_THREAD;
        float zero[PER_THREAD], one[PER_THREAD], two[PER_THREAD];
        load_some<D, PER_THREAD, WHOLE>(dtypes[0], base, at, elements, zero);
        load_some<D, PER_THREAD, WHOLE>(dtypes[1], a, at, elements, one);
        load_some<D, PER_THREAD, WHOLE>(dtypes[2], b, at, elements, two);
#pragma unroll
        for (u32 i = 0; i < PER_THREAD; i++) {
            double x = (double)(one[i] - zero[i]), y = (double)(two[i] - zero[i]), z = (double)zero[i];
            sums[0] = fma(x, y, sums[0]);
            sums[1] = fma(x, x, sums[1]);
            sums[2] = fma(y, y, sums[2]);
            sums[3] += x;
            sums[4] += y;
            sums[5] = fma(z, z, sums[5]);
        }
    }
}

template <u32 D>
__device__ inline void pair(const u8* arena, const Input* inputs, u64 elements, double* out) {
    double sums[6] = {0, 0, 0, 0, 0, 0};
    if ((u64)(blockIdx.x + 1) * SPAN <= elements) add_pair<D, true>(arena, inputs, elements, sums);
    else add_pair<D, false>(arena, inputs, elements, sums);
    block_sums<6>(sums, out + (u64)blockIdx.x * 6);
}

extern "C" __global__ void delta_pair_bf16(const u8* arena, const Input* inputs, u64 elements, double* out) {
    pair<BF16>(arena, inputs, elements, out);
}

extern "C" __global__ void delta_pair_f16(const u8* arena, const Input* inputs, u64 elements, double* out) {
    pair<F16>(arena, inputs, elements, out);
}

extern "C" __global__ void delta_pair_f32(const u8* arena, const Input* inputs, u64 elements, double* out) {
    pair<F32>(arena, inputs, elements, out);
}

// Inputs of eight bits, or of several formats.
extern "C" __global__ void delta_pair_any(const u8* arena, const Input* inputs, u64 elements, double* out) {
    pair<ANY>(arena, inputs, elements, out);
}

// Rows and columns of the matrix that one block computes.
#define TILE 4u
// Sums of one tile: its cells and, on the diagonal, where those below it are left out, those of its rows' deltas and of the
// base's squares.
#define TILE_SUMS (TILE * TILE + TILE + 1)
#define GRAM_PER_THREAD 4u

// The inputs of one tile: rows and columns past the end repeat the last model, and nobody reads their cells.
struct Tile {
    Input base, rows[TILE], columns[TILE];
};

template <u32 D, bool WHOLE, bool DIAGONAL>
__device__ inline void add_tile(const u8* arena, const Tile& tile, u64 start, u64 elements, double (&sums)[TILE_SUMS]) {
    for (u32 turn = 0; turn < SPAN / (THREADS * GRAM_PER_THREAD); turn++) {
        u64 at = start + (turn * THREADS + threadIdx.x) * GRAM_PER_THREAD;
        float zero[GRAM_PER_THREAD], left[TILE][GRAM_PER_THREAD], right[TILE][GRAM_PER_THREAD];
        load_some<D, GRAM_PER_THREAD, WHOLE>(tile.base.dtype, arena + tile.base.offset, at, elements, zero);
#pragma unroll
        for (u32 i = 0; i < TILE; i++) {
            const Input& row = tile.rows[i];
            load_some<D, GRAM_PER_THREAD, WHOLE>(row.dtype, arena + row.offset, at, elements, left[i]);
        }
        if (!DIAGONAL) {
#pragma unroll
            for (u32 i = 0; i < TILE; i++) {
                const Input& column = tile.columns[i];
                load_some<D, GRAM_PER_THREAD, WHOLE>(column.dtype, arena + column.offset, at, elements, right[i]);
            }
        }
#pragma unroll
        for (u32 k = 0; k < GRAM_PER_THREAD; k++) {
            double rows[TILE], columns[TILE];
#pragma unroll
            for (u32 i = 0; i < TILE; i++) {
                rows[i] = (double)(left[i][k] - zero[k]);
                columns[i] = DIAGONAL ? rows[i] : (double)(right[i][k] - zero[k]);
            }
#pragma unroll
            for (u32 i = 0; i < TILE; i++) {
#pragma unroll
                for (u32 j = DIAGONAL ? i : 0; j < TILE; j++) {
                    sums[i * TILE + j] = fma(rows[i], columns[j], sums[i * TILE + j]);
                }
                if (DIAGONAL) sums[TILE * TILE + i] += rows[i];
            }
            if (DIAGONAL) sums[TILE_SUMS - 1] = fma((double)zero[k], (double)zero[k], sums[TILE_SUMS - 1]);
        }
    }
}

template <u32 D, bool DIAGONAL>
__device__ inline void add_tiles(const u8* arena, const Tile& tile, u64 span, u64 elements, double (&sums)[TILE_SUMS]) {
    if ((span + 1) * SPAN <= elements) add_tile<D, true, DIAGONAL>(arena, tile, span * SPAN, elements, sums);
    else add_tile<D, false, DIAGONAL>(arena, tile, span * SPAN, elements, sums);
}

// One tile of ⟨δᵢ, δⱼ⟩ over one span. Tiles lie on and above the diagonal, row by row.
template <u32 D>
__device__ inline void gram(const u8* arena, const Input* inputs, u32 models, u64 elements, double* out) {
    u32 side = (models + TILE - 1) / TILE, tiles = side * (side + 1) / 2;
    u32 row = 0, column = blockIdx.x % tiles;
    while (column >= side - row) {
        column -= side - row;
        row += 1;
    }
    column += row;
    u64 span = blockIdx.x / tiles;
    Tile tile;
    tile.base = inputs[0];
#pragma unroll
    for (u32 i = 0; i < TILE; i++) {
        tile.rows[i] = inputs[1 + min(row * TILE + i, models - 1)];
        tile.columns[i] = inputs[1 + min(column * TILE + i, models - 1)];
    }
    double sums[TILE_SUMS];
#pragma unroll
    for (u32 i = 0; i < TILE_SUMS; i++) sums[i] = 0;
    if (row == column) add_tiles<D, true>(arena, tile, span, elements, sums);
    else add_tiles<D, false>(arena, tile, span, elements, sums);
    block_sums<TILE_SUMS>(sums, out + (u64)blockIdx.x * TILE_SUMS);
}

extern "C" __global__ void delta_gram_bf16(const u8* arena, const Input* inputs, u32 models, u64 elements, double* out) {
    gram<BF16>(arena, inputs, models, elements, out);
}

extern "C" __global__ void delta_gram_f16(const u8* arena, const Input* inputs, u32 models, u64 elements, double* out) {
    gram<F16>(arena, inputs, models, elements, out);
}

extern "C" __global__ void delta_gram_f32(const u8* arena, const Input* inputs, u32 models, u64 elements, double* out) {
    gram<F32>(arena, inputs, models, elements, out);
}

extern "C" __global__ void delta_gram_any(const u8* arena, const Input* inputs, u32 models, u64 elements, double* out) {
    gram<ANY>(arena, inputs, models, elements, out);
}
