// Runs the kernels of src/card on a CPU, one block after another: every thread of a block is a fibre that gives way at
// barriers and shuffles. What it asks for is more than a card does: all threads of a block must come to the same barriers,
// which finds most that are missing or diverge; and blocks are run in two orders of their threads, which must agree.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <ucontext.h>
#include <vector>

#define __global__
#define __device__
#define __shared__ static
#define __forceinline__ inline
#define __launch_bounds__(threads)

struct Place {
    unsigned x, y;
};
inline Place threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
struct Fibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    bool done = false;
    int waits_at = 0;
    uint64_t lent = 0;
};

inline ucontext_t scheduler;
inline std::vector<Fibre> fibres;
inline unsigned current;
inline const std::function<void()> *kernel;
inline bool backwards = false;

inline void wait(int at) {
    Place mine = threadIdx;
    fibres[current].waits_at = at;
    swapcontext(&fibres[current].context, &scheduler);
    threadIdx = mine;
}

inline void enter() {
    (*kernel)();
    fibres[current].done = true;
    swapcontext(&fibres[current].context, &scheduler);
}

inline void block(unsigned threads) {
    if (fibres.size() < threads) fibres.resize(threads);
    for (unsigned t = 0; t < threads; t++) {
        Fibre &fibre = fibres[t];
        const size_t size = 64 * 1024;
        if (!fibre.stack) fibre.stack.reset(new char[size]);
        fibre.done = false;
        getcontext(&fibre.context);
        fibre.context.uc_stack.ss_sp = fibre.stack.get();
        fibre.context.uc_stack.ss_size = size;
        fibre.context.uc_link = nullptr;
        makecontext(&fibre.context, enter, 0);
    }
    while (true) {
        unsigned done = 0;
        for (unsigned i = 0; i < threads; i++) {
            unsigned t = backwards ? threads - 1 - i : i;
            current = t;
            threadIdx = {t, 0};
            swapcontext(&scheduler, &fibres[t].context);
            done += fibres[t].done;
        }
        if (done == threads) return;
        for (unsigned t = 1; t < threads; t++) {
            if (done > 0 || fibres[t].waits_at != fibres[0].waits_at) {
                fprintf(stderr, "threads 0 and %u of a block don't come to the same barrier (lines %d and %d)\n", t,
                        fibres[0].waits_at, fibres[t].waits_at);
                exit(3);
            }
        }
    }
}

// Runs a grid of (x, y) blocks of so many threads.
inline void grid(unsigned x, unsigned y, unsigned threads, const std::function<void()> &work) {
    kernel = &work;
    gridDim = {x, y};
    blockDim = {threads, 1};
    for (unsigned j = 0; j < y; j++) {
        for (unsigned i = 0; i < x; i++) {
            blockIdx = {backwards ? x - 1 - i : i, backwards ? y - 1 - j : j};
            block(threads);
        }
    }
}

template <class N> N shuffle(N value, int far, int line) {
    static_assert(sizeof(N) <= 8, "a shuffle lends 8 bytes at most");
    memcpy(&fibres[current].lent, &value, sizeof(N));
    unsigned other = current ^ far;
    wait(line);
    memcpy(&value, &fibres[other].lent, sizeof(N));
    wait(-line);
    return value;
}
} // namespace emulation

#define __syncthreads() emulation::wait(__LINE__)
#define __shfl_xor_sync(mask, value, far) emulation::shuffle(value, far, __LINE__)

inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, 4);
    return bits;
}
inline unsigned atomicAdd(unsigned *at, unsigned n) {
    unsigned old = *at;
    *at += n;
    return old;
}
inline unsigned atomicOr(unsigned *at, unsigned n) {
    unsigned old = *at;
    *at |= n;
    return old;
}
