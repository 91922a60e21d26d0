// A delegate that supports no operator, as a stand-in for libedgetpu: it counts how often a model was prepared for it.
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct TfLiteContext;

// The layout that TensorFlow Lite expects (tensorflow/lite/core/c/common.h).
typedef struct TfLiteDelegate {
  void* data;
  int (*prepare)(struct TfLiteContext*, struct TfLiteDelegate*);
  void* copy_from_buffer_handle;
  void* copy_to_buffer_handle;
  void* free_buffer_handle;
  int64_t flags;
  void* opaque_delegate_builder;
} TfLiteDelegate;

static int prepare(struct TfLiteContext* context, TfLiteDelegate* delegate) {
  (void)context;
  (void)delegate;
  const char* log = getenv("STAND_IN_DELEGATE_LOG");
  FILE* file = log ? fopen(log, "a") : NULL;
  if (file) {
    fputs("prepared\n", file);
    fclose(file);
  }
  return 0;
}

TfLiteDelegate* tflite_plugin_create_delegate(char** keys, char** values, size_t count, void (*report)(const char*)) {
  (void)keys;
  (void)values;
  (void)count;
  if (getenv("STAND_IN_DELEGATE_FAILS")) {
    report("no device is plugged in");
    return NULL;
  }
  TfLiteDelegate* delegate = calloc(1, sizeof *delegate);
  delegate->prepare = prepare;
  return delegate;
}

void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) { free(delegate); }
