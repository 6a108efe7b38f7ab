// The few calls of libtorch that the torch bindings do not reach. Every function returns null on success or a
// message that the caller owns (`lfs_free`); no exception leaves this file.

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/GradMode.h>
#include <torch/headeronly/version.h>

#include <climits>
#include <cstdlib>
#include <cstring>
#include <vector>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "guarded.h"

// The same elements at the same places in memory: what an elementwise kernel over raw pointers relies on.
static at::Tensor laid_out_like(const at::Tensor &x, const at::Tensor &model) {
  if (x.strides() == model.strides()) {
    return x;
  }
  at::Tensor out = at::empty_like(model);
  out.copy_(x);
  return out;
}

extern "C" {

void lfs_free(char *text) { std::free(text); }

char *lfs_version() { return strdup(TORCH_VERSION); }

char *lfs_cpu_capability() {
  try {
    return strdup(at::get_cpu_capability().c_str());
  } catch (...) {
    return strdup("unknown");
  }
}

// Memory that is freed is used again, however large a piece: the C library would give large ones back to the system, which clears each
// page anew.
void lfs_keep_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

char *lfs_deterministic(bool on) {
  return guarded([&] {
    at::Context &context = at::globalContext();
    context.setDeterministicAlgorithms(on, /*warn_only=*/false);
    context.setDeterministicFillUninitializedMemory(false);
    context.setDeterministicCuDNN(on);
    context.setDeterministicMkldnn(on);
    context.setBenchmarkCuDNN(!on);
    context.setAllowTF32CuBLAS(!on);
    context.setAllowTF32CuDNN(!on);
  });
}

// Convolutions and products of this thread take their factors as bfloat16, from here until it is turned off.
char *lfs_autocast(bool on, bool cuda) {
  return guarded([&] {
    at::DeviceType device = cuda ? at::kCUDA : at::kCPU;
    if (on) {
      at::autocast::increment_nesting();
      at::autocast::set_autocast_dtype(device, at::kBFloat16);
      at::autocast::set_autocast_enabled(device, true);
    } else {
      at::autocast::set_autocast_enabled(device, false);
      if (at::autocast::decrement_nesting() == 0) {
        at::autocast::clear_cache();
      }
    }
  });
}

char *lfs_channels_last(at::Tensor *x) {
  return guarded([&] { *x = x->contiguous(at::MemoryFormat::ChannelsLast); });
}

char *lfs_pinned(at::Tensor *x) {
  return guarded([&] { *x = x->pin_memory(); });
}

char *lfs_zeros_like(at::Tensor *out, const at::Tensor *x) {
  return guarded([&] { *out = at::zeros_like(x->detach()); });
}

char *lfs_forget_gradients(at::Tensor **weights, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i) {
      weights[i]->mutable_grad() = at::Tensor();
    }
  });
}

// v <- momentum v + (g + decay w);  w <- w - lr v.  Buffers that hold zeros stand for "no step yet".
char *lfs_sgd(at::Tensor **weights, at::Tensor **velocities, size_t count, double lr, double momentum,
              double decay) {
  return guarded([&] {
    c10::AutoGradMode no_grad(false);
    std::vector<at::Tensor> w, g, v;
    for (size_t i = 0; i < count; ++i) {
      if (!weights[i]->grad().defined()) {
        continue;
      }
      w.push_back(weights[i]->detach());
      g.push_back(laid_out_like(weights[i]->grad(), *weights[i]));
      TORCH_CHECK(velocities[i]->strides() == weights[i]->strides(), "a momentum buffer differs in layout");
      v.push_back(*velocities[i]);
    }
    at::_fused_sgd_(w, g, v, decay, momentum, lr, /*dampening=*/0.0, /*nesterov=*/false, /*maximize=*/false,
                    /*is_first_step=*/false);
  });
}

} // extern "C"
