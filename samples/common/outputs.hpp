// What a runtime gives for a run, by the names that the bundle has for it. The header of a bundle comes first.
#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "preprocess.hpp"

namespace edgeeff {

struct Run {  // the images of one run
    std::vector<std::string> names;
    std::vector<Box> shown;     // what of each photo the input shows, for boxes
    std::vector<Box> photos;    // the whole of each
    std::vector<Input> input;   // [count, ...] as the artifact takes it
    int count = 0;              // of a fixed batch more than there are names, where photos run out
};

struct Values {  // an output for a run
    std::string name;
    std::vector<float> values;
};

// An output as float32, from the memory of a runtime that has it in the bundle's type: (integer - zero point) * scale.
inline Values reals(const std::string& name, const void* memory, size_t count) {
    Values found{name, std::vector<float>(count)};
    float scale = 0;
    int zero_point = 0;
    for (const auto& output : edgeeff_outputs)
        if (*output.name == 0 || name == output.name) {
            scale = output.scale;
            zero_point = output.zero_point;
        }
    if (scale == 0) {
        std::memcpy(found.values.data(), memory, count * sizeof(float));
        return found;
    }
    for (size_t i = 0; i < count; ++i) {
        const int stored = EDGEEFF_INPUT_INT8 ? static_cast<const int8_t*>(memory)[i] : static_cast<const uint8_t*>(memory)[i];
        found.values[i] = float(stored - zero_point) * scale;
    }
    return found;
}

// The outputs of a run, looked up by name; where the bundle says no name, there is one.
class Outputs {
  public:
    Outputs(const std::vector<Values>& values, int images) : values_(values), images_(images) {}

    bool have(const std::string& name) const { return find(name) != nullptr; }

    const std::vector<float>& whole(const std::string& name) const {
        if (const Values* found = find(name)) return found->values;
        std::string there;
        for (const auto& each : values_) there += (there.empty() ? "" : ", ") + each.name;
        throw std::runtime_error("the artifact has no output " + name + ", but " + there);
    }

    const float* of(const std::string& name, int image) const {
        const auto& values = whole(name);
        return values.data() + image * (values.size() / images_);
    }

    const std::vector<Values>& all() const { return values_; }
    int images() const { return images_; }

  private:
    const Values* find(const std::string& name) const {
        for (const auto& each : values_)
            if (each.name == name || (name.empty() && values_.size() == 1)) return &each;
        return nullptr;
    }

    const std::vector<Values>& values_;
    int images_;
};

// A file of outputs, float32, in the order of the bundle's: one image after another.
class Saved {
  public:
    explicit Saved(const std::string& path) {
        if (!path.empty()) file_.open(path, std::ios::binary);
        if (!path.empty() && !file_) throw std::runtime_error(path + " cannot be written");
    }

    void add(const Outputs& outputs, int image) {
        if (!file_.is_open()) return;
#if EDGEEFF_TASK_DETECTION && EDGEEFF_BOXES_INSIDE
        (void)outputs, (void)image;
        throw std::runtime_error("--save: this bundle gives boxes, which are printed");
#else
        for (const auto& output : edgeeff_outputs) {
            const size_t bytes = outputs.whole(output.name).size() / outputs.images() * sizeof(float);
            file_.write(reinterpret_cast<const char*>(outputs.of(output.name, image)), std::streamsize(bytes));
        }
        if (!file_.flush()) throw std::runtime_error("the outputs cannot be written");
#endif
    }

  private:
    std::ofstream file_;
};

}  // namespace edgeeff
