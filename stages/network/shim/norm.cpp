// Batch normalisation, a sum and a PReLU in one pass over memory each way. These three take longer than the
// convolutions of a small network when each of them reads and writes the maps by itself.
//
// z = scale (x - mean) / sqrt(var + eps) + shift [+ residual];  y = z > 0 ? z : slope z.
//
// Maps are float32 or bfloat16; all sums, and the numbers a channel, are float32 and float64.
//
// Maps are read with channels innermost. Sums are made by as many parts as there are threads, added in their order: the
// bits depend on the number of threads, as those of libtorch do, and on nothing else.

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/add.h>
#include <ATen/ops/batch_norm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/prelu.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>
#include <tuple>
#include <vector>

#include "guarded.h"

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EACH_PROCESSOR __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define EACH_PROCESSOR
#endif

namespace {

// A bfloat16: the upper half of a float.
enum class Half : uint16_t {};

inline float up(float x) { return x; }

inline float up(Half x) {
  uint32_t bits = uint32_t(x) << 16;
  float out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

inline void put(float &to, float x) { to = x; }

// To the nearest, ties to even; what is no number stays none.
inline void put(Half &to, float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  uint32_t nearest = bits + 0x7fff + ((bits >> 16) & 1);
  // Without a branch, which would keep the loops from being done in parts.
  uint32_t none = -uint32_t((bits & 0x7fffffff) > 0x7f800000) & 0x7fc00000;
  to = Half((nearest | none) >> 16);
}

// Numbers a channel, repeated so that a line of several pixels is one long loop.
struct Line {
  int64_t channels, pixels, width;
  explicit Line(int64_t c) : channels(c), pixels(c < 64 ? (64 + c - 1) / c : 1), width(channels * pixels) {}
  template <class T> std::vector<float> repeated(const T *of) const {
    std::vector<float> out(width);
    for (int64_t i = 0; i < width; ++i) {
      out[i] = up(of[i % channels]);
    }
    return out;
  }
};

// Lines that are summed as float before they are added to a double.
constexpr int64_t BLOCK = 64;

#define INLINE inline __attribute__((always_inline))

INLINE void add_sums_of(const float *__restrict x, int64_t width, const float *__restrict about, float *__restrict s,
                        float *__restrict q) {
  for (int64_t j = 0; j < width; ++j) {
    float d = x[j] - about[j];
    s[j] += d;
    q[j] += d * d;
  }
}

INLINE void forward_line(const float *__restrict x, const float *__restrict r, float *__restrict y, int64_t width,
                         const float *__restrict a, const float *__restrict b, const float *__restrict slope) {
  if (r && slope) {
    for (int64_t j = 0; j < width; ++j) {
      float z = x[j] * a[j] + b[j] + r[j];
      y[j] = z > 0 ? z : slope[j] * z;
    }
  } else if (slope) {
    for (int64_t j = 0; j < width; ++j) {
      float z = x[j] * a[j] + b[j];
      y[j] = z > 0 ? z : slope[j] * z;
    }
  } else if (r) {
    for (int64_t j = 0; j < width; ++j) {
      y[j] = x[j] * a[j] + b[j] + r[j];
    }
  } else {
    for (int64_t j = 0; j < width; ++j) {
      y[j] = x[j] * a[j] + b[j];
    }
  }
}

// Sums of dz, of dz (x - mean), and of dy z where z <= 0.
INLINE void backward_sums_of(const float *__restrict x, const float *__restrict r, const float *__restrict dy,
                             int64_t width, const float *__restrict a, const float *__restrict b,
                             const float *__restrict slope, const float *__restrict mean, float *__restrict s,
                             float *__restrict t, float *__restrict l) {
  if (slope) {
    for (int64_t j = 0; j < width; ++j) {
      float z = x[j] * a[j] + b[j] + (r ? r[j] : 0.0f);
      float dz = z > 0 ? dy[j] : slope[j] * dy[j];
      s[j] += dz;
      t[j] += dz * (x[j] - mean[j]);
      l[j] += z > 0 ? 0.0f : dy[j] * z;
    }
  } else {
    for (int64_t j = 0; j < width; ++j) {
      s[j] += dy[j];
      t[j] += dy[j] * (x[j] - mean[j]);
    }
  }
}

// dx = a dz + p x + q, and dr = dz where it is asked for.
INLINE void backward_line(const float *__restrict x, const float *__restrict r, const float *__restrict dy,
                          float *__restrict dx, float *__restrict dr, int64_t width, const float *__restrict a,
                          const float *__restrict b, const float *__restrict slope, const float *__restrict p,
                          const float *__restrict q) {
  if (slope) {
    for (int64_t j = 0; j < width; ++j) {
      float z = x[j] * a[j] + b[j] + (r ? r[j] : 0.0f);
      float dz = z > 0 ? dy[j] : slope[j] * dy[j];
      dx[j] = a[j] * dz + p[j] * x[j] + q[j];
      if (dr) {
        dr[j] = dz;
      }
    }
  } else {
    for (int64_t j = 0; j < width; ++j) {
      dx[j] = a[j] * dy[j] + p[j] * x[j] + q[j];
      if (dr) {
        dr[j] = dy[j];
      }
    }
  }
}

template <class T> INLINE T *moved(T *of, int64_t by) { return of ? of + by : of; }

EACH_PROCESSOR void add_sums(const float *x, int64_t lines, int64_t width, const float *about, float *s, float *q) {
  for (int64_t i = 0; i < lines; ++i, x += width) {
    add_sums_of(x, width, about, s, q);
  }
}

EACH_PROCESSOR void forward_lines(const float *x, const float *r, float *y, int64_t lines, int64_t width, const float *a,
                                  const float *b, const float *slope) {
  for (int64_t i = 0; i < lines; ++i, x += width, r = moved(r, width), y += width) {
    forward_line(x, r, y, width, a, b, slope);
  }
}

EACH_PROCESSOR void backward_sums(const float *x, const float *r, const float *dy, int64_t lines, int64_t width,
                                  const float *a, const float *b, const float *slope, const float *mean, float *s,
                                  float *t, float *l) {
  for (int64_t i = 0; i < lines; ++i, x += width, r = moved(r, width), dy += width) {
    backward_sums_of(x, r, dy, width, a, b, slope, mean, s, t, l);
  }
}

EACH_PROCESSOR void backward_lines(const float *x, const float *r, const float *dy, float *dx, float *dr, int64_t lines,
                                   int64_t width, const float *a, const float *b, const float *slope, const float *p,
                                   const float *q) {
  for (int64_t i = 0; i < lines; ++i, x += width, r = moved(r, width), dy += width, dx += width, dr = moved(dr, width)) {
    backward_line(x, r, dy, dx, dr, width, a, b, slope, p, q);
  }
}

// The same for bfloat16: a piece at a time becomes float, which stays in the nearest cache, and back.
constexpr int64_t PIECE = 512;

INLINE const float *opened(const Half *__restrict x, float *__restrict to, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    to[j] = up(x[j]);
  }
  return to;
}

INLINE void closed(const float *__restrict x, Half *__restrict to, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    put(to[j], x[j]);
  }
}

EACH_PROCESSOR void add_sums(const Half *x, int64_t lines, int64_t width, const float *about, float *s, float *q) {
  float fx[PIECE];
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t j = 0; j < width; j += PIECE) {
      int64_t n = std::min(PIECE, width - j);
      add_sums_of(opened(x + i * width + j, fx, n), n, about + j, s + j, q + j);
    }
  }
}

EACH_PROCESSOR void forward_lines(const Half *x, const Half *r, Half *y, int64_t lines, int64_t width, const float *a,
                                  const float *b, const float *slope) {
  float fx[PIECE], fr[PIECE], fy[PIECE];
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t j = 0; j < width; j += PIECE) {
      int64_t n = std::min(PIECE, width - j), at = i * width + j;
      forward_line(opened(x + at, fx, n), r ? opened(r + at, fr, n) : nullptr, fy, n, a + j, b + j, moved(slope, j));
      closed(fy, y + at, n);
    }
  }
}

EACH_PROCESSOR void backward_sums(const Half *x, const Half *r, const Half *dy, int64_t lines, int64_t width,
                                  const float *a, const float *b, const float *slope, const float *mean, float *s,
                                  float *t, float *l) {
  float fx[PIECE], fr[PIECE], fdy[PIECE];
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t j = 0; j < width; j += PIECE) {
      int64_t n = std::min(PIECE, width - j), at = i * width + j;
      backward_sums_of(opened(x + at, fx, n), r ? opened(r + at, fr, n) : nullptr, opened(dy + at, fdy, n), n, a + j,
                       b + j, moved(slope, j), mean + j, s + j, t + j, l + j);
    }
  }
}

EACH_PROCESSOR void backward_lines(const Half *x, const Half *r, const Half *dy, Half *dx, Half *dr, int64_t lines,
                                   int64_t width, const float *a, const float *b, const float *slope, const float *p,
                                   const float *q) {
  float fx[PIECE], fr[PIECE], fdy[PIECE], fdx[PIECE], fdr[PIECE];
  for (int64_t i = 0; i < lines; ++i) {
    for (int64_t j = 0; j < width; j += PIECE) {
      int64_t n = std::min(PIECE, width - j), at = i * width + j;
      backward_line(opened(x + at, fx, n), r ? opened(r + at, fr, n) : nullptr, opened(dy + at, fdy, n), fdx,
                    dr ? fdr : nullptr, n, a + j, b + j, moved(slope, j), p + j, q + j);
      closed(fdx, dx + at, n);
      if (dr) {
        closed(fdr, dr + at, n);
      }
    }
  }
}

// Splits the pixels among the threads. `work(part, offset, lines, width)` is called for whole lines and, with a width of
// one pixel, for what is left.
template <class Work> void split(int64_t pixels, const Line &line, Work work) {
  int64_t parts = at::get_num_threads();
  at::parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) {
      int64_t from = pixels * part / parts, to = pixels * (part + 1) / parts;
      int64_t lines = (to - from) / line.pixels;
      for (int64_t i = 0; i < lines; i += BLOCK) {
        int64_t now = std::min(BLOCK, lines - i);
        work(part, (from + i * line.pixels) * line.channels, now, line.width);
      }
      int64_t rest = from + lines * line.pixels;
      if (rest < to) {
        work(part, rest * line.channels, to - rest, line.channels);
      }
    }
  });
}

// Sums of a part, by channel; `kinds` of them.
struct Sums {
  int64_t channels, kinds;
  std::vector<std::vector<double>> parts;
  std::vector<std::vector<float>> scratch;
  Sums(const Line &line, int64_t kinds)
      : channels(line.channels), kinds(kinds), parts(at::get_num_threads()), scratch(at::get_num_threads()) {
    for (auto &part : parts) {
      part.assign(kinds * channels, 0.0);
    }
    for (auto &one : scratch) {
      one.resize(kinds * line.width);
    }
  }
  float *fresh(int64_t part, int64_t width) {
    std::fill_n(scratch[part].begin(), kinds * width, 0.0f);
    return scratch[part].data();
  }
  void take(int64_t part, int64_t width) {
    for (int64_t k = 0; k < kinds; ++k) {
      for (int64_t j = 0; j < width; ++j) {
        parts[part][k * channels + j % channels] += scratch[part][k * width + j];
      }
    }
  }
  double total(int64_t kind, int64_t channel) const {
    double sum = 0.0;
    for (auto &part : parts) {
      sum += part[kind * channels + channel];
    }
    return sum;
  }
};

template <class T> const T *read(const at::Tensor &x, int64_t offset = 0) {
  return x.defined() ? static_cast<const T *>(x.const_data_ptr()) + offset : nullptr;
}

template <class T> T *written(at::Tensor &x) { return x.defined() ? static_cast<T *>(x.mutable_data_ptr()) : nullptr; }

using Maybe = std::optional<at::Tensor>;

// Numbers a channel: mean, 1 / deviation, and the a and b of z = a x + b.
template <class T>
at::Tensor normalise(const at::Tensor &x, const at::Tensor &r, const at::Tensor &scale, const at::Tensor &shift,
                     at::Tensor &running_mean, at::Tensor &running_variance, const at::Tensor &slope, double momentum,
                     double eps, at::Tensor &saved) {
  Line line(x.size(1));
  int64_t channels = line.channels, pixels = x.numel() / channels;
  const T *data = read<T>(x);
  // About a first pixel, so that no large mean eats the digits of a small deviation.
  std::vector<float> about = line.repeated(data);
  Sums sums(line, 2);
  split(pixels, line, [&](int64_t part, int64_t offset, int64_t lines, int64_t width) {
    float *s = sums.fresh(part, width);
    add_sums(data + offset, lines, width, about.data(), s, s + width);
    sums.take(part, width);
  });
  saved = at::empty({4, channels}, x.options().dtype(at::kFloat));
  float *mean = saved.data_ptr<float>(), *inverse = mean + channels, *a = inverse + channels, *b = a + channels;
  float *run_mean = running_mean.data_ptr<float>(), *run_variance = running_variance.data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    double off = sums.total(0, c) / pixels, mid = about[c] + off;
    double variance = std::max(sums.total(1, c) / pixels - off * off, 0.0), one = 1.0 / std::sqrt(variance + eps);
    double factor = one * (scale.defined() ? scale.const_data_ptr<float>()[c] : 1.0f);
    mean[c] = mid;
    inverse[c] = one;
    a[c] = factor;
    b[c] = (shift.defined() ? shift.const_data_ptr<float>()[c] : 0.0f) - mid * factor;
    run_mean[c] += momentum * (mid - run_mean[c]);
    double unbiased = pixels > 1 ? variance * pixels / (pixels - 1) : variance;
    run_variance[c] += momentum * (unbiased - run_variance[c]);
  }
  auto wide_a = line.repeated(a), wide_b = line.repeated(b);
  auto wide_slope = slope.defined() ? line.repeated(slope.const_data_ptr<float>()) : std::vector<float>();
  at::Tensor y = at::empty_like(x);
  T *out = written<T>(y);
  split(pixels, line, [&](int64_t, int64_t offset, int64_t lines, int64_t width) {
    forward_lines(data + offset, read<T>(r, offset), out + offset, lines, width, wide_a.data(), wide_b.data(),
                  wide_slope.empty() ? nullptr : wide_slope.data());
  });
  return y;
}

// The gradients of the maps, of what was added, and of the numbers a channel: scale, shift, slope.
template <class T>
std::tuple<at::Tensor, at::Tensor, at::Tensor> slant(const at::Tensor &x, const at::Tensor &r, const at::Tensor &dy,
                                                     const at::Tensor &slope, const at::Tensor &saved, bool beside) {
  Line line(x.size(1));
  int64_t channels = line.channels, pixels = x.numel() / channels;
  const T *data = read<T>(x), *steep = read<T>(dy);
  const float *mean = saved.const_data_ptr<float>(), *inverse = mean + channels, *a = inverse + channels,
              *b = a + channels;
  auto wide_a = line.repeated(a), wide_b = line.repeated(b), wide_mean = line.repeated(mean);
  auto wide_slope = slope.defined() ? line.repeated(slope.const_data_ptr<float>()) : std::vector<float>();
  const float *bent = wide_slope.empty() ? nullptr : wide_slope.data();
  Sums sums(line, 3);
  split(pixels, line, [&](int64_t part, int64_t offset, int64_t lines, int64_t width) {
    float *s = sums.fresh(part, width);
    backward_sums(data + offset, read<T>(r, offset), steep + offset, lines, width, wide_a.data(), wide_b.data(), bent,
                  wide_mean.data(), s, s + width, s + 2 * width);
    sums.take(part, width);
  });
  at::Tensor of_channels = at::empty({3, channels}, saved.options());
  float *dscale = of_channels.data_ptr<float>(), *dshift = dscale + channels, *dslope = dshift + channels;
  std::vector<float> p(channels), q(channels);
  for (int64_t c = 0; c < channels; ++c) {
    double s = sums.total(0, c), t = sums.total(1, c), square = double(inverse[c]) * inverse[c];
    dshift[c] = s;
    dscale[c] = t * inverse[c];
    dslope[c] = sums.total(2, c);
    p[c] = -a[c] * square * t / pixels;
    q[c] = -a[c] * s / pixels + a[c] * square * t / pixels * mean[c];
  }
  auto wide_p = line.repeated(p.data()), wide_q = line.repeated(q.data());
  at::Tensor dx = at::empty_like(x), dr = beside ? at::empty_like(r) : at::Tensor();
  T *out = written<T>(dx), *out_beside = written<T>(dr);
  split(pixels, line, [&](int64_t, int64_t offset, int64_t lines, int64_t width) {
    backward_lines(data + offset, read<T>(r, offset), steep + offset, out + offset,
                   out_beside ? out_beside + offset : nullptr, lines, width, wide_a.data(), wide_b.data(), bent,
                   wide_p.data(), wide_q.data());
  });
  return {dx, dr, of_channels};
}

struct NormPrelu : torch::autograd::Function<NormPrelu> {
  static at::Tensor forward(AutogradContext *context, const at::Tensor &maps, const Maybe &scale_or, const Maybe &shift_or,
                            at::Tensor running_mean, at::Tensor running_variance, const Maybe &slope_or,
                            const Maybe &beside_or, double momentum, double eps) {
    at::Tensor none, scale = scale_or.value_or(none), shift = shift_or.value_or(none), slope = slope_or.value_or(none),
                     beside = beside_or.value_or(none), saved;
    auto last = at::MemoryFormat::ChannelsLast;
    at::Tensor x = maps.contiguous(last);
    at::Tensor r = beside.defined() ? beside.contiguous(last) : beside;
    auto go = x.scalar_type() == at::kFloat ? normalise<float> : normalise<Half>;
    at::Tensor y = go(x, r, scale, shift, running_mean, running_variance, slope, momentum, eps, saved);
    context->save_for_backward({x, r, slope, saved});
    context->saved_data["affine"] = scale.defined();
    context->saved_data["beside"] = beside.defined() && beside.requires_grad();
    return y;
  }

  static variable_list backward(AutogradContext *context, variable_list gradients) {
    auto all = context->get_saved_variables();
    at::Tensor x = all[0], r = all[1], slope = all[2], saved = all[3];
    at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    auto go = x.scalar_type() == at::kFloat ? slant<float> : slant<Half>;
    auto [dx, dr, of_channels] = go(x, r, dy, slope, saved, context->saved_data["beside"].toBool());
    bool affine = context->saved_data["affine"].toBool();
    at::Tensor none;
    return {dx,   affine ? of_channels[0] : none, affine ? of_channels[1] : none, none, none,
            slope.defined() ? of_channels[2] : none, dr, none, none};
  }
};

} // namespace

extern "C" char *lfs_norm_prelu(at::Tensor *out, const at::Tensor *x, const at::Tensor *scale, const at::Tensor *shift,
                                const at::Tensor *mean, const at::Tensor *variance, const at::Tensor *slope,
                                const at::Tensor *beside, bool train, double momentum, double eps) {
  return guarded([&] {
    auto or_none = [](const at::Tensor *x) { return x ? Maybe(*x) : Maybe(); };
    auto maps = [](const at::Tensor *t) { return t->scalar_type() == at::kFloat || t->scalar_type() == at::kBFloat16; };
    auto one_a_channel = [&](const at::Tensor *t) {
      return !t || (t->is_cpu() && t->scalar_type() == at::kFloat && t->is_contiguous() && t->numel() == x->size(1));
    };
    bool here = train && x->dim() == 4 && x->is_cpu() && maps(x) && x->numel() > 0 &&
                one_a_channel(scale) && one_a_channel(shift) && one_a_channel(slope) && one_a_channel(mean) &&
                one_a_channel(variance) &&
                (!beside || (beside->is_cpu() && beside->sizes() == x->sizes() && beside->scalar_type() == x->scalar_type()));
    if (here) {
      *out = NormPrelu::apply(*x, or_none(scale), or_none(shift), *mean, *variance, or_none(slope), or_none(beside),
                              momentum, eps);
      return;
    }
    // Elsewhere, and where nothing is learnt, libtorch's own.
    std::optional<at::Tensor> s, t;
    if (scale) {
      s = *scale;
      t = *shift;
    }
    at::Tensor y = at::batch_norm(*x, s, t, *mean, *variance, train, momentum, eps, /*cudnn_enabled=*/true);
    if (beside) {
      y = at::add(y, *beside);
    }
    *out = slope ? at::prelu(y, *slope) : y;
  });
}
