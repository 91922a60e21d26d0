// Prints the label of what the camera sees, once a second.
#include <cstdio>

#include "camera.h"
#include "classifier.h"
#include "esp_timer.h"
#include "freertos/FreeRTOS.h"
#include "freertos/task.h"
#include "model.h"

namespace {

constexpr float kThreshold = 0.5f;  // scores below it are "unknown"

void Pause() { vTaskDelay(pdMS_TO_TICKS(1000)); }

// Prints a problem once a second, so that it is seen whenever the monitor is opened.
void Stop(const char* problem) {
  for (;;) {
    std::printf("%s\n", problem);
    Pause();
  }
}

}  // namespace

extern "C" void app_main() {
  static poets_edge::Classifier classifier;
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
  for (;; Pause()) {
    poets_edge::Frame frame;
    if (!poets_edge::Capture(&frame)) {
      continue;
    }
    const std::int64_t start = esp_timer_get_time();
    const char* problem = classifier.Run(frame);
    poets_edge::Release();
    if (problem != nullptr) {
      std::printf("%s\n", problem);
      continue;
    }
    const int best = classifier.Best();
    const float score = classifier.Score(best);
    const long milliseconds = static_cast<long>((esp_timer_get_time() - start) / 1000);
    const bool unknown = classifier.Unknown() || score < kThreshold;
    std::printf("%s %.1f %%, %ld ms\n", unknown ? "unknown" : poets_edge::kLabels[best],
                static_cast<double>(100 * score), milliseconds);
  }
}
