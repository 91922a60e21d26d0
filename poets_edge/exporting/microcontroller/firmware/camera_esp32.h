// Camera and memory of ESP32 boards, through esp32-camera. Pins: see camera_pins.h.
#ifndef POETS_EDGE_CAMERA_H_
#define POETS_EDGE_CAMERA_H_

#include <cstddef>
#include <cstdint>

#include "camera_pins.h"
#include "esp_camera.h"
#include "esp_heap_caps.h"
#include "preprocess.h"

namespace poets_edge {

// Returns memory inside the chip, which is fast, or external memory where that does not suffice; nullptr if neither does.
inline std::uint8_t* AllocateArena(std::size_t size) {
  void* arena = heap_caps_aligned_alloc(16, size, MALLOC_CAP_INTERNAL | MALLOC_CAP_8BIT);
  if (arena == nullptr) {
    arena = heap_caps_aligned_alloc(16, size, MALLOC_CAP_SPIRAM | MALLOC_CAP_8BIT);
  }
  return static_cast<std::uint8_t*>(arena);
}

// Returns nullptr, or what failed.
inline const char* StartCamera() {
  camera_config_t config = CameraPins();
  config.xclk_freq_hz = 20000000;
  config.pixel_format = PIXFORMAT_RGB565;
  config.frame_size = FRAMESIZE_QVGA;  // 320 x 240
  config.fb_count = 1;
  config.fb_location = CAMERA_FB_IN_PSRAM;
  config.grab_mode = CAMERA_GRAB_WHEN_EMPTY;
  return esp_camera_init(&config) == ESP_OK ? nullptr : "the camera does not answer: check camera_pins.h";
}

inline camera_fb_t*& CurrentFrame() {
  static camera_fb_t* frame = nullptr;
  return frame;
}

// Takes a picture; it is valid until Release.
inline bool Capture(Frame* frame) {
  camera_fb_t* taken = CurrentFrame() = esp_camera_fb_get();
  if (taken == nullptr) {
    return false;
  }
  *frame = {taken->buf, static_cast<int>(taken->width), static_cast<int>(taken->height), PixelFormat::kRgb565BigEndian};
  return true;
}

inline void Release() { esp_camera_fb_return(CurrentFrame()); }

}  // namespace poets_edge

#endif  // POETS_EDGE_CAMERA_H_
