"""Stage 1 in PyTorch: ulzoo's layers, sizes, loss, optimiser and average, written as one would there.

Built from the same spec, for the components that the specs beside this file use: encoder `resnet`, networks
`vit` and `uvit`, prior and decoder by diffusion, linear and cosine schedule, sigmoid weighting, Adam.
Modules are named as ulzoo's fields are, so `copy_weights` can walk both, and `against_torch.py check`
compares losses and gradients.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ulzoo.components.layers.attention import rotary_angles


class Pointwise(nn.Conv2d):
    """A 1×1 convolution."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 1)


class Embedding(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Linear(64, width), nn.Linear(width, width)
        frequencies = np.geomspace(np.pi / 40, 4 * np.pi, 32, dtype=np.float32)
        self.register_buffer("frequencies", torch.from_numpy(frequencies), persistent=False)

    def forward(self, log_snr):
        angles = log_snr[:, None] * self.frequencies
        features = torch.cat([angles.sin(), angles.cos()], -1)
        return F.silu(self.second(F.silu(self.first(features))))


class Modulation(nn.Module):
    def __init__(self, embedding, channels, parts):
        super().__init__()
        self.linear, self.parts = nn.Linear(embedding, parts * channels), parts

    def forward(self, embedding):
        return self.linear(embedding).chunk(self.parts, -1)


class Attention(nn.Module):
    def __init__(self, width, heads, grid):
        super().__init__()
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
        self.norm_q, self.norm_k = (nn.RMSNorm(width // heads, eps=1e-5) for _ in range(2))
        self.heads = heads
        angles = torch.from_numpy(rotary_angles(grid, width // heads))
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def rotate(self, x):
        a, b = x.chunk(2, -1)
        return torch.cat([a * self.cos - b * self.sin, a * self.sin + b * self.cos], -1)

    def forward(self, tokens):
        b, n, width = tokens.shape
        qkv = self.qkv(tokens).view(b, n, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        q, k = self.rotate(self.norm_q(q)), self.rotate(self.norm_k(k))
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(b, n, width))


class TransformerBlock(nn.Module):
    def __init__(self, width, heads, grid, embedding, drop):
        super().__init__()
        self.attention = Attention(width, heads, grid)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = Modulation(embedding, width, 6)
        self.width, self.drop = width, drop

    def norm(self, tokens):
        return F.layer_norm(tokens, (self.width,), eps=1e-6)

    def forward(self, tokens, embedding):
        parts = [part[:, None] for part in self.modulation(embedding)]
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = parts
        mixed = self.attention(self.norm(tokens) * (1 + scale_1) + shift_1)
        tokens = tokens + gate_1 * F.dropout(mixed, self.drop, self.training)
        hidden = F.gelu(self.up(self.norm(tokens) * (1 + scale_2) + shift_2), approximate="tanh")
        hidden = self.down(F.dropout(hidden, self.drop, self.training))
        return tokens + gate_2 * hidden


class ConvBlock(nn.Module):
    def __init__(self, channels, embedding):
        super().__init__()
        groups = next(g for g in (32, 16, 8, 4, 2, 1) if (channels % g == 0 and channels // g >= 4) or g == 1)
        self.norm_1, self.norm_2 = (nn.GroupNorm(groups, channels) for _ in range(2))
        self.conv_1, self.conv_2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.modulation = Modulation(embedding, channels, 2) if embedding else None

    def forward(self, x, embedding):
        hidden = self.norm_2(self.conv_1(F.silu(self.norm_1(x))))
        if self.modulation is not None:
            scale, shift = (part[:, :, None, None] for part in self.modulation(embedding))
            hidden = hidden * (1 + scale) + shift
        return x + self.conv_2(F.silu(hidden))


class Stack(nn.Module):
    """Blocks one after the other."""

    def __init__(self, make, depth):
        super().__init__()
        self.blocks = nn.ModuleList(make() for _ in range(depth))

    def forward(self, x, embedding):
        for block in self.blocks:
            x = block(x, embedding)
        return x


class SpatialEntry(nn.Module):
    """Adds the latent, brought to a grid's resolution."""

    def __init__(self, condition, grid, channels):
        super().__init__()
        latent, have = condition if condition else (0, grid)
        self.fold, self.repeat = max(1, have // grid), max(1, grid // have)
        self.linear = Pointwise(latent * self.fold**2, channels) if latent else None

    def forward(self, x, condition):
        if self.linear is None:
            return x
        folded = F.pixel_unshuffle(condition, self.fold) if self.fold > 1 else condition
        entered = self.linear(folded)
        return x + (F.interpolate(entered, scale_factor=self.repeat) if self.repeat > 1 else entered)


class ViT(nn.Module):
    def __init__(self, config, channels, side, condition):
        super().__init__()
        width, self.patch, self.grid = config.width, config.patch, side // config.patch
        self.patch_in = Pointwise(channels * self.patch**2, width)
        self.position = nn.Parameter(0.02 * torch.randn(self.grid**2, width))
        self.spatial = SpatialEntry(condition, self.grid, width)
        self.embedding = Embedding(config.embedding_width)
        grid = (self.grid, self.grid)
        self.blocks = Stack(
            lambda: TransformerBlock(width, config.heads, grid, config.embedding_width, config.dropout),
            config.depth,
        )
        self.modulation = Modulation(config.embedding_width, width, 2)
        self.patch_out = Pointwise(width, channels * self.patch**2)
        self.width = width

    def forward(self, z_t, log_snr, condition=None):
        embedding = self.embedding(log_snr)
        x = self.spatial(self.patch_in(F.pixel_unshuffle(z_t, self.patch)), condition)
        tokens = self.blocks(x.flatten(2).transpose(1, 2) + self.position, embedding)
        scale, shift = (part[:, None] for part in self.modulation(embedding))
        tokens = F.layer_norm(tokens, (self.width,), eps=1e-6) * (1 + scale) + shift
        grid = tokens.transpose(1, 2).unflatten(2, (self.grid, self.grid))
        return F.pixel_shuffle(self.patch_out(grid), self.patch)


class Rescale(nn.Module):
    def __init__(self, fine, coarse):
        super().__init__()
        self.down_linear, self.up_linear = Pointwise(fine, coarse), Pointwise(coarse, fine)

    def down(self, h_b):
        return self.down_linear(F.avg_pool2d(h_b, 2))

    def up(self, h, h_a, h_b):
        return F.interpolate(self.up_linear(h - h_a), scale_factor=2) + h_b


class UViT(nn.Module):
    def __init__(self, config, channels, side, condition):
        super().__init__()
        self.patch, grid, wide = config.patch, side // config.patch, config.embedding_width
        widths = (*config.channels, config.width)
        self.patch_in = nn.Conv2d(channels * self.patch**2, widths[0], 3, padding=1)
        self.embedding = Embedding(wide)
        self.entries, self.down, self.up, self.rescales = (nn.ModuleList() for _ in range(4))
        for level, here in enumerate(config.channels):
            self.entries.append(SpatialEntry(condition, grid, here))
            for way in (self.down, self.up):
                way.append(Stack(lambda here=here: ConvBlock(here, wide), config.blocks[level]))
            self.rescales.append(Rescale(here, widths[level + 1]))
            grid //= 2
        self.entries.append(SpatialEntry(condition, grid, config.width))
        self.position = nn.Parameter(0.02 * torch.randn(grid**2, config.width))
        self.middle = Stack(
            lambda: TransformerBlock(config.width, config.heads, (grid, grid), wide, config.dropout),
            config.depth,
        )
        self.grid = grid
        self.norm = nn.GroupNorm(1, widths[0])
        self.modulation = Modulation(wide, widths[0], 2)
        self.patch_out = Pointwise(widths[0], channels * self.patch**2)

    def forward(self, z_t, log_snr, condition=None):
        embedding = self.embedding(log_snr)
        h, skips = self.patch_in(F.pixel_unshuffle(z_t, self.patch)), []
        for level, stack in enumerate(self.down):
            h = stack(self.entries[level](h, condition), embedding)
            h_a = self.rescales[level].down(h)
            skips.append((h, h_a))
            h = h_a
        tokens = self.entries[-1](h, condition).flatten(2).transpose(1, 2) + self.position
        h = self.middle(tokens, embedding).transpose(1, 2).unflatten(2, (self.grid, self.grid))
        for level in reversed(range(len(self.up))):
            h_b, h_a = skips[level]
            h = self.up[level](self.rescales[level].up(h, h_a, h_b), embedding)
        scale, shift = (part[:, :, None, None] for part in self.modulation(embedding))
        return F.pixel_shuffle(self.patch_out(F.silu(self.norm(h) * (1 + scale) + shift)), self.patch)


class ResNet(nn.Module):
    def __init__(self, config, channels):
        super().__init__()
        self.patch, widths = config.patch, config.channels
        self.patch_in = nn.Conv2d(channels * self.patch**2, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(
            Stack(lambda width=width: ConvBlock(width, 0), depth)
            for width, depth in zip(widths, config.blocks, strict=True)
        )
        self.downs = nn.ModuleList(Pointwise(a, b) for a, b in itertools.pairwise(widths))
        self.norm, self.out = nn.GroupNorm(1, widths[-1]), Pointwise(widths[-1], config.latent_channels)

    def forward(self, x):
        h = self.patch_in(F.pixel_unshuffle(x, self.patch))
        for i, stage in enumerate(self.stages):
            h = stage(self.downs[i - 1](F.avg_pool2d(h, 2)) if i else h, None)
        return self.out(F.silu(self.norm(h)))


NETWORKS = {"ulzoo.vit.v1": ViT, "ulzoo.uvit.v1": UViT}


class Denoiser(nn.Module):
    """A network that predicts v, and its schedule: λ(t) and −dλ/dt."""

    def __init__(self, config, channels, side, condition, schedule):
        super().__init__()
        self.network = NETWORKS[config.network.type](config.network, channels, side, condition)
        self.schedule = schedule

    def forward(self, x, noise, log_snr, condition=None):
        alpha, sigma = (torch.sigmoid(sign * log_snr).sqrt()[:, None, None, None] for sign in (1, -1))
        noised = alpha * x + sigma * noise
        return alpha * noised - sigma * self.network(noised, log_snr, condition)


def linear(highest, lowest):
    def of(t):
        return highest + (lowest - highest) * t, torch.full_like(t, highest - lowest)

    return of


def cosine(highest, lowest):
    first, last = (math.atan(math.exp(-0.5 * end)) for end in (highest, lowest))

    def of(t):
        angle = first + (last - first) * t
        return -2 * angle.tan().log(), 2 * (last - first) / (angle.sin() * angle.cos())

    return of


class Autoencoder(nn.Module):
    def __init__(self, spec):
        super().__init__()
        channels, side = spec.data.io().shape[:2]
        latent, small, _ = spec.encoder.latent_shape((channels, side, side))
        self.level = spec.latent.log_snr
        self.weighting = spec.decoder.weighting
        self.encoder = ResNet(spec.encoder, channels)
        self.prior = Denoiser(spec.prior, latent, small, None, linear(self.level, -10.0))
        self.decoder = Denoiser(spec.decoder, channels, side, (latent, small), cosine(10.0, -10.0))
        self.scale = 1 / (side * side * math.log(2))

    def forward(self, images, t_latent, t_data, noises):
        """uint8 (b, h, w, c), times, three noises → bits per pixel, as ulzoo's stage 1 after its warm-up."""
        x = (images.float() / 127.5 - 1).permute(0, 3, 1, 2)
        z = self.encoder(x)
        log_snr, slope = self.prior.schedule(t_latent)
        error = (z - self.prior(z, noises[1], log_snr)).square().flatten(1).sum(1)
        last = 1 / (1 + math.exp(10.0))
        terminal = 0.5 * (last * (z.square() - 1) + math.log1p(math.exp(-10.0))).flatten(1).sum(1)
        rate = 0.5 * slope * log_snr.exp() * error + terminal
        alpha, sigma = (math.sqrt(1 / (1 + math.exp(-sign * self.level))) for sign in (1, -1))
        z_0 = alpha * z + sigma * noises[0]
        log_snr, slope = self.decoder.schedule(t_data)
        error = (x - self.decoder(x, noises[2], log_snr, z_0)).square().flatten(1).sum(1)
        weight = self.weighting.loss_factor * torch.sigmoid(self.weighting.bias - log_snr)
        distortion = 0.5 * slope * weight * log_snr.exp() * error
        return (rate + distortion).mean() * self.scale


class Training:
    """Adam with clipping and a moving average, as the spec has them; the noise is drawn as ulzoo draws it."""

    def __init__(self, spec, *, compiled=False):
        torch.manual_seed(0)
        self.model = Autoencoder(spec).train()
        self.average = [p.detach().clone() for p in self.model.parameters()]
        settings = spec.stage1.optimizer
        self.optimizer = torch.optim.Adam(
            self.model.parameters(),
            lr=settings.learning_rate,
            betas=(settings.b1, settings.b2),
            eps=settings.eps,
            fused=True,
        )
        self.clip, self.decay = settings.clip_norm, spec.stage1.ema
        self.latent = spec.encoder.latent_shape(spec.data.io().shape)
        self.loss = torch.compile(self.model) if compiled else self.model

    def step(self, images):
        b = len(images)
        times = [(torch.rand(()) + torch.arange(b)) / b for _ in range(2)]
        times[1] = times[1][torch.randperm(b)]
        pixels = (b, images.shape[3], *images.shape[1:3])
        noises = [torch.randn(shape) for shape in ((b, *self.latent), (b, *self.latent), pixels)]
        loss = self.loss(images, *times, noises)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        torch._foreach_lerp_(self.average, list(self.model.parameters()), 1 - self.decay)
        return loss.detach()


@torch.no_grad()
def copy_weights(module, ours, layer=None):
    """The arrays of an Equinox module, into the twin's of the same names."""

    def put(parameter, array):
        array = np.asarray(array if layer is None else array[layer])
        parameter.copy_(torch.from_numpy(array.copy()).view_as(parameter))

    for name, parameter in module.named_parameters(recurse=False):
        put(parameter, getattr(ours, name))
    for name, child in module.named_children():
        if isinstance(module, Stack):
            for i, block in enumerate(child):
                copy_weights(block, ours.blocks, i)
        elif isinstance(child, nn.ModuleList):
            for twin, original in zip(child, getattr(ours, name), strict=True):
                copy_weights(twin, original, layer)
        else:
            copy_weights(child, getattr(ours, name), layer)
