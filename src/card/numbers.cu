// Kernels that take number by number: SwiGLU, dropout, scaled rows, the optimisers, sums over columns and their roots.
#include "common.cuh"

// Calls `one` for every number of `n`, and `four` for every four where they lie so.
template <class One, class Four> __device__ __forceinline__ void each(size_t n, bool whole, One one, Four four) {
    size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x, step = (size_t)gridDim.x * blockDim.x;
    if (whole && n % 4 == 0) {
        for (size_t i = at; i < n / 4; i += step) four(i);
    } else {
        for (size_t i = at; i < n; i += step) one(i);
    }
}

// silu(gate) · up.
template <class T> __device__ void swiglu(const T *gate, const T *up, T *out, size_t n) {
    auto act = [](T g, T u, T *y) {
        float x = load(g);
        store(y, x * sigmoid(x) * load(u));
    };
    each(
        n, aligned(gate) && aligned(up) && aligned(out), [&](size_t i) { act(gate[i], up[i], &out[i]); },
        [&](size_t i) {
            Four<T> g = ((const Four<T> *)gate)[i], u = ((const Four<T> *)up)[i], y;
            for (int k = 0; k < 4; k++) act(g.at[k], u.at[k], &y.at[k]);
            ((Four<T> *)out)[i] = y;
        });
}

// Gradients of gate, then of up, in `both`.
template <class T> __device__ void swiglu_backward(const T *gate, const T *up, const T *dy, T *both, size_t n) {
    T *d_gate = both, *d_up = both + n;
    auto back = [](T gate, T up, T dy, T *d_gate, T *d_up) {
        float g = load(gate), d = load(dy), s = sigmoid(g);
        store(d_gate, d * load(up) * s * (1.0f + g * (1.0f - s)));
        store(d_up, d * g * s);
    };
    bool whole = aligned(gate) && aligned(up) && aligned(dy) && aligned(d_gate) && aligned(d_up);
    each(
        n, whole, [&](size_t i) { back(gate[i], up[i], dy[i], &d_gate[i], &d_up[i]); },
        [&](size_t i) {
            Four<T> g = ((const Four<T> *)gate)[i], u = ((const Four<T> *)up)[i], d = ((const Four<T> *)dy)[i], dg, du;
            for (int k = 0; k < 4; k++) back(g.at[k], u.at[k], d.at[k], &dg.at[k], &du.at[k]);
            ((Four<T> *)d_gate)[i] = dg;
            ((Four<T> *)d_up)[i] = du;
        });
}

// Where dropout's numbers come from: stream number `number` of ChaCha8 under a key of 8 words.
struct Stream {
    unsigned long long key[4], number;
};

__device__ __forceinline__ unsigned turned(unsigned x, unsigned by) { return (x << by) | (x >> (32 - by)); }

__device__ __forceinline__ void quarter_round(unsigned &a, unsigned &b, unsigned &c, unsigned &d) {
    a += b, d = turned(d ^ a, 16);
    c += d, b = turned(b ^ c, 12);
    a += b, d = turned(d ^ a, 8);
    c += d, b = turned(b ^ c, 7);
}

// The 16 words of block number `at` of a stream.
__device__ __forceinline__ void drawn(const Stream &of, unsigned long long at, unsigned (&w)[16]) {
    unsigned first[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u};
#pragma unroll
    for (int i = 0; i < 6; i++) {
        unsigned long long next = i < 4 ? of.key[i] : i < 5 ? at : of.number;
        first[4 + 2 * i] = (unsigned)next, first[5 + 2 * i] = (unsigned)(next >> 32);
    }
#pragma unroll
    for (int i = 0; i < 16; i++) w[i] = first[i];
#pragma unroll
    for (int rounds = 0; rounds < 8; rounds += 2) {
        quarter_round(w[0], w[4], w[8], w[12]);
        quarter_round(w[1], w[5], w[9], w[13]);
        quarter_round(w[2], w[6], w[10], w[14]);
        quarter_round(w[3], w[7], w[11], w[15]);
        quarter_round(w[0], w[5], w[10], w[15]);
        quarter_round(w[1], w[6], w[11], w[12]);
        quarter_round(w[2], w[7], w[8], w[13]);
        quarter_round(w[3], w[4], w[9], w[14]);
    }
#pragma unroll
    for (int i = 0; i < 16; i++) w[i] += first[i];
}

// x after dropout in y or, with ONTO, added to it. A block of the stream has two words for each of 8 inputs: an input is
// multiplied by `factor` where the upper 53 bits of both are at least `least`, and else by 0; see linear/mask.rs.
template <bool ONTO, class T>
__device__ void dropout(const T *x, T *y, size_t n, const Stream &of, unsigned long long least, float factor) {
    bool whole = aligned(x) && aligned(y);
    size_t step = (size_t)gridDim.x * blockDim.x;
    for (size_t at = (size_t)blockIdx.x * blockDim.x + threadIdx.x; 8 * at < n; at += step) {
        unsigned words[16];
        drawn(of, at, words);
        auto thin = [&](int i, T from, T *to) {
            unsigned long long number = (((unsigned long long)words[2 * i + 1] << 32) | words[2 * i]) >> 11;
            float left = load(from) * (number >= least ? factor : 0.0f);
            store(to, ONTO ? load(*to) + left : left);
        };
        if (whole && 8 * at + 8 <= n) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
                Four<T> from = ((const Four<T> *)x)[2 * at + half], to = ONTO ? ((Four<T> *)y)[2 * at + half] : from;
#pragma unroll
                for (int k = 0; k < 4; k++) thin(4 * half + k, from.at[k], &to.at[k]);
                ((Four<T> *)y)[2 * at + half] = to;
            }
        } else {
#pragma unroll
            for (int i = 0; i < 8; i++) {
                if (8 * at + i < n) thin(i, x[8 * at + i], &y[8 * at + i]);
            }
        }
    }
}

// Rows of `width` times a number each, in another type. Grid: rows, shares of a row.
template <class From, class To>
__device__ void scaled_rows(const From *x, const float *scales, To *y, unsigned width) {
    float scale = scales[blockIdx.x];
    x += (size_t)blockIdx.x * width;
    y += (size_t)blockIdx.x * width;
    for (unsigned i = blockIdx.y * blockDim.x + threadIdx.x; i < width; i += gridDim.y * blockDim.x) {
        store(&y[i], load(x[i]) * scale);
    }
}

// What lanes of a block add up of `rows` rows of a column each; a second kernel adds the parts. Grid: columns, parts.
template <class T>
__device__ void column_squares(const T *x, float *parts, unsigned rows, unsigned columns, unsigned at_once) {
    unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    unsigned from = blockIdx.y * at_once, to = from + at_once < rows ? from + at_once : rows;
    float sum = 0;
    // The next rows are on their way while one is added: of z there are few columns, and its threads would only wait.
#pragma unroll 16
    for (unsigned row = from; row < to; row++) {
        float v = load(x[(size_t)row * columns + column]);
        sum += v * v;
    }
    parts[(size_t)blockIdx.y * columns + column] = sum;
}

// A matrix of few columns, and where its sums begin among all.
struct Columns {
    const void *x;
    unsigned columns, first;
};

// The same of many matrices of as many rows, whose columns have their sums one after another, `total` of them. Grid: parts, matrices.
template <class T>
__device__ void column_squares_of(const Columns *all, float *parts, unsigned rows, unsigned total, unsigned at_once) {
    Columns of = all[blockIdx.y];
    const T *x = (const T *)of.x;
    unsigned from = blockIdx.x * at_once, to = from + at_once < rows ? from + at_once : rows;
    for (unsigned column = threadIdx.x; column < of.columns; column += blockDim.x) {
        float sum = 0;
#pragma unroll 16
        for (unsigned row = from; row < to; row++) {
            float v = load(x[(size_t)row * of.columns + column]);
            sum += v * v;
        }
        parts[(size_t)blockIdx.x * total + of.first + column] = sum;
    }
}

#define FOR(T)                                                                                                         \
    extern "C" __global__ void __launch_bounds__(256) swiglu_##T(const T *gate, const T *up, T *out, size_t n) {       \
        swiglu<T>(gate, up, out, n);                                                                                   \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) swiglu_backward_##T(const T *gate, const T *up, const T *dy, T *both, size_t n) { \
        swiglu_backward<T>(gate, up, dy, both, n);                                                                     \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) column_squares_##T(const T *x, float *parts, unsigned rows, unsigned columns, \
                                                  unsigned at_once) {                                                  \
        column_squares<T>(x, parts, rows, columns, at_once);                                                           \
    }                                                                                                                  \
    extern "C" __global__ void __launch_bounds__(256) column_squares_of_##T(const Columns *all, float *parts, unsigned rows, \
                                                  unsigned total, unsigned at_once) {                                  \
        column_squares_of<T>(all, parts, rows, total, at_once);                                                        \
    }

FOR(float)
FOR(bf16)
#undef FOR

#define DROPOUT(T, name, ONTO)                                                                                         \
    extern "C" __global__ void __launch_bounds__(256)                                                                  \
        name##_##T(const T *x, T *y, size_t n, unsigned long long key0, unsigned long long key1,                       \
                   unsigned long long key2, unsigned long long key3, unsigned long long number,                        \
                   unsigned long long least, float factor) {                                                           \
        dropout<ONTO, T>(x, y, n, Stream{{key0, key1, key2, key3}, number}, least, factor);                            \
    }

DROPOUT(float, dropout, false)
DROPOUT(bf16, dropout, false)
DROPOUT(float, dropout_onto, true)
DROPOUT(bf16, dropout_onto, true)
#undef DROPOUT

#define SCALED(From, To)                                                                                               \
    extern "C" __global__ void __launch_bounds__(256) scaled_rows_##From##_##To(const From *x, const float *scales, To *y, \
                                                                                unsigned width) {                      \
        scaled_rows<From, To>(x, scales, y, width);                                                                    \
    }

SCALED(float, float)
SCALED(float, bf16)
SCALED(bf16, float)
SCALED(bf16, bf16)
#undef SCALED

// Sums of `parts` parts of every column.
extern "C" __global__ void __launch_bounds__(256) column_sums(const float *parts, float *sums, unsigned count, unsigned columns) {
    unsigned column = blockIdx.x * blockDim.x + threadIdx.x;
    if (column >= columns) return;
    double sum = 0;
#pragma unroll 16
    for (unsigned part = 0; part < count; part++) sum += parts[(size_t)part * columns + column];
    sums[column] = (float)sum;
}

// Sums of squares of one input of matrices, their exponential means over the steps or (null) none, and where norms go.
struct Squares {
    const float *sums;
    float *means, *norms;
    // How many, and whether the means begin with these.
    unsigned n, begins;
};

// Norms of all inputs: the roots of the sums, or of the means, which go on; see prune.rs. Grid: shares, inputs.
extern "C" __global__ void __launch_bounds__(256) roots(const Squares *all) {
    Squares of = all[blockIdx.y];
    for (unsigned i = blockIdx.x * blockDim.x + threadIdx.x; i < of.n; i += gridDim.x * blockDim.x) {
        float square = of.sums[i];
        if (of.means != nullptr) {
            float before = of.begins ? square : of.means[i];
            square = 0.9f * before + 0.1f * square;
            of.means[i] = square;
        }
        of.norms[i] = sqrtf(square);
    }
}

// A matrix that is trained: where its numbers, its gradient and the optimiser's moments lie.
struct Trained {
    float *w, *g, *m, *v;
    unsigned long long n;
};

// One update of AdamW as torch.optim.AdamW computes it; see train/optimizer.rs for the letters. Grid: shares, matrices.
extern "C" __global__ void __launch_bounds__(256) adamw(const Trained *all, float gradient_scale, float decay, float towards, float beta2,
                                 float rest2, float eps, float rate, float correction) {
    Trained one = all[blockIdx.y];
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < one.n; i += (size_t)gridDim.x * blockDim.x) {
        float gradient = one.g[i] * gradient_scale, weight = one.w[i] * decay, first = one.m[i], second = one.v[i];
        first += (gradient - first) * towards;
        second = second * beta2 + rest2 * gradient * gradient;
        one.m[i] = first;
        one.v[i] = second;
        one.w[i] = weight - rate * first / (sqrtf(second) / correction + eps);
    }
}

// One step of gradient descent.
extern "C" __global__ void __launch_bounds__(256) descend(const Trained *all, float rate, float decay) {
    Trained one = all[blockIdx.y];
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < one.n; i += (size_t)gridDim.x * blockDim.x) {
        one.w[i] = one.w[i] * decay - rate * one.g[i];
    }
}

// Σ g² of every block's share: parts (matrices, shares).
extern "C" __global__ void __launch_bounds__(256) squares(const Trained *all, double *parts) {
    Trained one = all[blockIdx.y];
    double sum = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < one.n; i += (size_t)gridDim.x * blockDim.x) {
        sum += (double)one.g[i] * (double)one.g[i];
    }
    sum = total(sum);
    if (threadIdx.x == 0) parts[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// A pruner's mask over a matrix (1 = pruned), and the optimiser's moments of it.
struct Forgotten {
    const unsigned char *mask;
    float *m, *v;
    unsigned long long n;
};

// Zeroes the moments of what is pruned. Grid: shares, matrices.
extern "C" __global__ void __launch_bounds__(256) forget(const Forgotten *all) {
    Forgotten of = all[blockIdx.y];
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < of.n; i += (size_t)gridDim.x * blockDim.x) {
        if (of.mask[i]) {
            of.m[i] = 0;
            of.v[i] = 0;
        }
    }
}
