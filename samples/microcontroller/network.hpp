// The part that goes into a firmware: a bundle's network in tflite-micro, in an arena of the size that the build
// measured. C++17 and tflite-micro; no heap, no exceptions. One network in a program.
//
// model_data.h and model_data.cc are those of the bundle's folder firmware/.
#pragma once

#include <cstdint>
#include <cstring>

#include "model_data.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"

class Network {
  public:
    // False where the arena is too small, or the library lacks an operator: tflite-micro's log says which.
    bool begin() {
        if (!AddOperators(resolver())) return false;
        return interpreter().AllocateTensors() == kTfLiteOk && interpreter().input(0)->bytes == kInputBytes;
    }

    // One image, int8 [kInputHeight, kInputWidth, kInputChannels], pixels of 0..255 less 128. It is copied, each time:
    // the interpreter uses the input's memory for something else once it was read.
    bool run(const int8_t* image) {
        std::memcpy(interpreter().input(0)->data.int8, image, kInputBytes);
        return interpreter().Invoke() == kTfLiteOk;
    }

    // What the last image gave; it lives until the next. Its values are those of model_data.h.
    const int8_t* output(int number = 0) { return interpreter().output(number)->data.int8; }

    // Bytes of the arena that are in use; on your processor fewer than kArenaSize, unless its kernels want more.
    size_t used() { return interpreter().arena_used_bytes(); }

  private:
    static constexpr size_t kInputBytes = size_t(kInputHeight) * kInputWidth * kInputChannels;
    using Resolver = tflite::MicroMutableOpResolver<kOperatorCount>;

    static Resolver& resolver() {
        static Resolver found;
        return found;
    }
    static tflite::MicroInterpreter& interpreter() {
        alignas(16) static uint8_t arena[kArenaSize];  // in RAM; the model itself stays in flash
        static tflite::MicroInterpreter found(tflite::GetModel(kModelData), resolver(), arena, kArenaSize);
        return found;
    }
};
