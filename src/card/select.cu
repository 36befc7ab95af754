// Pruning of all matrices at once: the same numbers as prune/mask.rs, importance.rs and prune.rs give on the CPU.
//
// The k-th lowest importance is found by three histograms over the bits of all importances (11, 11 and 10 of them):
// no importance is below zero, so that they compare as their bits do. They are computed anew in every pass, which reads
// less than they would take if they were kept. Grids: shares of a matrix, matrices.
#include "common.cuh"

// One matrix of an adapter, r × width (B lies transposed), as the host describes it in 8 words.
struct Matrix {
    float *weights;
    // ‖X‖ per column or, with BY_ROW, ‖Z‖ per row; none for |w| alone.
    const float *norms;
    // 1 = pruned.
    unsigned char *mask;
    // What pruned entries were when they were pruned.
    float *shadow;
    // Where the matrix is put as it would be, with SCRATCH; nowhere if null.
    float *to;
    unsigned n, width;
    unsigned rank;
    // Entries to be pruned.
    unsigned k;
    unsigned flags, unused;
};

enum {
    // A norm belongs to a row (a rank) and not to a column.
    BY_ROW = 1,
    // In PEFT's layout columns are rows: B.
    TRANSPOSED = 2,
    // What is pruned stays so.
    HELD = 4,
    // Left alone while all its weights are zero.
    IDLE_IF_SILENT = 8,
    // Other masks are only tried: what is pruned now goes first and comes back with what it was, and nothing is changed.
    SCRATCH = 16,
    // With the masks that there are.
    AS_IS = 32,
};

// What is known of a matrix between the passes.
struct Found {
    // What is looked for: the rank among the entries that begin with `prefix`, from 1 on.
    unsigned rank;
    unsigned prefix;
    // Entries that go although others with the same key stay: those up to this place in PEFT's layout.
    unsigned last;
    unsigned ties;
    unsigned what;
    unsigned pruned_before;
    unsigned unused[2];
};

enum {
    LOOKING = 0,
    // No entry is pruned.
    NONE = 1,
    // All are.
    ALL = 2,
    // A weight is not zero.
    SPEAKS = 4,
    // An importance is no number: nothing is done.
    BROKEN = 8,
};

// What became of a share of a matrix.
struct Part {
    double total, lost;
    // Entries that the mask prunes, that are zero, whose mask is another, that come back.
    unsigned pruned, zeros, flips, restored;
};

#define BINS 2048u
#define SAMPLE 4096u
// Bits that a pass looks at, and those below them.
__device__ __forceinline__ unsigned below(unsigned pass) { return pass == 0 ? 21 : pass == 1 ? 10 : 0; }
__device__ __forceinline__ unsigned bins(unsigned pass) { return pass == 2 ? 1024 : BINS; }

// The entry, or with SCRATCH what it would be if it were kept.
__device__ __forceinline__ float weight(const Matrix &of, unsigned i) {
    return of.flags & SCRATCH && of.mask[i] ? of.shadow[i] : of.weights[i];
}

__device__ __forceinline__ float importance(const Matrix &of, unsigned i, float w) {
    if (of.norms == nullptr) return fabsf(w);
    return fabsf(w) * of.norms[of.flags & BY_ROW ? i / of.width : i % of.width];
}

// Orders entries: what is held goes first, and with SCRATCH what is pruned before what is not.
__device__ __forceinline__ unsigned key(const Matrix &of, unsigned i, float score) {
    bool pruned = of.flags & (HELD | SCRATCH) && of.mask[i];
    if (pruned && of.flags & HELD) return 0;
    return (__float_as_uint(score) + 1) | (of.flags & SCRATCH && !pruned ? 1u << 31 : 0u);
}

__device__ __forceinline__ unsigned flat(const Matrix &of, unsigned i) {
    return of.flags & TRANSPOSED ? i % of.width * of.rank + i / of.width : i;
}

// Before the first pass: entries that are pruned so far, and whether all weights are zero and all importances numbers.
extern "C" __global__ void __launch_bounds__(256) look(const Matrix *all, Found *found) {
    Matrix of = all[blockIdx.y];
    unsigned pruned = 0, what = 0;
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < of.n; i += gridDim.x * blockDim.x) {
        float w = of.weights[i];
        pruned += of.mask[i];
        what |= w != 0 ? SPEAKS : 0;
        what |= (__float_as_uint(importance(of, i, weight(of, i))) & 0x7f800000u) == 0x7f800000u ? BROKEN : 0;
    }
    pruned = total(pruned);
    unsigned speaks = total(what & SPEAKS ? 1u : 0u), broken = total(what & BROKEN ? 1u : 0u);
    if (threadIdx.x == 0) {
        atomicAdd(&found[blockIdx.y].pruned_before, pruned);
        atomicOr(&found[blockIdx.y].what, (speaks > 0) * SPEAKS | (broken > 0) * BROKEN);
    }
}

// How many entries are looked for. One thread a matrix.
extern "C" __global__ void __launch_bounds__(256) begin(const Matrix *all, Found *found, unsigned count) {
    unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= count) return;
    Matrix of = all[at];
    Found *it = &found[at];
    unsigned k = of.k;
    if (of.flags & HELD && it->pruned_before > k) k = it->pruned_before;
    bool idle = of.flags & IDLE_IF_SILENT && !(it->what & SPEAKS) && it->pruned_before == 0;
    if (idle || k == 0 || it->what & BROKEN || of.flags & AS_IS) {
        it->what |= NONE;
    } else if (k >= of.n) {
        it->what |= ALL;
    }
    it->rank = k;
    it->prefix = 0;
}

// Counts the keys of a matrix that begin as was found, by their next bits.
extern "C" __global__ void __launch_bounds__(256) count_keys(const Matrix *all, const Found *found, unsigned *counts, unsigned pass) {
    __shared__ unsigned here[BINS];
    Matrix of = all[blockIdx.y];
    Found it = found[blockIdx.y];
    if (it.what & (NONE | ALL)) return;
    for (unsigned bin = threadIdx.x; bin < BINS; bin += blockDim.x) here[bin] = 0;
    __syncthreads();
    unsigned shift = below(pass), wide = bins(pass);
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < of.n; i += gridDim.x * blockDim.x) {
        unsigned bits = key(of, i, importance(of, i, weight(of, i)));
        if (pass == 0 || bits / wide >> shift == it.prefix) atomicAdd(&here[bits >> shift & (wide - 1)], 1u);
    }
    __syncthreads();
    for (unsigned bin = threadIdx.x; bin < wide; bin += blockDim.x) {
        if (here[bin] > 0) atomicAdd(&counts[(size_t)blockIdx.y * BINS + bin], here[bin]);
    }
}

// Finds the bin in which the rank lies and clears the counts. A block a matrix, of 256 threads.
extern "C" __global__ void __launch_bounds__(256) narrow(Found *found, unsigned *counts, unsigned pass) {
    __shared__ unsigned sums[256];
    Found *it = &found[blockIdx.x];
    counts += (size_t)blockIdx.x * BINS;
    unsigned each = BINS / 256, first = threadIdx.x * each, sum = 0;
    for (unsigned bin = first; bin < first + each; bin++) sum += counts[bin];
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x == 0 && !(it->what & (NONE | ALL))) {
        unsigned rank = it->rank, at = 0;
        while (sums[at] < rank) rank -= sums[at++];
        unsigned bin = at * each;
        while (counts[bin] < rank) rank -= counts[bin++];
        it->rank = rank;
        it->prefix = it->prefix * bins(pass) + bin;
        it->ties = counts[bin];
    }
    __syncthreads();
    for (unsigned bin = first; bin < first + each; bin++) counts[bin] = 0;
}

// Of entries with the key that was found, `rank` go: those that come first in PEFT's layout. A block a matrix.
extern "C" __global__ void __launch_bounds__(256) ties(const Matrix *all, Found *found) {
    __shared__ unsigned char tied[1024];
    Matrix of = all[blockIdx.x];
    Found *it = &found[blockIdx.x];
    bool some = !(it->what & (NONE | ALL)) && it->ties > it->rank;
    unsigned rank = it->rank, threshold = it->prefix, seen = 0;
    if (threadIdx.x == 0) it->last = ~0u;
    if (!some) return;
    for (unsigned base = 0; base < of.n; base += blockDim.x) {
        unsigned place = base + threadIdx.x, is = 0;
        if (place < of.n) {
            unsigned i = of.flags & TRANSPOSED ? place % of.rank * of.width + place / of.rank : place;
            is = key(of, i, importance(of, i, weight(of, i))) == threshold;
        }
        tied[threadIdx.x] = is;
        unsigned more = total(is);
        if (seen + more >= rank) {
            __syncthreads();
            if (threadIdx.x == 0) {
                unsigned at = 0;
                while (true) {
                    seen += tied[at];
                    if (seen == rank) break;
                    at++;
                }
                it->last = base + at;
            }
            return;
        }
        seen += more;
    }
}

// The importance at three ranks of at most SAMPLE evenly spaced entries, before anything is zeroed: quantiles (matrices, 3).
// A block a matrix.
extern "C" __global__ void __launch_bounds__(256) quantiles(const Matrix *all, float *out) {
    __shared__ unsigned some[SAMPLE];
    Matrix of = all[blockIdx.x];
    unsigned stride = (of.n + SAMPLE - 1) / SAMPLE;
    if (stride < 1) stride = 1;
    unsigned count = (of.n + stride - 1) / stride;
    for (unsigned j = threadIdx.x; j < count; j += blockDim.x) {
        unsigned i = j * stride;
        some[j] = __float_as_uint(importance(of, i, weight(of, i)));
    }
    __syncthreads();
    const double shares[3] = {0.1, 0.5, 0.9};
    for (int q = 0; q < 3; q++) {
        unsigned rank = (unsigned)round((count - 1.0) * shares[q]), found = 0;
        // The largest number that at most `rank` of them are below.
        for (int bit = 30; bit >= 0; bit--) {
            unsigned trial = found | 1u << bit, less = 0;
            for (unsigned j = threadIdx.x; j < count; j += blockDim.x) less += some[j] < trial;
            if (total(less) <= rank) found = trial;
        }
        if (threadIdx.x == 0) out[blockIdx.x * 3 + q] = __uint_as_float(found);
    }
}

// Zeroes what is pruned, writes the masks and what was pruned (or, with SCRATCH, only what would be), and says what became of it: parts (matrices, shares).
extern "C" __global__ void __launch_bounds__(256) prune(const Matrix *all, const Found *found, Part *parts) {
    Matrix of = all[blockIdx.y];
    Found it = found[blockIdx.y];
    Part part = {0, 0, 0, 0, 0, 0};
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < of.n; i += gridDim.x * blockDim.x) {
        float w = weight(of, i), score = importance(of, i, w);
        bool before = of.mask[i], now = of.flags & AS_IS || it.what & BROKEN ? before : (it.what & ALL) != 0;
        if (!(it.what & (NONE | ALL))) {
            unsigned bits = key(of, i, score);
            now = bits < it.prefix || (bits == it.prefix && (it.last == ~0u || flat(of, i) <= it.last));
        }
        part.total += score;
        part.lost += now ? score : 0.0f;
        part.pruned += now;
        part.zeros += now || w == 0;
        part.flips += now != before;
        part.restored += before && !now;
        if (of.flags & SCRATCH) {
            if (of.to != nullptr) of.to[i] = now ? 0.0f : w;
            continue;
        }
        if (it.what & BROKEN) continue;
        if (now && !before) of.shadow[i] = w;
        if (now) of.weights[i] = 0;
        of.mask[i] = now;
    }
    part.total = total(part.total);
    part.lost = total(part.lost);
    part.pruned = total(part.pruned);
    part.zeros = total(part.zeros);
    part.flips = total(part.flips);
    part.restored = total(part.restored);
    if (threadIdx.x == 0) parts[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = part;
}
