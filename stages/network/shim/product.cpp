// Products of matrices and the logarithm of a sum of exponentials, each with the same bits on every processor.
//
// A product's elements depend on nothing but their row and column (see the crate `lfs-products`), so that its parts can be computed by any
// number of threads. Rows of exponentials are added in a fixed order.

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/conv2d.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/logsumexp.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>

#include "guarded.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

namespace {

// What is computed by crates in Rust: a matrix product, and the natural logarithm. They come with the first call.
using ProductOf = void (*)(size_t rows, size_t columns, size_t inner, const float *a, const size_t *a_steps, const float *b,
                           const size_t *b_steps, float *c, size_t c_step);
using LogOf = double (*)(double);
std::atomic<ProductOf> product_of;
std::atomic<LogOf> log_of;

// Parts of a product are whole groups of rows or columns of the kernel.
constexpr int64_t ROWS = 6, COLUMNS = 16;

// a b, of matrices that lie in memory in any way.
at::Tensor times(const at::Tensor &a, const at::Tensor &b) {
  int64_t rows = a.size(0), columns = b.size(1), inner = a.size(1);
  at::Tensor c = at::empty({rows, columns}, a.options());
  const float *left = a.const_data_ptr<float>(), *right = b.const_data_ptr<float>();
  float *out = c.data_ptr<float>();
  size_t a_steps[2] = {size_t(a.stride(0)), size_t(a.stride(1))}, b_steps[2] = {size_t(b.stride(0)), size_t(b.stride(1))};
  ProductOf product = product_of;
  bool by_rows = rows >= columns;
  int64_t most = by_rows ? rows : columns, group = by_rows ? ROWS : COLUMNS, groups = (most + group - 1) / group;
  // So few that a thread more would only bring the other factor into order once more.
  int64_t parts = std::min<int64_t>(at::get_num_threads(), groups);
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      int64_t from = groups * part / parts * group, to = std::min(most, groups * (part + 1) / parts * group);
      if (by_rows) {
        product(to - from, columns, inner, left + from * a.stride(0), a_steps, right, b_steps, out + from * columns, columns);
      } else {
        product(rows, to - from, inner, left, a_steps, right + from * b.stride(1), b_steps, out + from, columns);
      }
    }
  });
  return c;
}

// x w^T.
struct Product : torch::autograd::Function<Product> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &w) {
    context->save_for_backward({x, w});
    return times(x, w.t());
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const at::Tensor &g = gradients[0];
    at::Tensor none;
    return {context->needs_input_grad(0) ? times(g, saved[1]) : none,
            context->needs_input_grad(1) ? times(g.t(), saved[0]) : none};
  }
};

// With channels innermost, as maps are, the pixels are the rows of a matrix.
at::Tensor pixels(const at::Tensor &map) { return map.permute({0, 2, 3, 1}).reshape({-1, map.size(1)}); }
at::Tensor map_of(const at::Tensor &pixels, int64_t n, int64_t height, int64_t width) {
  return pixels.view({n, height, width, pixels.size(1)}).permute({0, 3, 1, 2});
}
at::Tensor every(const at::Tensor &map, int64_t stride) {
  return stride > 1 ? map.slice(2, 0, std::nullopt, stride).slice(3, 0, std::nullopt, stride) : map;
}

// A convolution of 1 x 1: at every pixel that is seen the product of its channels with the weights.
struct Pointwise : torch::autograd::Function<Pointwise> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &w, int64_t stride) {
    at::Tensor seen = every(x, stride), rows = pixels(seen), weights = w.flatten(1);
    context->save_for_backward({rows, weights});
    context->saved_data["shape"] = x.sizes();
    context->saved_data["stride"] = stride;
    return map_of(times(rows, weights.t()), seen.size(0), seen.size(2), seen.size(3));
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    int64_t stride = context->saved_data["stride"].toInt();
    at::Tensor g = pixels(gradients[0]), dx, dw;
    if (context->needs_input_grad(0)) {
      const at::Tensor &y = gradients[0];
      dx = map_of(times(g, saved[1]), y.size(0), y.size(2), y.size(3));
      if (stride > 1) {
        auto shape = context->saved_data["shape"].toIntVector();
        at::Tensor whole = at::empty(shape, dx.options(), at::MemoryFormat::ChannelsLast).zero_();
        every(whole, stride).copy_(dx);
        dx = whole;
      }
    }
    if (context->needs_input_grad(1)) {
      dw = times(g.t(), saved[0]).unsqueeze(2).unsqueeze(3);
    }
    return {dx, dw, at::Tensor()};
  }
};

// e^x of numbers that are not above 0, within two units of the last place; 0 below -87. Multiplications and additions alone.
inline float exponential(float z) {
  float x = z < -87.0f ? -87.0f : z;
  float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;
  float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  int32_t bits = (int32_t(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return z < -87.0f ? 0.0f : p * power;
}

constexpr int64_t LANES = 32;

// Vectors are of one width: what a compiler makes of the loops below is the same program everywhere.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define VECTORS __attribute__((target_clones("default", "avx2")))
#else
#define VECTORS
#endif

// sum e^(x - most) of a row.
VECTORS double sum_of(const float *x, int64_t n, float most) {
  float lanes[LANES] = {};
  int64_t whole = n / LANES * LANES;
  for (int64_t j = 0; j < whole; j += LANES) {
    for (int64_t k = 0; k < LANES; ++k) {
      lanes[k] += exponential(x[j + k] - most);
    }
  }
  double sum = 0;
  for (float lane : lanes) {
    sum += lane;
  }
  for (int64_t j = whole; j < n; ++j) {
    sum += exponential(x[j] - most);
  }
  return sum;
}

VECTORS void shares(const float *x, float *to, int64_t n, float whole, float times) {
  for (int64_t j = 0; j < n; ++j) {
    to[j] = exponential(x[j] - whole) * times;
  }
}

struct LogSumExp : torch::autograd::Function<LogSumExp> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &logits) {
    at::Tensor x = logits.contiguous();
    int64_t rows = x.size(0), n = x.size(1);
    at::Tensor out = at::empty({rows}, x.options());
    const float *from = x.const_data_ptr<float>();
    float *to = out.data_ptr<float>();
    LogOf log = log_of;
    at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        float most = *std::max_element(from + i * n, from + (i + 1) * n);
        // Nothing but minus infinity, or what is no number: as it is.
        to[i] = std::isfinite(most) ? float(most + log(sum_of(from + i * n, n, most))) : most;
      }
    });
    context->save_for_backward({x, out});
    return out;
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto saved = context->get_saved_variables();
    const at::Tensor &x = saved[0];
    at::Tensor g = gradients[0].contiguous(), dx = at::empty_like(x);
    int64_t rows = x.size(0), n = x.size(1);
    const float *from = x.const_data_ptr<float>(), *whole = saved[1].const_data_ptr<float>(),
                *steep = g.const_data_ptr<float>();
    float *to = dx.data_ptr<float>();
    at::parallel_for(0, rows, 1, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) {
        shares(from + i * n, to + i * n, n, whole[i], steep[i]);
      }
    });
    return {dx};
  }
};

// Numbers whose values and slopes are known: the values, with the slopes' gradient.
struct Sloped : torch::autograd::Function<Sloped> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &x, const at::Tensor &y, const at::Tensor &slope) {
    context->save_for_backward({slope});
    return y.clone();
  }
  static variable_list backward(AutogradContext *context, variable_list gradients) {
    at::Tensor none;
    return {gradients[0] * context->get_saved_variables()[0], none, none};
  }
};

bool is_here(const at::Tensor &x) {
  return x.is_cpu() && x.scalar_type() == at::kFloat && !torch::jit::tracer::isTracing() &&
         !at::autocast::is_autocast_enabled(at::kCPU);
}

bool is_plain(const at::Tensor &x) { return x.dim() == 2 && is_here(x); }

} // namespace

// x w^T, [n, k] by [m, k]. Without a product, on a GPU, in other numbers, and where a network is written down, libtorch's own.
extern "C" char *lfs_linear(at::Tensor *out, const at::Tensor *x, const at::Tensor *w, ProductOf product) {
  return guarded([&] {
    if (product) {
      product_of = product;
    }
    bool here = product && is_plain(*x) && is_plain(*w) && x->size(1) == w->size(1);
    *out = here ? Product::apply(*x, *w) : at::linear(*x, *w);
  });
}

// log(sum e^x) over each row.
extern "C" char *lfs_log_sum_exp(at::Tensor *out, const at::Tensor *x, LogOf log) {
  return guarded([&] {
    log_of = log;
    *out = is_plain(*x) && x->size(1) > 0 ? LogSumExp::apply(*x) : at::logsumexp(*x, {1});
  });
}

// y, as a function of x with this slope.
extern "C" char *lfs_sloped(at::Tensor *out, const at::Tensor *x, const at::Tensor *y, const at::Tensor *slope) {
  return guarded([&] { *out = Sloped::apply(*x, *y, *slope); });
}

// A convolution of 1 x 1, [n, k, h, w] by [m, k, 1, 1]: a product for each pixel. oneDNN chooses among its kernels for it by the caches,
// and they add in different orders.
extern "C" char *lfs_pointwise(at::Tensor *out, const at::Tensor *x, const at::Tensor *w, int64_t stride, ProductOf product) {
  return guarded([&] {
    if (product) {
      product_of = product;
    }
    if (!product || !is_here(*x) || !is_here(*w) || x->dim() != 4 || x->size(1) != w->size(1)) {
      *out = at::conv2d(*x, *w, {}, stride);
      return;
    }
    *out = Pointwise::apply(*x, *w, stride);
  });
}
