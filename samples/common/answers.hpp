// What a network says of a photo, as lines of text with tabs between: labels, boxes or features. The header of a
// bundle comes first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "outputs.hpp"
#include "preprocess.hpp"

#if EDGEEFF_TASK_DETECTION
#include "detector.hpp"
#endif

namespace edgeeff {

// A label in one line: what steers a terminal, or would end the line, is shown as \xNN.
inline std::string visible(const char* label) {
    std::string shown;
    for (const char* c = label; *c; ++c) {
        char escaped[5] = {*c, 0};
        if (static_cast<unsigned char>(*c) < 0x20 || *c == 0x7F) std::snprintf(escaped, 5, "\\x%02x", unsigned(*c));
        shown += escaped;
    }
    return shown;
}

#if EDGEEFF_TASK_CLASSIFICATION || EDGEEFF_TASK_MULTILABEL

// PHOTO, class, output, probability, label: the three likeliest classes; of a multilabel network each label that is
// there. Of equal probabilities the lower class comes first.
inline void print_labels(const std::string& photo, const float* output) {
    std::vector<float> shares(output, output + EDGEEFF_CLASSES);
    if (!EDGEEFF_PROBABILITIES && EDGEEFF_TASK_MULTILABEL)
        for (float& share : shares) {
            const float power = std::exp(-std::fabs(share));
            share = (share >= 0 ? 1.0f : power) / (1.0f + power);
        }
    else if (!EDGEEFF_PROBABILITIES) {
        const float largest = *std::max_element(shares.begin(), shares.end());
        for (float& share : shares) share = std::exp(share - largest);
        const float sum = std::accumulate(shares.begin(), shares.end(), 0.0f);
        for (float& share : shares) share /= sum;
    }
    std::vector<int> classes(EDGEEFF_CLASSES);
    std::iota(classes.begin(), classes.end(), 0);
    std::stable_sort(classes.begin(), classes.end(), [&](int a, int b) { return shares[a] > shares[b]; });
    size_t count = std::min<size_t>(3, classes.size());
    if (EDGEEFF_TASK_MULTILABEL)
        count = std::count_if(shares.begin(), shares.end(), [](float p) { return p >= float(EDGEEFF_THRESHOLD); });
    for (size_t i = 0; i < count; ++i)
        std::printf("%s\t%d\t%.9g\t%.6f\t%s\n", photo.c_str(), classes[i], output[classes[i]], shares[classes[i]],
                    visible(edgeeff_labels[classes[i]]).c_str());
    if (count == 0) std::printf("%s\t-1\t\t\t%s\n", photo.c_str(), visible(EDGEEFF_ABSENT).c_str());
}

#elif EDGEEFF_TASK_DETECTION

// PHOTO, class, score, left, top, right, bottom, label: boxes in pixels of the photo, the best first.
inline void print_boxes(const std::string& name, const Box& shown, const Box& photo, const std::vector<Found>& boxes) {
    bool none = true;
    const double across = (shown.right - shown.left) / EDGEEFF_WIDTH, down = (shown.bottom - shown.top) / EDGEEFF_HEIGHT;
    for (const Found& box : boxes) {
        const auto x = [&](float at) { return float(std::clamp(at * across + shown.left, photo.left, photo.right)); };
        const auto y = [&](float at) { return float(std::clamp(at * down + shown.top, photo.top, photo.bottom)); };
        const float left = x(box.left), top = y(box.top), right = x(box.right), bottom = y(box.bottom);
        if (!(right > left && bottom > top)) continue;  // it lies in the letterbox's border
        const char* label = box.label < EDGEEFF_CLASSES ? edgeeff_labels[box.label] : "a class that has no label";
        std::printf("%s\t%d\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%s\n", name.c_str(), box.label, box.score, left, top, right,
                    bottom, visible(label).c_str());
        none = false;
    }
    if (none) std::printf("%s\t-1\t\t\t\t\t\t%s\n", name.c_str(), visible(EDGEEFF_ABSENT).c_str());
}

#else

// PHOTO, output, shape, length (L2 norm), first values.
inline void print_features(const std::string& photo, const edgeeff_output& output, const float* values) {
    size_t size = 1;
    std::string shape;
    for (int i = 1; i < output.dimensions; ++i) {
        size *= output.shape[i];
        shape += (i > 1 ? "x" : "") + std::to_string(output.shape[i]);
    }
    double squares = 0;
    for (size_t i = 0; i < size; ++i) squares += double(values[i]) * values[i];
    std::printf("%s\t%s\t%s\t%.6f", photo.c_str(), output.name, shape.c_str(), std::sqrt(squares));
    for (size_t i = 0; i < std::min<size_t>(size, 4); ++i) std::printf("\t%.9g", values[i]);
    std::printf("\n");
}

#endif

// The answers for the images of a run.
inline void print(const Run& run, const std::vector<Values>& values, Saved& saved) {
    const Outputs outputs(values, run.count);
    for (int image = 0; image < int(run.names.size()); ++image) {
        const std::string& photo = run.names[image];
#if EDGEEFF_TASK_DETECTION && EDGEEFF_BOXES_INSIDE
        std::vector<Found> boxes;
        if (outputs.have("detection_boxes"))
            boxes = boxes_of_lists(outputs.of("detection_boxes", image), outputs.of("detection_classes", image),
                                   outputs.of("detection_scores", image), *outputs.of("num_detections", image));
        else
            boxes = boxes_of_rows(outputs.of("detections", 0), outputs.whole("detections").size() / 7, image);
        print_boxes(photo, run.shown[image], run.photos[image], boxes);
#elif EDGEEFF_TASK_DETECTION
        const auto boxes = boxes_of_anchors(outputs.of("class_logits", image), outputs.of("box_codes", image));
        print_boxes(photo, run.shown[image], run.photos[image], boxes);
#elif EDGEEFF_TASK_FEATURES
        for (const auto& output : edgeeff_outputs) print_features(photo, output, outputs.of(output.name, image));
#else
        print_labels(photo, outputs.of(edgeeff_outputs[0].name, image));
#endif
        saved.add(outputs, image);
    }
}

}  // namespace edgeeff
