// The few declarations of tflite-micro that samples/microcontroller uses, as its sources have them: enough to compile
// the sample where tflite-micro itself is not at hand. Nothing here computes.
#pragma once
#include <cstddef>
#include <cstdint>

typedef enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 } TfLiteStatus;
union TfLitePtrUnion {
    void* raw;
    int8_t* int8;
};
struct TfLiteTensor {
    TfLitePtrUnion data;
    size_t bytes;
};

namespace tflite {
struct Model;
class MicroOpResolver {};
class MicroAllocator;
class MicroResourceVariables;
class MicroProfilerInterface;
class MicroInterpreter {
  public:
    MicroInterpreter(const Model* model, const MicroOpResolver& op_resolver, uint8_t* tensor_arena,
                     size_t tensor_arena_size, MicroResourceVariables* resource_variables = nullptr,
                     MicroProfilerInterface* profiler = nullptr, bool preserve_all_tensors = false);
    TfLiteStatus AllocateTensors();
    TfLiteStatus Invoke();
    TfLiteTensor* input(size_t index);
    TfLiteTensor* output(size_t index);
    size_t arena_used_bytes() const;
};
}  // namespace tflite
