// Prints the label of what the camera sees, once a second.
#include <cstdlib>

#include <Chirale_TensorFlowLite.h>

#include "camera.h"
#include "classifier.h"
#include "model.h"

namespace {

constexpr float kThreshold = 0.5f;  // scores below it are "unknown"
poets_edge::Classifier classifier;

// Prints a problem once a second, so that it is seen whenever the serial monitor is opened.
void Stop(const char* problem) {
  for (;;) {
    Serial.println(problem);
    delay(1000);
  }
}

}  // namespace

void setup() {
  Serial.begin(115200);
  std::uint8_t* arena = poets_edge::AllocateArena(poets_edge::kArenaSize);
  if (arena == nullptr) {
    Stop("no memory for the arena");
  }
  if (const char* problem = classifier.Begin(arena, poets_edge::kArenaSize)) {
    Stop(problem);
  }
  if (const char* problem = poets_edge::StartCamera()) {
    Stop(problem);
  }
}

void loop() {
  poets_edge::Frame frame;
  if (!poets_edge::Capture(&frame)) {
    return;
  }
  const unsigned long start = millis();
  const char* problem = classifier.Run(frame);
  poets_edge::Release();
  if (problem != nullptr) {
    Serial.println(problem);
  } else {
    const int best = classifier.Best();
    const float score = classifier.Score(best);
    const bool unknown = classifier.Unknown() || score < kThreshold;
    Serial.print(unknown ? "unknown" : poets_edge::kLabels[best]);
    Serial.print(" ");
    Serial.print(100 * score, 1);
    Serial.print(" %, ");
    Serial.print(millis() - start);
    Serial.println(" ms");
  }
  delay(1000);
}
