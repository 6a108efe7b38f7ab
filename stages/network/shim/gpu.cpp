// What only a GPU has: streams, recorded work and sums over several of them. A library of its own, because it needs
// libtorch_cuda, which the program loads only where it is installed. Every function returns null or a message that the
// caller owns; no exception leaves this file.

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <cstring>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

// Its header wants those of every CUDA library; this one call is all that is needed of it.
namespace torch::cuda::nccl {
void all_reduce(const std::vector<at::Tensor> &inputs, std::vector<at::Tensor> &outputs, int32_t op,
                const std::vector<std::optional<c10::cuda::CUDAStream>> &streams, const std::vector<void *> &comms);
}

template <class Work> static char *guarded(Work work) {
  try {
    work();
    return nullptr;
  } catch (const std::exception &e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("libtorch threw something that is not an exception");
  }
}

extern "C" {

// The first GPU's model and abilities.
char *lfs_gpu_name(char **out) {
  return guarded([&] {
    cudaDeviceProp properties;
    C10_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
    std::string name = std::string(properties.name) + " " + std::to_string(properties.major) + "." + std::to_string(properties.minor);
    *out = strdup(name.c_str());
  });
}

// From here on this thread works on a stream of its own on this GPU: a graph cannot be recorded on the one that all share.
char *lfs_gpu_own_stream(int device) {
  return guarded([&] { c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, device)); });
}

// What this thread asks of the GPU is recorded from here, and not done.
char *lfs_gpu_record(at::cuda::CUDAGraph **out, int device) {
  return guarded([&] {
    c10::cuda::CUDAGuard here(device);
    c10::cuda::getCurrentCUDAStream().synchronize();
    auto graph = std::make_unique<at::cuda::CUDAGraph>();
    // Other threads go on taking memory meanwhile.
    graph->capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    *out = graph.release();
  });
}

// The end of the recording.
char *lfs_gpu_recorded(at::cuda::CUDAGraph *graph, int device) {
  return guarded([&] {
    c10::cuda::CUDAGuard here(device);
    try {
      graph->capture_end();
    } catch (...) {
      // The error is told once, not again by the next call that looks.
      (void)cudaGetLastError();
      throw;
    }
  });
}

char *lfs_gpu_replay(at::cuda::CUDAGraph *graph, int device) {
  return guarded([&] {
    c10::cuda::CUDAGuard here(device);
    graph->replay();
  });
}

char *lfs_gpu_forget(at::cuda::CUDAGraph *graph) {
  return guarded([&] { delete graph; });
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
