// Declarations of ESP-IDF.
#pragma once
#include <cstddef>
#include <cstdint>
#define MALLOC_CAP_8BIT (1 << 2)
#define MALLOC_CAP_SPIRAM (1 << 10)
#define MALLOC_CAP_INTERNAL (1 << 11)
void* heap_caps_aligned_alloc(std::size_t alignment, std::size_t size, std::uint32_t capabilities);
