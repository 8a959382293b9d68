// From the pixels of a decoded photo to a network's input, by the arithmetic of edgeeff. C++17, no dependency.
//
// The numbers of a bundle (size, filter, crop, letterbox, mean, std) are those of its manifest.json, and
// `edgeeff inspect BUNDLE --c-header FILE` writes them as constants.
#pragma once

#include "resize.hpp"

namespace edgeeff {

struct Recipe {           // how a network wants its photos
    int width, height;    // of its input
    Filter filter;
    double crop;          // share of the resized photo that the centre crop keeps
    bool squash;          // each side is resized on its own
    bool letterbox;       // nothing is cut off: the photo stands at the top left
    uint8_t fill[4];      // the colour of what a letterbox leaves free
};

// What of a photo the input shows; of a letterbox it reaches beyond the photo. Boxes that a detector finds in
// the input are scaled back by it: x becomes left + x * (right - left) / width.
inline Box place(const Recipe& recipe, int width, int height) {
    if (width == recipe.width && height == recipe.height) return {0, 0, double(width), double(height)};
    if (recipe.letterbox) {
        const double scale = std::min(double(recipe.width) / width, double(recipe.height) / height);
        const double inner_width = std::max(std::floor(width * scale + 1e-6), 1.0);
        const double inner_height = std::max(std::floor(height * scale + 1e-6), 1.0);
        return {0, 0, double(recipe.width) * width / inner_width, double(recipe.height) * height / inner_height};
    }
    double across = recipe.width / recipe.crop / width, down = recipe.height / recipe.crop / height;
    if (!recipe.squash) across = down = std::max(across, down);
    const double shown = recipe.width / across, high = recipe.height / down;
    const double left = std::max((width - shown) / 2, 0.0), top = std::max((height - high) / 2, 0.0);
    return {left, top, std::min(left + shown, double(width)), std::min(top + high, double(height))};
}

// A photo as the network's input of raw pixels, [height, width, channels].
inline std::vector<uint8_t> fit(const Recipe& recipe, const Photo& photo) {
    if (photo.width == recipe.width && photo.height == recipe.height) return photo.pixels;
    const Box box = place(recipe, photo.width, photo.height);
    if (!recipe.letterbox) return resize(photo, recipe.width, recipe.height, recipe.filter, box).pixels;
    // From the box back to the photo's size in the input, both whole numbers.
    const int width = int(std::lround(double(recipe.width) * photo.width / box.right));
    const int height = int(std::lround(double(recipe.height) * photo.height / box.bottom));
    const Box whole{0, 0, double(photo.width), double(photo.height)};
    const Photo inner = resize(photo, width, height, recipe.filter, whole);
    std::vector<uint8_t> pixels(size_t(recipe.width) * recipe.height * photo.channels);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = recipe.fill[i % photo.channels];
    const int row = width * photo.channels;
    for (int y = 0; y < height; ++y)
        std::copy_n(inner.pixels.data() + size_t(y) * row, row, pixels.data() + size_t(y) * recipe.width * photo.channels);
    return pixels;
}

// Raw pixels as an integer input: the pixels as they are (offset 0), or less 128 for an int8 input. Channels first
// (NCHW) for OpenVINO's float inputs, TensorRT and ONNX; last (NHWC) for TFLite and OpenVINO's integer ones.
template <class Value>
void arrange(const std::vector<uint8_t>& pixels, int channels, int offset, bool channels_first, Value* input) {
    const size_t area = pixels.size() / channels;
    for (size_t i = 0; i < area; ++i)
        for (int c = 0; c < channels; ++c)
            input[channels_first ? c * area + i : i * channels + c] = Value(pixels[i * channels + c] + offset);
}

// The same as a float input, (pixel - mean) / std.
inline void normalise(const std::vector<uint8_t>& pixels, int channels, const float* mean, const float* std,
                      bool channels_first, float* input) {
    arrange(pixels, channels, 0, channels_first, input);
    const size_t area = pixels.size() / channels;
    for (size_t i = 0; i < pixels.size(); ++i) {
        const size_t c = channels_first ? i / area : i % channels;
        input[i] = (input[i] - mean[c]) / std[c];
    }
}

}  // namespace edgeeff
