// Pillow's antialiased resize, in its fixed point, and so equal to it bit for bit. C++17, no dependency.
//
// Compile with -ffp-contract=off: where a compiler fuses a multiplication and an addition, as GCC does on ARM,
// a weight may come out one step off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

// Pillow 13 resizes down first where that leaves out more than twice as many rows as columns (a photo of 480 x
// 800 for an input of 224 x 224); older versions never do. On such photos a sixth of their pixels differs
// by a step, a few by more. Say -DEDGEEFF_PILLOW=12 for the older versions.
#ifndef EDGEEFF_PILLOW
#define EDGEEFF_PILLOW 13
#endif

namespace edgeeff {

enum class Filter { bilinear, bicubic, lanczos };

struct Photo {  // 8 bits a channel, interleaved, rows from the top; at most 2^31 bytes
    int width = 0, height = 0, channels = 0;
    std::vector<uint8_t> pixels;
};

struct Box {  // in pixels of a photo
    double left, top, right, bottom;
};

namespace detail {

inline double sinc(double x) {
    return x == 0.0 ? 1.0 : std::sin(x * 3.14159265358979323846) / (x * 3.14159265358979323846);
}

inline double weight(Filter filter, double x) {
    if (filter == Filter::lanczos) return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
    x = std::fabs(x);
    if (filter == Filter::bilinear) return x < 1.0 ? 1.0 - x : 0.0;
    constexpr double a = -0.5;
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

struct Taps {  // what makes one pixel of a line: weights, in 1 / 2^22, of its pixels from `first` on
    int first;
    std::vector<int32_t> weights;
};

// Taps of `out` pixels that show the part `from`…`to` of a line of `in` pixels.
inline std::vector<Taps> taps(int in, float from, float to, int out, Filter filter) {
    const double scale = static_cast<double>(to - from) / out, stretch = std::max(scale, 1.0);
    const double radius = filter == Filter::bilinear ? 1.0 : filter == Filter::bicubic ? 2.0 : 3.0;
    std::vector<Taps> all;
    for (int place = 0; place < out; ++place) {
        const double centre = from + (place + 0.5) * scale;
        const int first = std::max(static_cast<int>(centre - radius * stretch + 0.5), 0);
        const int last = std::min(static_cast<int>(centre + radius * stretch + 0.5), in);
        std::vector<double> reals;
        double sum = 0.0;
        for (int i = first; i < last; ++i) {
            reals.push_back(weight(filter, (i - centre + 0.5) * (1.0 / stretch)));
            sum += reals.back();
        }
        Taps one{first, {}};
        for (double real : reals) {
            if (sum != 0.0) real /= sum;
            one.weights.push_back(static_cast<int32_t>(real * (1 << 22) + (real < 0 ? -0.5 : 0.5)));
        }
        all.push_back(one);
    }
    return all;
}

// One channel of one pixel. `line` is its channel in the pixel of the first weight, the next pixel is `step` on.
inline uint8_t filtered(const uint8_t* line, int step, const std::vector<int32_t>& weights) {
    int32_t sum = 1 << 21;
    for (const int32_t weight : weights) {
        sum += weight * *line;
        line += step;
    }
    return static_cast<uint8_t>(std::clamp(sum >> 22, 0, 255));
}

inline Photo across(const Photo& photo, const std::vector<Taps>& taps) {
    const int n = photo.channels;
    Photo found{int(taps.size()), photo.height, n, std::vector<uint8_t>(taps.size() * photo.height * n)};
    uint8_t* out = found.pixels.data();
    for (int y = 0; y < photo.height; ++y)
        for (const auto& tap : taps)
            for (int c = 0; c < n; ++c)
                *out++ = filtered(&photo.pixels[(size_t(y) * photo.width + tap.first) * n + c], n, tap.weights);
    return found;
}

inline Photo down(const Photo& photo, const std::vector<Taps>& taps) {
    const int row = photo.width * photo.channels;
    Photo found{photo.width, int(taps.size()), photo.channels, std::vector<uint8_t>(taps.size() * row)};
    uint8_t* out = found.pixels.data();
    for (const auto& tap : taps)
        for (int x = 0; x < row; ++x)
            *out++ = filtered(&photo.pixels[size_t(tap.first) * row + x], row, tap.weights);
    return found;
}

}  // namespace detail

// A part of a photo at another size, as Pillow's Image.resize((width, height), filter, box).
inline Photo resize(const Photo& photo, int width, int height, Filter filter, const Box& box) {
    const auto columns = detail::taps(photo.width, float(box.left), float(box.right), width, filter);
    const auto rows = detail::taps(photo.height, float(box.top), float(box.bottom), height, filter);
    const int less = photo.height - height;
    if (EDGEEFF_PILLOW >= 13 && less > 0 && less > 2 * (photo.width - width))
        return detail::across(detail::down(photo, rows), columns);
    return detail::down(detail::across(photo, columns), rows);
}

}  // namespace edgeeff
