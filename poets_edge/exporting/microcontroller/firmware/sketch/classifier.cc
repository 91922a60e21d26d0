#include "classifier.h"

#include <new>

#include "model.h"
#include "operators.h"
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/schema/schema_generated.h"

namespace poets_edge {
namespace {

constexpr float kLimit = 1.0f;  // distance from the training photos above which a photo is unknown

float Real(const TfLiteTensor* tensor, int index) {
  return tensor->params.scale * (tensor->data.int8[index] - tensor->params.zero_point);
}

}  // namespace

struct Classifier::Model {
  Model(std::uint8_t* arena, std::size_t size) : interpreter(tflite::GetModel(kModel), operators, arena, size) {}

  Operators operators;
  tflite::MicroInterpreter interpreter;
};

Classifier::Classifier() : preprocessor_(kInputWidth, kInputHeight, kInputChannels) {}

const char* Classifier::Begin(std::uint8_t* arena, std::size_t size) {
  // Static, not on the stack, which is small; there is one model.
  alignas(Model) static unsigned char memory[sizeof(Model)];
  if (model_ != nullptr) {
    return nullptr;
  }
  Model* model = new (memory) Model(arena, size);
  if (AddOperators(&model->operators) != kTfLiteOk) {
    return "an operator is missing in this version of TensorFlow Lite Micro";
  }
  if (model->interpreter.AllocateTensors() != kTfLiteOk) {
    return "the arena is too small";
  }
  model_ = model;
  return nullptr;
}

const char* Classifier::Run(const Frame& frame) {
  if (model_ == nullptr) {
    return "Begin was not called, or failed";
  }
  preprocessor_.Run(frame, model_->interpreter.input(0)->data.int8);
  if (model_->interpreter.Invoke() != kTfLiteOk) {
    return "the inference failed";
  }
  for (int label = 0; label < kLabelCount; ++label) {
    scores_[label] = Real(model_->interpreter.output(0), label);
  }
  if (kHasDetector) {
    distance_ = Real(model_->interpreter.output(1), 0);
  }
  return nullptr;
}

int Classifier::Best() const {
  int best = 0;
  for (int label = 1; label < kLabelCount; ++label) {
    if (scores_[label] > scores_[best]) {
      best = label;
    }
  }
  return best;
}

float Classifier::Score(int label) const { return scores_[label]; }

bool Classifier::Unknown() const { return distance_ > kLimit; }

}  // namespace poets_edge
