// The model in TensorFlow Lite Micro.
#ifndef POETS_EDGE_CLASSIFIER_H_
#define POETS_EDGE_CLASSIFIER_H_

#include <cstddef>
#include <cstdint>

#include "labels.h"
#include "preprocess.h"

namespace poets_edge {

class Classifier {
 public:
  Classifier();

  // Loads the model. The arena must be aligned to 16 bytes, have kArenaSize bytes (see model.h) and outlive the
  // classifier. Returns nullptr, or what failed.
  const char* Begin(std::uint8_t* arena, std::size_t size);

  // Classifies a frame. Returns nullptr, or what failed.
  const char* Run(const Frame& frame);

  // Index of the label with the highest score; see kLabels in labels.h.
  int Best() const;

  // Score of a label, 0 to 1.
  float Score(int label) const;

  // Whether the frame is unlike the training photos. Always false for models without a detector; see kHasDetector in
  // model.h.
  bool Unknown() const;

 private:
  struct Model;  // an interpreter, whose namespace depends on the version of TensorFlow Lite Micro

  Preprocessor preprocessor_;
  Model* model_ = nullptr;
  float scores_[kLabelCount] = {};
  float distance_ = 0.0f;
};

}  // namespace poets_edge

#endif  // POETS_EDGE_CLASSIFIER_H_
