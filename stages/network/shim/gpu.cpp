// What only a GPU has: streams, recorded work and sums over several of them. A library of its own, because it needs
// libtorch_cuda, which the program loads only where it is installed. Every function returns null or a message that the
// caller owns; no exception leaves this file.

#include <ATen/core/CachingHostAllocator.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/core/GradMode.h>
#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "guarded.h"

// Its header wants those of every CUDA library; this one call is all that is needed of it.
namespace torch::cuda::nccl {
void all_reduce(const std::vector<at::Tensor> &inputs, std::vector<at::Tensor> &outputs, int32_t op,
                const std::vector<std::optional<c10::cuda::CUDAStream>> &streams, const std::vector<void *> &comms);
}

namespace {

struct Recording {
  int device;
  c10::MempoolId_t pool = at::cuda::graph_pool_handle();
  bool gradients = c10::GradMode::is_enabled();
  at::cuda::CUDAGraph graph;

  explicit Recording(int device) : device(device) {}

  // After a failure libtorch leaves its allocators waiting for a recording that never ends: they would not look for memory to be
  // freed any more, and would ask a graph that is gone.
  void give_up() {
    auto *host = at::getHostAllocator(at::kCUDA);
    quietly([&] { c10::cuda::CUDACachingAllocator::endAllocateToPool(device, pool); });
    quietly([&] { host->end_allocate_to_pool(pool); });
    quietly([&] { c10::cuda::CUDACachingAllocator::releasePool(device, pool); });
    quietly([&] { host->release_pool(pool); });
  }

  template <class Work> static void quietly(Work work) {
    try {
      work();
    } catch (...) {
    }
  }
};

} // namespace

extern "C" {

// The models of all GPUs and their abilities, each once.
char *lfs_gpu_names(char **out) {
  return guarded([&] {
    int count = 0;
    C10_CUDA_CHECK(cudaGetDeviceCount(&count));
    std::set<std::string> names;
    for (int device = 0; device < count; ++device) {
      cudaDeviceProp properties;
      C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
      names.insert(std::string(properties.name) + " " + std::to_string(properties.major) + "." + std::to_string(properties.minor));
    }
    std::string all;
    for (const auto &name : names) {
      all += (all.empty() ? "" : ", ") + name;
    }
    *out = strdup(all.c_str());
  });
}

// From here on this thread works on a stream of its own on this GPU: a graph cannot be recorded on the one that all share.
char *lfs_gpu_own_stream(int device) {
  return guarded([&] {
    // Memory and workspaces belong to a stream: one is enough.
    if (c10::cuda::getCurrentCUDAStream(device) == c10::cuda::getDefaultCUDAStream(device)) {
      c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, device));
    }
  });
}

// Memory that is held and not used goes back to the GPU, for other processes.
char *lfs_gpu_give_back() {
  return guarded([&] {
    c10::cuda::CUDACachingAllocator::emptyCache();
    at::getHostAllocator(at::kCUDA)->empty_cache();
  });
}

// What this thread asks of the GPU is recorded from here, and not done.
char *lfs_gpu_record(Recording **out, int device) {
  return guarded([&] {
    c10::cuda::CUDAGuard here(device);
    c10::cuda::getCurrentCUDAStream().synchronize();
    // The recording has memory of its own; what the steps before have left could not be used for it.
    c10::cuda::CUDACachingAllocator::emptyCache();
    auto recording = std::make_unique<Recording>(device);
    try {
      // Other threads go on taking memory meanwhile.
      recording->graph.capture_begin(recording->pool, cudaStreamCaptureModeThreadLocal);
    } catch (...) {
      recording->give_up();
      throw;
    }
    *out = recording.release();
  });
}

// The end of the recording.
char *lfs_gpu_recorded(Recording *recording) {
  return guarded([&] {
    c10::cuda::CUDAGuard here(recording->device);
    // A refused operation may have left it turned off.
    c10::GradMode::set_enabled(recording->gradients);
    try {
      recording->graph.capture_end();
    } catch (...) {
      // The error is told once, not again by the next call that looks.
      (void)cudaGetLastError();
      recording->give_up();
      throw;
    }
  });
}

char *lfs_gpu_replay(Recording *recording) {
  return guarded([&] {
    c10::cuda::CUDAGuard here(recording->device);
    recording->graph.replay();
  });
}

char *lfs_gpu_forget(Recording *recording) {
  return guarded([&] { delete recording; });
}

// Each of the tensors, one a GPU, becomes the sum of all.
char *lfs_gpu_sum(at::Tensor **tensors, size_t count) {
  return guarded([&] {
    std::vector<at::Tensor> all;
    std::vector<std::optional<c10::cuda::CUDAStream>> streams;
    for (size_t i = 0; i < count; ++i) {
      all.push_back(*tensors[i]);
      streams.push_back(c10::cuda::getCurrentCUDAStream(tensors[i]->get_device()));
    }
    torch::cuda::nccl::all_reduce(all, all, /*sum*/ 0, streams, {});
  });
}

} // extern "C"
