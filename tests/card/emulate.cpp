// emulate REQUEST ANSWER: runs one kernel of src/card on this CPU. A request is the kernel's name and its arguments, buffers
// and numbers; the answer is the buffers as they are afterwards. tests/suites/engine/card.rs writes and reads them.
#include "emulate.hpp"

#include "../../src/card/attend.cu"
#include "../../src/card/numbers.cu"
#include "../../src/card/rows.cu"
#include "../../src/card/select.cu"

#include <fstream>
#include <string>

struct Request {
    std::string kernel;
    std::vector<std::vector<char>> buffers;
    std::vector<double> numbers;

    template <class T> T *at(size_t i) { return (T *)buffers.at(i).data(); }
    unsigned u(size_t i) const { return (unsigned)numbers.at(i); }
    float f(size_t i) const { return (float)numbers.at(i); }
};

static uint64_t word(std::istream &in) {
    uint64_t n = 0;
    in.read((char *)&n, 8);
    if (!in) {
        fprintf(stderr, "the request ends early\n");
        exit(2);
    }
    return n;
}

static Request read(const char *path) {
    std::ifstream in(path, std::ios::binary);
    Request request;
    request.kernel.resize(word(in));
    in.read(&request.kernel[0], (long)request.kernel.size());
    for (uint64_t left = word(in); left > 0; left--) {
        std::vector<char> buffer(word(in));
        in.read(buffer.data(), (long)buffer.size());
        request.buffers.push_back(std::move(buffer));
    }
    for (uint64_t left = word(in); left > 0; left--) {
        uint64_t bits = word(in);
        double number;
        memcpy(&number, &bits, 8);
        request.numbers.push_back(number);
    }
    return request;
}

// All matrices of a request: buffers weights, norms, masks, shadows, outcomes one after another for each; numbers width, rank, k,
// flags for each; then a buffer for quantiles and one for parts. The launches are those of src/card/prune.rs.
static void prune_all(Request &r) {
    std::vector<Matrix> all;
    size_t count = r.numbers.size() / 4;
    for (size_t i = 0; i < count; i++) {
        Matrix of = {};
        of.weights = r.at<float>(5 * i);
        of.norms = r.buffers[5 * i + 1].empty() ? nullptr : r.at<float>(5 * i + 1);
        of.mask = r.at<unsigned char>(5 * i + 2);
        of.shadow = r.at<float>(5 * i + 3);
        of.to = r.buffers[5 * i + 4].empty() ? nullptr : r.at<float>(5 * i + 4);
        of.n = (unsigned)r.buffers[5 * i].size() / 4;
        of.width = r.u(4 * i), of.rank = r.u(4 * i + 1), of.k = r.u(4 * i + 2), of.flags = r.u(4 * i + 3);
        all.push_back(of);
    }
    unsigned n = (unsigned)count, shares = 3;
    std::vector<Found> found(count);
    std::vector<unsigned> counts(count * BINS);
    emulation::grid(shares, n, 64, [&] { look(all.data(), found.data()); });
    emulation::grid((n + 255) / 256, 1, 256, [&] { begin(all.data(), found.data(), n); });
    for (unsigned pass = 0; pass < 3; pass++) {
        emulation::grid(shares, n, 64, [&] { count_keys(all.data(), found.data(), counts.data(), pass); });
        emulation::grid(n, 1, 256, [&] { narrow(found.data(), counts.data(), pass); });
    }
    emulation::grid(n, 1, 64, [&] { ties(all.data(), found.data()); });
    emulation::grid(n, 1, 32, [&] { quantiles(all.data(), r.at<float>(5 * count)); });
    emulation::grid(shares, n, 64, [&] { prune(all.data(), found.data(), r.at<Part>(5 * count + 1)); });
    memcpy(r.buffers[5 * count + 2].data(), found.data(), count * sizeof(Found));
}

// Buffers q, k, v, out, then keys and values of each sequence; numbers query heads, key heads, dim, window, scale, then filled
// and room of each. The launches are those of src/card/attend.rs.
template <class T> static void attend_all(Request &r) {
    unsigned heads = r.u(0), key_heads = r.u(1), dim = r.u(2), count = (unsigned)(r.buffers.size() - 4) / 2;
    std::vector<Sequence> all;
    for (unsigned s = 0; s < count; s++) {
        all.push_back({r.at<T>(4 + 2 * s), r.at<T>(5 + 2 * s), r.u(5 + 2 * s), r.u(6 + 2 * s)});
    }
    emulation::grid(key_heads, count, 32, [&] { append<T>(all.data(), r.at<T>(1), r.at<T>(2), dim); });
    emulation::grid(heads, count, 32 * WARPS, [&] {
        auto with = [&](auto work) { work(all.data(), r.at<T>(0), r.at<T>(3), heads / key_heads, dim, r.u(3), r.f(4)); };
        dim <= 32 ? with(attend<T, 1>) : dim <= 64 ? with(attend<T, 2>) : dim <= 128 ? with(attend<T, 4>) : with(attend<T, 8>);
    });
}

// Buffers sums, means (none: empty), norms of each input; a number says whether the means begin with the sums.
static void norms_of_all(Request &r) {
    std::vector<Squares> all;
    for (size_t i = 0; i < r.buffers.size() / 3; i++) {
        Squares of = {};
        of.sums = r.at<float>(3 * i);
        of.means = r.buffers[3 * i + 1].empty() ? nullptr : r.at<float>(3 * i + 1);
        of.norms = r.at<float>(3 * i + 2);
        of.n = (unsigned)r.buffers[3 * i].size() / 4, of.begins = r.u(0);
        all.push_back(of);
    }
    emulation::grid(2, (unsigned)all.size(), 64, [&] { roots(all.data()); });
}

// Buffers mask, first and second moment of each matrix.
static void forget_all(Request &r) {
    std::vector<Forgotten> all;
    for (size_t i = 0; i < r.buffers.size() / 3; i++) {
        all.push_back({r.at<unsigned char>(3 * i), r.at<float>(3 * i + 1), r.at<float>(3 * i + 2), r.buffers[3 * i].size()});
    }
    emulation::grid(2, (unsigned)all.size(), 64, [&] { forget(all.data()); });
}

// Buffers x, y, and six words: the key, the stream's number, the least number that is kept; numbers blocks, inputs, factor, and where
// x begins in its buffer.
template <class T> static void dropout_of(Request &r, bool onto) {
    auto words = r.at<unsigned long long>(2);
    Stream of = {{words[0], words[1], words[2], words[3]}, words[4]};
    emulation::grid(r.u(0), 1, 64, [&] {
        auto with = [&](auto work) { work(r.at<T>(0) + r.u(3), r.at<T>(1), r.u(1), of, words[5], r.f(2)); };
        onto ? with(dropout<true, T>) : with(dropout<false, T>);
    });
}

// Buffers of matrices, then one for all sums; numbers rows, rows at once, and the columns of each.
template <class T> static void column_squares_of_all(Request &r) {
    std::vector<Columns> all;
    unsigned rows = r.u(0), at_once = r.u(1), parts = (rows + at_once - 1) / at_once, total = 0;
    for (size_t i = 0; i + 1 < r.buffers.size(); i++) {
        all.push_back({r.at<T>(i), r.u(2 + i), total});
        total += r.u(2 + i);
    }
    std::vector<float> apart((size_t)parts * total);
    // Fewer threads than columns.
    emulation::grid(parts, (unsigned)all.size(), 32,
                    [&] { column_squares_of<T>(all.data(), apart.data(), rows, total, at_once); });
    emulation::grid((total + 31) / 32, 1, 32, [&] { column_sums(apart.data(), r.at<float>(all.size()), parts, total); });
}

template <class T> static bool run_for(Request &r, const std::string &type) {
    auto is = [&](const char *name) { return r.kernel == std::string(name) + "_" + type; };
    auto rows = [&](unsigned threads, std::function<void()> work) { emulation::grid(r.u(0), 1, threads, work); };
    if (is("rms_norm")) {
        rows(64, [&] { rms_norm<T>(r.at<T>(0), r.at<T>(1), r.at<T>(2), r.u(1), r.f(2)); });
    } else if (is("rms_norm_backward")) {
        rows(64, [&] { rms_norm_backward<T>(r.at<T>(0), r.at<T>(1), r.at<T>(2), r.at<T>(3), r.u(1), r.f(2)); });
    } else if (is("causal_softmax")) {
        rows(32, [&] { causal_softmax<T>(r.at<T>(0), r.u(1), r.u(2), r.u(3), r.u(4), r.u(5), r.f(6)); });
    } else if (is("softmax_backward")) {
        // The last number: where p begins in its buffer.
        rows(64, [&] { softmax_backward<T>(r.at<T>(0), r.at<T>(1) + r.u(3), r.u(1), r.f(2)); });
    } else if (is("cross_entropy")) {
        rows(256, [&] { cross_entropy<T>(r.at<T>(0), r.at<unsigned>(1), r.at<float>(2), r.u(1), r.f(2)); });
    } else if (is("swap_axes")) {
        rows(32, [&] { swap_axes<T>(r.at<T>(0), r.at<T>(1), r.u(1), r.u(2), r.u(3)); });
    } else if (is("attend")) {
        attend_all<T>(r);
    } else if (is("swiglu")) {
        rows(64, [&] { swiglu<T>(r.at<T>(0), r.at<T>(1), r.at<T>(2), r.u(1)); });
    } else if (is("swiglu_backward")) {
        rows(64, [&] { swiglu_backward<T>(r.at<T>(0), r.at<T>(1), r.at<T>(2), r.at<T>(3), r.u(1)); });
    } else if (is("dropout") || is("dropout_onto")) {
        dropout_of<T>(r, is("dropout_onto"));
    } else if (is("scaled_rows_float") || is("scaled_rows_bf16")) {
        // Two shares of a row.
        auto with = [&](auto work) { emulation::grid(r.u(0), 2, 32, work); };
        if (is("scaled_rows_float")) {
            with([&] { scaled_rows<float, T>(r.at<float>(0), r.at<float>(1), r.at<T>(2), r.u(1)); });
        } else {
            with([&] { scaled_rows<bf16, T>(r.at<bf16>(0), r.at<float>(1), r.at<T>(2), r.u(1)); });
        }
    } else if (is("column_squares_of")) {
        column_squares_of_all<T>(r);
    } else if (is("column_squares")) {
        unsigned rows = r.u(0), columns = r.u(1), at_once = r.u(2), parts = (rows + at_once - 1) / at_once;
        std::vector<float> sums((size_t)parts * columns);
        emulation::grid((columns + 31) / 32, parts, 32,
                        [&] { column_squares<T>(r.at<T>(0), sums.data(), rows, columns, at_once); });
        emulation::grid((columns + 31) / 32, 1, 32, [&] { column_sums(sums.data(), r.at<float>(1), parts, columns); });
    } else {
        return false;
    }
    return true;
}

static void run(Request &r) {
    if (run_for<float>(r, "float") || run_for<bf16>(r, "bf16")) return;
    Trained one = {};
    if (r.kernel == "adamw" || r.kernel == "descend" || r.kernel == "squares") {
        one.w = r.at<float>(0), one.g = r.at<float>(1), one.n = r.buffers[0].size() / 4;
    }
    if (r.kernel == "adamw") {
        one.m = r.at<float>(2), one.v = r.at<float>(3);
        emulation::grid(3, 1, 32, [&] {
            adamw(&one, r.f(0), r.f(1), r.f(2), r.f(3), r.f(4), r.f(5), r.f(6), r.f(7));
        });
    } else if (r.kernel == "descend") {
        emulation::grid(3, 1, 32, [&] { descend(&one, r.f(0), r.f(1)); });
    } else if (r.kernel == "squares") {
        emulation::grid(3, 1, 64, [&] { squares(&one, r.at<double>(2)); });
    } else if (r.kernel == "prune") {
        prune_all(r);
    } else if (r.kernel == "roots") {
        norms_of_all(r);
    } else if (r.kernel == "forget") {
        forget_all(r);
    } else {
        fprintf(stderr, "there is no kernel %s\n", r.kernel.c_str());
        exit(2);
    }
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "emulate REQUEST ANSWER\n");
        return 2;
    }
    Request request = read(argv[1]), other = request;
    run(request);
    emulation::backwards = true;
    run(other);
    std::ofstream out(argv[2], std::ios::binary);
    for (size_t i = 0; i < request.buffers.size(); i++) {
        if (request.buffers[i] != other.buffers[i]) {
            fprintf(stderr, "buffer %zu depends on the order of the threads\n", i);
            return 4;
        }
        out.write(request.buffers[i].data(), (long)request.buffers[i].size());
    }
    return out.flush() ? 0 : 2;
}
