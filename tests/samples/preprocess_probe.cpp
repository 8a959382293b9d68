// samples/common as a library for Python: a photo's file, and its pixels as a network takes them.
#include <cstring>

#include "photo.hpp"
#include "preprocess.hpp"

namespace {
std::string why;
}

extern "C" {

const char* error() { return why.c_str(); }

// Reads a photo into `pixels`, of `room` bytes; says its size. 1: it could not, and error() says why.
int photo(const char* path, int channels, int exif, int* size, uint8_t* pixels, size_t room) try {
    const edgeeff::Photo found = edgeeff::read_photo(path, channels, exif != 0);
    if (found.pixels.size() > room) throw std::runtime_error("too large for this test");
    size[0] = found.width;
    size[1] = found.height;
    std::memcpy(pixels, found.pixels.data(), found.pixels.size());
    return 0;
} catch (const std::exception& error) {
    why = error.what();
    return 1;
}

// Fits a photo [height, width, channels] to an input; `box` gets what the input shows of it.
void fit(const uint8_t* pixels, int width, int height, int channels, int input_width, int input_height, int filter,
         double crop, int squash, int letterbox, const uint8_t* fill, uint8_t* input, double* box) {
    edgeeff::Recipe recipe{input_width, input_height, edgeeff::Filter(filter), crop, squash != 0, letterbox != 0, {}};
    std::copy_n(fill, channels, recipe.fill);
    const size_t bytes = size_t(width) * height * channels;
    const auto made = edgeeff::fit(recipe, {width, height, channels, {pixels, pixels + bytes}});
    std::copy(made.begin(), made.end(), input);
    const edgeeff::Box shown = edgeeff::place(recipe, width, height);
    std::memcpy(box, &shown, sizeof shown);
}

void normalise(const uint8_t* pixels, size_t bytes, int channels, const float* mean, const float* std, int first,
               float* input) {
    edgeeff::normalise({pixels, pixels + bytes}, channels, mean, std, first != 0, input);
}
}
