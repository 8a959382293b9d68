// From what a detector's artifact gives to boxes in pixels of its input: anchors decoded and overlaps dropped as
// edgeeff does it, in float32; or the boxes that the artifact makes itself. The header of a bundle comes first.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace edgeeff {

struct Found {  // a box in pixels of the input, with its class and score
    float left, top, right, bottom, score;
    int label;
};

inline float sigmoid(float logit) {
    const float power = std::exp(-std::fabs(logit));
    return (logit >= 0 ? 1.0f : power) / (1.0f + power);
}

// Boxes that a runtime made: those from the threshold on, the best first.
inline std::vector<Found> shown(std::vector<Found> boxes) {
    const auto low = [](const Found& box) { return !(box.score >= float(EDGEEFF_THRESHOLD)) || box.label < 0; };
    boxes.erase(std::remove_if(boxes.begin(), boxes.end(), low), boxes.end());
    std::stable_sort(boxes.begin(), boxes.end(), [](auto& a, auto& b) { return a.score > b.score; });
    return boxes;
}

#if !EDGEEFF_BOXES_INSIDE

struct Anchor {
    float y, x, height, width;
};

// Level by level, row by row, at a place each size with all its shapes.
inline std::vector<Anchor> anchors() {
    std::vector<Anchor> all;
    int rows = EDGEEFF_HEIGHT, columns = EDGEEFF_WIDTH;
    for (int level = 1; level <= EDGEEFF_LAST_LEVEL; ++level) {
        rows = (rows + 1) / 2;
        columns = (columns + 1) / 2;
        if (level < EDGEEFF_FIRST_LEVEL) continue;
        const double down = double(EDGEEFF_HEIGHT) / rows, across = double(EDGEEFF_WIDTH) / columns;
        for (int row = 0; row < rows; ++row)
            for (int column = 0; column < columns; ++column)
                for (int octave = 0; octave < EDGEEFF_OCTAVES; ++octave)
                    for (const auto& ratio : edgeeff_ratios) {
                        const double side = EDGEEFF_ANCHOR_SCALE * std::pow(2.0, double(octave) / EDGEEFF_OCTAVES);
                        const double height = side * down * ratio[1] / 2, width = side * across * ratio[0] / 2;
                        const double y = (row + 0.5) * down, x = (column + 0.5) * across;
                        const float top = float(y - height), left = float(x - width);
                        const float bottom = float(y + height), right = float(x + width);
                        all.push_back({(top + bottom) / 2, (left + right) / 2, bottom - top, right - left});
                    }
    }
    return all;
}

inline float overlap_over(const Found& a, const Found& b, float iou) {  // above 0: they overlap by more
    const float wide = std::max(std::min(a.right, b.right) - std::max(a.left, b.left), 0.0f);
    const float high = std::max(std::min(a.bottom, b.bottom) - std::max(a.top, b.top), 0.0f);
    const float area = (a.right - a.left) * (a.bottom - a.top) + (b.right - b.left) * (b.bottom - b.top);
    return wide * high - (area - wide * high) * iou;
}

// Boxes of one image from its scores [anchors, classes] and codes [anchors, 4].
inline std::vector<Found> boxes_of_anchors(const float* logits, const float* codes) {
    static const std::vector<Anchor> all = anchors();
    constexpr int kCandidates = 5000;  // decoded at most, the best
    // A box drops none of a better score: those under the threshold need not be looked at.
    const double score = std::max(double(EDGEEFF_NMS_SCORE), EDGEEFF_THRESHOLD * (1 - 1e-5));
    const float floor = float(std::log(score / (1 - score)));
    std::vector<int> places;
    for (int i = 0; i < EDGEEFF_ANCHORS * EDGEEFF_CLASSES; ++i)
        if (logits[i] >= floor) places.push_back(i);
    std::stable_sort(places.begin(), places.end(), [&](int a, int b) { return logits[a] > logits[b]; });
    if (places.size() > kCandidates) places.resize(kCandidates);
    std::vector<Found> kept;
    for (const int place : places) {
        const Anchor& anchor = all[place / EDGEEFF_CLASSES];
        const float* code = codes + place / EDGEEFF_CLASSES * 4;
        if (std::any_of(code, code + 4, [](float value) { return std::isnan(value); })) continue;
        const float y = std::clamp(code[0], -1e6f, 1e6f) * anchor.height + anchor.y;
        const float x = std::clamp(code[1], -1e6f, 1e6f) * anchor.width + anchor.x;
        const float height = std::exp(std::clamp(code[2], -16.0f, 16.0f)) * anchor.height / 2;
        const float width = std::exp(std::clamp(code[3], -16.0f, 16.0f)) * anchor.width / 2;
        const Found box{x - width, y - height, x + width, y + height, sigmoid(logits[place]), place % EDGEEFF_CLASSES};
        const bool dropped = std::any_of(kept.begin(), kept.end(), [&](const Found& better) {
            return (EDGEEFF_NMS_ACROSS || better.label == box.label) &&
                   overlap_over(better, box, float(EDGEEFF_NMS_IOU)) > 0;
        });
        if (!dropped) kept.push_back(box);
        if (kept.size() == EDGEEFF_MAX_BOXES) break;
    }
    return shown(kept);
}

#else

// Corners are in pixels of the input, or in shares of its sides.
constexpr bool kShares = EDGEEFF_RUNTIME_OPENVINO || EDGEEFF_RUNTIME_TFLITE;
constexpr float kAcross = kShares ? EDGEEFF_WIDTH : 1, kDown = kShares ? EDGEEFF_HEIGHT : 1;

// Rows of image, class, score, x1, y1, x2, y2, those of all images of a run together, as OpenVINO's DetectionOutput and
// ONNX's NonMaxSuppression give them; a negative image ends them.
inline std::vector<Found> boxes_of_rows(const float* rows, size_t count, int image) {
    std::vector<Found> found;
    for (const float* row = rows; row < rows + 7 * count && row[0] >= 0; row += 7)
        if (row[0] == float(image))
            found.push_back({row[3] * kAcross, row[4] * kDown, row[5] * kAcross, row[6] * kDown, row[2], int(row[1])});
    return shown(found);
}

// Boxes of y1, x1, y2, x2 with their classes and scores, the first `count` of which are there: TFLite's operator
// TFLite_Detection_PostProcess and TensorRT's plugin EfficientNMS_TRT.
inline std::vector<Found> boxes_of_lists(const float* corners, const float* classes, const float* scores, float count) {
    std::vector<Found> found;
    for (int i = 0; i < std::min(int(count), EDGEEFF_MAX_BOXES); ++i) {
        const float* box = corners + 4 * i;
        found.push_back({box[1] * kAcross, box[0] * kDown, box[3] * kAcross, box[2] * kDown, scores[i], int(classes[i])});
    }
    return shown(found);
}

#endif

}  // namespace edgeeff
