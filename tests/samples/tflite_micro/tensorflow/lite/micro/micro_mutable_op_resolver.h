// As micro_interpreter.h beside it: the methods of the operators that EfficientNets become.
#pragma once
#include "micro_interpreter.h"

namespace tflite {
template <unsigned int tOpCount>
class MicroMutableOpResolver : public MicroOpResolver {
  public:
    TfLiteStatus AddAdd();
    TfLiteStatus AddConcatenation();
    TfLiteStatus AddConv2D();
    TfLiteStatus AddDepthwiseConv2D();
    TfLiteStatus AddFullyConnected();
    TfLiteStatus AddLogistic();
    TfLiteStatus AddMean();
    TfLiteStatus AddMul();
    TfLiteStatus AddSoftmax();
    TfLiteStatus AddSub();
};
}  // namespace tflite
