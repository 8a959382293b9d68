// What the samples share beside the runtime: the command line, the bundle held against the header that the program
// was built with, the photos of a run as the network's input, and its answers as lines of text.
//
// bundle.h is what `edgeeff inspect BUNDLE --c-header bundle.h` wrote.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "bundle.h"

namespace edgeeff {
#if EDGEEFF_INPUT_FLOAT32
using Input = float;
#elif EDGEEFF_INPUT_INT8
using Input = int8_t;
#else
using Input = uint8_t;
#endif
}  // namespace edgeeff

#include "answers.hpp"
#include "digest.hpp"
#include "photo.hpp"
#include "preprocess.hpp"

#if EDGEEFF_CAMERA
#error "this bundle takes a camera's frames (--io, --resize-in-model): its README has the lines for them"
#endif
#if EDGEEFF_CHANNELS == 4
#error "photos have no four channels: this bundle's images come from elsewhere"
#endif

namespace edgeeff {

constexpr Filter kFilter = EDGEEFF_FILTER_BILINEAR ? Filter::bilinear
                           : EDGEEFF_FILTER_LANCZOS ? Filter::lanczos : Filter::bicubic;
constexpr size_t kInputSize = size_t(EDGEEFF_HEIGHT) * EDGEEFF_WIDTH * EDGEEFF_CHANNELS;

inline Recipe recipe() {
    Recipe found{EDGEEFF_WIDTH, EDGEEFF_HEIGHT, kFilter, EDGEEFF_CROP, EDGEEFF_SQUASH, EDGEEFF_LETTERBOX, {}};
    std::copy(std::begin(edgeeff_fill), std::end(edgeeff_fill), found.fill);
    return found;
}

struct Arguments {
    std::string model;  // the network's file
    std::vector<std::string> photos;
    std::string save;  // where the outputs go as float32, one image after another; empty: nowhere
};

inline std::vector<uint8_t> bytes_of(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::vector<uint8_t> found{std::istreambuf_iterator<char>(stream), {}};
    if (found.empty()) throw std::runtime_error(path + ": it is not there, or empty");
    return found;
}

// Reads the command line. Throws where the folder is no bundle, or another one than the program was built for.
inline Arguments arguments(int count, char** values) {
    std::vector<std::string> given(values + 1, values + count);
    const std::string usage = std::string("usage: ") + values[0] +
        " BUNDLE PHOTO... [--save FILE]\nAnswers of " EDGEEFF_NAME " (" EDGEEFF_RUNTIME ", " EDGEEFF_TASK
        ") for photos, JPEG or PPM; with --save its outputs as raw float32.\n";
    for (const auto& each : given)
        if (each == "--help" || each == "-h") {
            std::fputs(usage.c_str(), stdout);
            std::exit(0);
        }
    Arguments found;
    if (given.size() > 2 && given[given.size() - 2] == "--save") {
        found.save = given.back();
        given.resize(given.size() - 2);
    }
    if (given.size() < 2) throw std::runtime_error(usage.substr(0, usage.find('\n')));
    if (sha256(bytes_of(given[0] + "/manifest.json")) != EDGEEFF_DIGEST)
        throw std::runtime_error(given[0] + " is not the bundle that this program was built for (" EDGEEFF_NAME ", "
                                 EDGEEFF_RUNTIME "): write its header again and build it again");
    found.model = given[0] + "/" EDGEEFF_FILE;
    bytes_of(found.model);
    found.photos.assign(given.begin() + 1, given.end());
    return found;
}

// The photos of a run, from number `first` on: as many as it takes, or as are left.
inline Run prepared(const std::vector<std::string>& photos, size_t first) {
    static const Recipe wanted = recipe();
    Run run;
    for (size_t i = first; i < photos.size() && i < first + EDGEEFF_BATCH; ++i) {
        const Photo photo = read_photo(photos[i], EDGEEFF_CHANNELS, EDGEEFF_EXIF);
        const std::vector<uint8_t> pixels = fit(wanted, photo);
        run.names.push_back(photos[i]);
        run.shown.push_back(place(wanted, photo.width, photo.height));
        run.photos.push_back({0, 0, double(photo.width), double(photo.height)});
        run.input.resize(run.input.size() + kInputSize);
        Input* input = run.input.data() + run.input.size() - kInputSize;
#if EDGEEFF_NORMALISED
        normalise(pixels, EDGEEFF_CHANNELS, edgeeff_mean, edgeeff_std, EDGEEFF_CHANNELS_FIRST, input);
#else
        arrange(pixels, EDGEEFF_CHANNELS, EDGEEFF_INPUT_OFFSET, EDGEEFF_CHANNELS_FIRST, input);
#endif
    }
    run.count = EDGEEFF_BATCH_DYNAMIC ? int(run.names.size()) : EDGEEFF_BATCH;
    const std::vector<Input> last(run.input.end() - kInputSize, run.input.end());
    while (run.input.size() < run.count * kInputSize) run.input.insert(run.input.end(), last.begin(), last.end());
    return run;
}

}  // namespace edgeeff
