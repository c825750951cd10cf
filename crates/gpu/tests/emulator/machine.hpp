// Runs the kernels of kernels/cuda on this processor, one launch after another: the threads of a block are fibres that take
// turns at every barrier. Says whether a kernel is right, not how fast it is or whether its threads race. `kernels.inc` names
// the sources' entries.
#pragma once
#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __align__(n) alignas(n)

struct Place {
    unsigned x, y, z;
};
static Place threadIdx, blockIdx, gridDim;

using std::fabs;
using std::fma;
using std::fmax;
using std::fmin;
template <typename T> static T min(T a, T b) { return b < a ? b : a; }
template <typename T> static T max(T a, T b) { return a < b ? b : a; }
template <typename To, typename From> static To same_bits(From from) {
    To to;
    static_assert(sizeof to == sizeof from, "as many bits");
    memcpy(&to, &from, sizeof to);
    return to;
}
static unsigned __float_as_uint(float x) { return same_bits<unsigned>(x); }
static float __uint_as_float(unsigned x) { return same_bits<float>(x); }
static long long __double_as_longlong(double x) { return same_bits<long long>(x); }
static double __longlong_as_double(long long x) { return same_bits<double>(x); }
static double __dadd_rn(double a, double b) { return a + b; }
static double __dsub_rn(double a, double b) { return a - b; }
static double __dmul_rn(double a, double b) { return a * b; }
template <typename T> static T atomicAdd(T* at, T value) {
    T before = *at;
    *at += value;
    return before;
}

template <typename T> static T atomicOr(T* at, T value) {
    T before = *at;
    *at |= value;
    return before;
}
static float half_as_float(unsigned code) {
    int exponent = code >> 10 & 31, fraction = code & 1023;
    float size = exponent == 31  ? fraction ? NAN : INFINITY
                 : exponent == 0 ? ldexpf(fraction, -24)
                                 : ldexpf(1024 + fraction, exponent - 25);
    return code >> 15 & 1 ? -size : size;
}
static int __ffs(int bits) { return __builtin_ffs(bits); }

static ucontext_t scheduler;

struct Fibre {
    ucontext_t context;
    std::vector<char> stack;
    bool over;
};
static std::vector<Fibre> fibres;
static unsigned running;
static std::vector<unsigned> waiting;

static void __syncthreads() {
    waiting[running] += 1;
    swapcontext(&fibres[running].context, &scheduler);
}

#include "kernels.inc"

static const unsigned WIDTH = THREADS;
static void (*body)(const uint64_t*);
static const uint64_t* arguments;

template <typename T> static T argument(uint64_t slot) {
    if constexpr (std::is_pointer_v<T>) return reinterpret_cast<T>(slot);
    else if constexpr (std::is_same_v<T, double>) return same_bits<double>(slot);
    else return static_cast<T>(slot);
}

template <typename... A, size_t... I>
static void call(void (*entry)(A...), const uint64_t* slots, std::index_sequence<I...>) {
    entry(argument<A>(slots[I])...);
}

// A card takes as many bytes of an argument as the kernel says, whatever was passed.
template <typename T> static char kind() {
    if constexpr (std::is_pointer_v<T>) return 'p';
    else if constexpr (std::is_same_v<T, double>) return 'd';
    else if constexpr (sizeof(T) == 8) return 'l';
    else return 'i';
}

template <auto entry> struct Caller;
template <typename... A, void (*entry)(A...)> struct Caller<entry> {
    static std::string kinds() { return {kind<A>()...}; }
    static void run(const uint64_t* slots) { call(entry, slots, std::index_sequence_for<A...>{}); }
};

struct Entry {
    const char* name;
    std::string (*kinds)();
    void (*run)(const uint64_t*);
};
#define ENTRY(name) {#name, &Caller<&name>::kinds, &Caller<&name>::run},
static const Entry entries[] = {KERNEL_ENTRIES};

static void fibre() {
    for (;;) {
        body(arguments);
        fibres[running].over = true;
        swapcontext(&fibres[running].context, &scheduler);
    }
}

// Whether the last thread goes first: what threads do between two barriers must not depend on it.
static bool backwards;

// One block: every thread runs to its next barrier before any goes on.
static bool block() {
    for (auto& fibre : fibres) fibre.over = false;
    waiting.assign(WIDTH, 0);
    for (unsigned left = WIDTH; left > 0;) {
        for (unsigned turn = 0; turn < WIDTH; turn++) {
            running = backwards ? WIDTH - 1 - turn : turn;
            if (fibres[running].over) continue;
            threadIdx = {running, 0, 0};
            swapcontext(&scheduler, &fibres[running].context);
            left -= fibres[running].over;
        }
        for (unsigned thread = 1; thread < WIDTH; thread++) {
            if (waiting[thread] != waiting[0]) return false;
        }
    }
    return true;
}

// Makes the fibres.
static void prepare() {
    fibres.resize(WIDTH);
    for (auto& made : fibres) {
        made.stack.resize(256 << 10);
        getcontext(&made.context);
        made.context.uc_stack.ss_sp = made.stack.data();
        made.context.uc_stack.ss_size = made.stack.size();
        made.context.uc_link = nullptr;
        makecontext(&made.context, fibre, 0);
    }
}

static const Entry* find_entry(const std::string& name) {
    for (auto& entry : entries) {
        if (name == entry.name) return &entry;
    }
    return nullptr;
}

// Runs a kernel; false where its threads wait at different barriers.
static bool run(const Entry& entry, Place grid, const uint64_t* slots) {
    if (fibres.empty()) prepare();
    body = entry.run;
    arguments = slots;
    gridDim = grid;
    backwards = !backwards;
    for (unsigned y = 0; y < grid.y; y++) {
        for (unsigned x = 0; x < grid.x; x++) {
            blockIdx = {x, y, 0};
            if (!block()) return false;
        }
    }
    return true;
}
