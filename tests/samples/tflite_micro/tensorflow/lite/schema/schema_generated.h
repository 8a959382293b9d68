// As micro_interpreter.h in the folder micro.
#pragma once
namespace tflite {
struct Model;
const Model* GetModel(const void* buf);
}  // namespace tflite
