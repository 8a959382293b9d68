// Boxes of a bundle for DeepStream's nvinfer. NVIDIA's parser for such outputs (NvDsInferParseCustomEfficientDetTAO,
// which config_infer_primary.txt names) ends the whole program by an assertion where all boxes of a frame lie
// within its first two pixels, or where a class is not among those configured.
//
//   D=/opt/nvidia/deepstream/deepstream/sources/includes
//   g++ -std=c++14 -O2 -shared -fPIC -I$D -I/usr/local/cuda/include parser.cpp -o libedgeeff_parser.so
//
// In a copy of config_infer_primary.txt, in the same folder:
//
//   parse-bbox-func-name=NvDsInferParseEdgeeff
//   custom-lib-path=/where/it/is/libedgeeff_parser.so
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "nvdsinfer_custom_impl.h"

namespace {

// One of the network's outputs, or null: names are those of EfficientNMS_TRT.
const NvDsInferLayerInfo* layer(const std::vector<NvDsInferLayerInfo>& layers, const char* name) {
    for (const NvDsInferLayerInfo& each : layers)
        if (each.layerName != nullptr && std::strcmp(each.layerName, name) == 0) return &each;
    return nullptr;
}

}  // namespace

// Classes come as floats in the bundle's deploy/deepstream/detector.onnx, and the count as int32; boxes as top,
// left, bottom and right in pixels of the input. What is no number gives no box.
extern "C" bool NvDsInferParseEdgeeff(std::vector<NvDsInferLayerInfo> const& layers,
                                      NvDsInferNetworkInfo const& network,
                                      NvDsInferParseDetectionParams const& parameters,
                                      std::vector<NvDsInferObjectDetectionInfo>& found) {
    const NvDsInferLayerInfo* count = layer(layers, "num_detections");
    const NvDsInferLayerInfo* corners = layer(layers, "detection_boxes");
    const NvDsInferLayerInfo* scores = layer(layers, "detection_scores");
    const NvDsInferLayerInfo* classes = layer(layers, "detection_classes");
    if (!count || !corners || !scores || !classes || count->dataType != INT32 || corners->dataType != FLOAT ||
        scores->dataType != FLOAT || classes->dataType != FLOAT)
        return false;
    const int most = static_cast<int>(scores->inferDims.numElements);
    const int number = std::min(std::max(*static_cast<const int*>(count->buffer), 0), most);
    const float* box = static_cast<const float*>(corners->buffer);
    const float width = static_cast<float>(network.width), height = static_cast<float>(network.height);
    for (int i = 0; i < number; ++i, box += 4) {
        const float score = static_cast<const float*>(scores->buffer)[i];
        const float kind = static_cast<const float*>(classes->buffer)[i];
        if (!std::isfinite(kind) || kind < 0 || kind >= static_cast<float>(parameters.numClassesConfigured)) continue;
        const unsigned index = static_cast<unsigned>(kind);
        if (!(score >= parameters.perClassPreclusterThreshold[index])) continue;
        if (!std::isfinite(box[0] + box[1] + box[2] + box[3])) continue;
        const float top = std::max(box[0], 0.0f), left = std::max(box[1], 0.0f);
        NvDsInferObjectDetectionInfo object{};
        object.classId = index;
        object.detectionConfidence = score;
        object.left = left;
        object.top = top;
        object.width = std::min(box[3], width) - left;
        object.height = std::min(box[2], height) - top;
        if (object.width > 0 && object.height > 0) found.push_back(object);
    }
    return true;
}
