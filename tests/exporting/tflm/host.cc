// The firmware as a library for tests.
#include "classifier.h"
#include "model.h"

extern "C" {

// Scores a frame, and sets unknown to 0 or 1; returns nullptr, or what failed.
const char* Score(const std::uint8_t* pixels, int width, int height, int format, float* scores, int* unknown) {
  alignas(16) static std::uint8_t arena[poets_edge::kArenaSize];
  static poets_edge::Classifier classifier;
  if (const char* problem = classifier.Begin(arena, sizeof arena)) {
    return problem;
  }
  if (const char* problem =
          classifier.Run({pixels, width, height, static_cast<poets_edge::PixelFormat>(format)})) {
    return problem;
  }
  for (int label = 0; label < poets_edge::kLabelCount; ++label) {
    scores[label] = classifier.Score(label);
  }
  *unknown = classifier.Unknown();
  return nullptr;
}

const char* BestLabel(const float* scores) {
  int best = 0;
  for (int label = 1; label < poets_edge::kLabelCount; ++label) {
    if (scores[label] > scores[best]) {
      best = label;
    }
  }
  return poets_edge::kLabels[best];
}

void Preprocess(const std::uint8_t* pixels, int width, int height, int format, int new_width, int new_height,
                int channels, std::int8_t* input) {
  static poets_edge::Preprocessor* preprocessor = nullptr;
  delete preprocessor;
  preprocessor = new poets_edge::Preprocessor(new_width, new_height, channels);
  for (int round = 0; round < 2; ++round) {  // the second frame uses what the first one prepared
    preprocessor->Run({pixels, width, height, static_cast<poets_edge::PixelFormat>(format)}, input);
  }
}
}
