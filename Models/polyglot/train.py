#!/usr/bin/env python3
"""Train the polyglot model on the CPU: Mixtral's architecture, Muon + AdamW, warm-up / stable / decay.

    python3 train.py --seconds 5400            # the schedule follows the clock
    python3 train.py --tokens 25000000         # the schedule follows the tokens: repeatable
    python3 train.py --export-only             # writes the newest checkpoint in .work as a Hugging Face folder

Interrupted, it goes on from .work/state.pt. It logs to .work/train.log and keeps early checkpoints
(.work/checkpoints/, Hugging Face folders, at logarithmic distances) for a saturation study.

Shapes: B windows, T tokens a window, N = B·T tokens, d hidden, f feed-forward, H heads, G key/value heads,
h head size, E experts, K chosen experts, V vocabulary, L layers.
"""

import argparse
import json
import math
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).resolve().parent
SEED = 20240607
GROUPS = ["en", "de", "fr", "es", "it", "code"]
# How often a group's documents are drawn, relative to their number.
WEIGHTS = dict(en=2.0, de=1.15, fr=0.9, es=1.0, it=1.0, code=0.45)
BOS = 1

CONFIG = dict(
    architectures=["MixtralForCausalLM"],
    model_type="mixtral",
    vocab_size=8192,
    hidden_size=256,
    intermediate_size=304,
    num_hidden_layers=6,
    num_attention_heads=8,
    num_key_value_heads=2,
    head_dim=32,
    num_local_experts=8,
    num_experts_per_tok=2,
    hidden_act="silu",
    max_position_embeddings=2048,
    rope_theta=10000.0,
    rms_norm_eps=1e-5,
    sliding_window=None,
    attention_dropout=0.0,
    router_aux_loss_coef=0.01,
    router_jitter_noise=0.0,
    output_router_logits=False,
    initializer_range=0.02,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
    use_cache=True,
    torch_dtype="bfloat16",
)
V, D, FF, L = CONFIG["vocab_size"], CONFIG["hidden_size"], CONFIG["intermediate_size"], CONFIG["num_hidden_layers"]
H, G, HS = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], CONFIG["head_dim"]
E, K, EPS, THETA = CONFIG["num_local_experts"], CONFIG["num_experts_per_tok"], CONFIG["rms_norm_eps"], CONFIG["rope_theta"]
# Of matrix products and activations; --compute changes it.
COMPUTE = torch.bfloat16

# ---------------------------------------------------------------- parameters


def initial_parameters(generator):
    """f32 master weights; all layers and experts of one kind are stacked, as Muon wants them."""

    def normal(*shape, std):
        return torch.randn(*shape, generator=generator) * std

    out = 0.02 / math.sqrt(2 * L)
    return dict(
        embed=normal(V, D, std=0.05),
        head=normal(V, D, std=0.02),
        norm=torch.ones(D),
        norm1=torch.ones(L, D),
        norm2=torch.ones(L, D),
        router=normal(L, E, D, std=0.02),
        q=normal(L, H * HS, D, std=0.04),
        k=normal(L, G * HS, D, std=0.04),
        v=normal(L, G * HS, D, std=0.04),
        o=normal(L, D, H * HS, std=out),
        w1=normal(L, E, FF, D, std=0.04),
        w3=normal(L, E, FF, D, std=0.04),
        w2=normal(L, E, D, FF, std=out),
    )


# ---------------------------------------------------------------- forward pass


class Experts(torch.autograd.Function):
    """Dispatch, SwiGLU experts on sorted tokens, combine. x [N,d] bf16, gates [N,K] f32, w13 [E,2f,d], w2 [E,d,f] bf16."""

    @staticmethod
    def forward(ctx, x, gates, w13, w2, chosen):
        n = x.shape[0]
        flat = chosen.reshape(-1)
        order = torch.argsort(flat, stable=True)
        inverse = torch.empty_like(order)
        inverse[order] = torch.arange(order.numel())
        ends = torch.bincount(flat, minlength=E).cumsum(0).tolist()
        token = order // K
        xs = x[token]
        h13 = torch.empty(n * K, 2 * FF, dtype=COMPUTE)
        act = torch.empty(n * K, FF, dtype=COMPUTE)
        ys = torch.empty(n * K, D, dtype=COMPUTE)
        start = 0
        for e in range(E):
            s = slice(start, ends[e])
            start = ends[e]
            torch.mm(xs[s], w13[e].t(), out=h13[s])
            torch.mul(F.silu(h13[s, :FF]), h13[s, FF:], out=act[s])
            torch.mm(act[s], w2[e].t(), out=ys[s])
        y = ys[inverse].view(n, K, D)
        ctx.save_for_backward(gates, w13, w2, xs, h13, act, y, order, inverse)
        ctx.ends = ends
        return torch.bmm(gates.to(COMPUTE).unsqueeze(1), y).squeeze(1)

    @staticmethod
    def backward(ctx, dout):
        gates, w13, w2, xs, h13, act, y, order, inverse = ctx.saved_tensors
        n = gates.shape[0]
        dgates = torch.bmm(y, dout.unsqueeze(2)).squeeze(2).float()
        dys = dout[order // K] * gates.reshape(-1)[order].to(COMPUTE).unsqueeze(1)
        dw13, dw2 = torch.empty_like(w13), torch.empty_like(w2)
        dxs = torch.empty(n * K, D, dtype=COMPUTE)
        start = 0
        for e in range(E):
            s = slice(start, ctx.ends[e])
            start = ctx.ends[e]
            da = dys[s] @ w2[e]
            torch.mm(dys[s].t(), act[s], out=dw2[e])
            h1, h3 = h13[s, :FF], h13[s, FF:]
            dh = torch.empty(da.shape[0], 2 * FF, dtype=COMPUTE)
            torch.mul(da, F.silu(h1), out=dh[:, FF:])
            dh[:, :FF] = torch.ops.aten.silu_backward(da.mul_(h3), h1)
            torch.mm(dh.t(), xs[s], out=dw13[e])
            torch.mm(dh, w13[e], out=dxs[s])
        dx = dxs[inverse].view(n, K, D).sum(1)
        return dx, dgates, dw13, dw2, None


class CrossEntropy(torch.autograd.Function):
    """Summed negative log-probability without N × V at once; the gradient is made in the forward pass."""

    @staticmethod
    def forward(ctx, x, head, target, chunk=512):
        dx, dhead = torch.empty_like(x), torch.zeros(V, D)
        nll = torch.empty(x.shape[0])
        for s in range(0, x.shape[0], chunk):
            xs, t = x[s : s + chunk], target[s : s + chunk]
            p = torch.softmax(xs @ head.t(), -1)  # bf16: enough for the gradient, and for a loss that is only logged
            row = torch.arange(t.numel())
            right = p[row, t].float()
            nll[s : s + chunk] = -right.clamp_min(1e-30).log()
            p[row, t] = (right - 1).to(COMPUTE)
            dx[s : s + chunk] = p @ head
            dhead += (p.t() @ xs).float()
        ctx.save_for_backward(dx, dhead)
        return nll.sum()

    @staticmethod
    def backward(ctx, g):
        dx, dhead = ctx.saved_tensors
        return dx * g.to(COMPUTE), (dhead * g).to(COMPUTE), None, None


class RMSNorm(torch.autograd.Function):
    """x [...,d] f32 → bf16."""

    @staticmethod
    def forward(ctx, x, w):
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(EPS).rsqrt_()
        unit = x * r
        ctx.save_for_backward(unit, r, w)
        return (unit * w).to(COMPUTE)

    @staticmethod
    def backward(ctx, dy):
        unit, r, w = ctx.saved_tensors
        dy = dy.float()
        along = dy * unit
        dw = along.flatten(0, -2).sum(0)
        mean = torch.mv(along.flatten(0, -2), w).div_(w.numel()).view(r.shape)
        dx = dy.mul_(w).addcmul_(unit, mean, value=-1).mul_(r)
        return dx, dw


rms_norm = RMSNorm.apply


class Rotate(torch.autograd.Function):
    """Rotary embedding; its gradient is the rotation backwards."""

    @staticmethod
    def turn(x, cos, sin):
        half = HS // 2
        y = x * cos
        y[..., :half].addcmul_(x[..., half:], sin[..., :half], value=-1)
        y[..., half:].addcmul_(x[..., :half], sin[..., :half])
        return y

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.tables = cos, sin
        return Rotate.turn(x, cos, sin)

    @staticmethod
    def backward(ctx, g):
        cos, sin = ctx.tables
        return Rotate.turn(g, cos, -sin), None, None


def rope_tables(length):
    frequency = THETA ** (-torch.arange(0, HS, 2, dtype=torch.float32) / HS)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), frequency)
    return torch.cat([angle.cos(), angle.cos()], -1).to(COMPUTE), torch.cat([angle.sin(), angle.sin()], -1).to(COMPUTE)


def attention_inputs(x, norm1, wqkv, cos, sin):
    b, t, _ = x.shape
    qkv = F.linear(rms_norm(x, norm1), wqkv).view(b, t, H + 2 * G, HS).transpose(1, 2)
    qk, v = qkv.split([H + G, G], 1)
    q, k = Rotate.apply(qk, cos, sin).split([H, G], 1)
    return q * HS**-0.5, k, v


def attention(q, k, v, block=128):
    """Causal attention in blocks of queries, each against the keys up to its end: on this size of head, forward and
    backward take half the time of scaled_dot_product_attention on a CPU. q [B,H,T,h], k and v [B,G,T,h] → [B,T,H·h]."""
    b, _, t, _ = q.shape
    q = q.view(b, G, H // G, t, HS)
    outputs = []
    for start in range(0, t, block):
        end = min(start + block, t)
        n = end - start
        scores = torch.matmul(q[:, :, :, start:end].reshape(b, G, -1, HS), k[:, :, :end].mT).view(b, G, H // G, n, end)
        scores[..., start:] += torch.full((n, n), -math.inf, dtype=COMPUTE).triu_(1)
        p = F.softmax(scores, -1).view(b, G, -1, end)
        outputs.append(torch.matmul(p, v[:, :, :end]).view(b, H, n, HS))
    return torch.cat(outputs, 2).transpose(1, 2).reshape(b, t, H * HS)


def moe_inputs(x, a, wo, norm2, router):
    """Residual after attention, normed tokens [N,d], router probabilities [N,E]."""
    x = x + F.linear(a, wo).float()
    y = rms_norm(x, norm2).view(-1, D)
    return x, y, F.softmax(F.linear(y.float(), router), dim=-1)


def hidden_states(w, tokens, tables):
    """tokens [B,T] → final normed hidden states [N,d] bf16, balance loss (mean over layers), choices per layer [N,K]."""
    b, t = tokens.shape
    cos, sin = tables[0][:t], tables[1][:t]
    x = F.embedding(tokens, w["embed"])
    balance, chosen_by_layer = 0.0, []
    for l in range(L):
        q, k, v = attention_inputs(x, w["norm1"][l], w["qkv"][l], cos, sin)
        a = attention(q, k, v)
        x, y, p = moe_inputs(x, a, w["o"][l], w["norm2"][l], w["router"][l])
        top, chosen = torch.topk(p, K, dim=-1)
        gates = top / top.sum(-1, keepdim=True)
        x = x + Experts.apply(y, gates, w["w13"][l], w["w2"][l], chosen).view(b, t, D).float()
        share = torch.bincount(chosen.reshape(-1), minlength=E) / chosen.numel()
        balance = balance + E * (share * p.mean(0)).sum() / L
        chosen_by_layer.append(chosen)
    return rms_norm(x, w["norm"]).view(-1, D), balance, chosen_by_layer


BF16_NAMES = ("q", "k", "v", "o", "w1", "w3", "w2", "head")


def working_copy(master):
    """Leaves for the matrices in the type of computation, f32 leaves for the rest; fused as the forward pass wants them."""
    w = dict(
        qkv=torch.cat([master["q"], master["k"], master["v"]], 1).to(COMPUTE, copy=True),
        o=master["o"].to(COMPUTE, copy=True),
        w13=torch.cat([master["w1"], master["w3"]], 2).to(COMPUTE, copy=True),
        w2=master["w2"].to(COMPUTE, copy=True),
        head=master["head"].to(COMPUTE, copy=True),
        **{n: master[n].clone() for n in ("embed", "norm", "norm1", "norm2", "router")},
    )
    leaves = {}
    for name, tensor in w.items():  # per-layer leaves: no full-size gradient for every slice
        if name in ("qkv", "o", "w13", "w2", "norm1", "norm2", "router"):
            leaves[name] = [t.requires_grad_() for t in tensor.unbind(0)]
        else:
            leaves[name] = tensor.requires_grad_()
    return leaves


@torch.no_grad()
def collect_gradients(w, into):
    def stacked(name):
        return torch.stack([t.grad for t in w[name]])

    q, k, v = stacked("qkv").split([H * HS, G * HS, G * HS], 1)
    w1, w3 = stacked("w13").split(FF, 2)
    new = dict(q=q, k=k, v=v, w1=w1, w3=w3)
    new.update({n: stacked(n) for n in ("o", "w2", "norm1", "norm2", "router")})
    new.update({n: w[n].grad for n in ("embed", "head", "norm")})
    for name, g in new.items():
        into[name].copy_(g)


# ---------------------------------------------------------------- optimizers

# Newton–Schulz coefficients of Polar Express (arXiv 2505.16932), first iterations.
POLAR = [
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
]


def orthogonalize(g):
    """g [n,r,c], r <= c: the nearest (semi-)orthogonal matrices, about."""
    x = g.to(COMPUTE)
    x = x / (x.float().norm(dim=(1, 2), keepdim=True) * 1.01 + 1e-7).to(COMPUTE)
    for a, b, c in POLAR:
        xx = torch.bmm(x, x.transpose(1, 2))
        x = torch.baddbmm(x, torch.baddbmm(xx, xx, xx, beta=b, alpha=c), x, beta=a, alpha=1)
    return x.float()


class Optimizer:
    """Muon for matrices inside the layers; AdamW for embeddings, output, router and norms."""

    ADAM = dict(embed=6e-3, head=2.5e-3, norm=3e-3, norm1=3e-3, norm2=3e-3, router=2e-3)
    MUON, MOMENTUM, DECAY = 0.02, 0.95, 0.05

    def __init__(self, master):
        self.m = {n: torch.zeros_like(p) for n, p in master.items()}
        self.v = {n: torch.zeros_like(master[n]) for n in self.ADAM}

    def jobs(self):
        """What one step consists of: pieces that processes take one after another."""
        muon = [(n, l) for l in range(L) for n in ("w1", "w3", "w2")] + [(n, None) for n in ("q", "o", "k", "v")]
        return muon + [(n, None) for n in self.ADAM]

    @torch.no_grad()
    def run(self, job, master, grads, rate, step):
        """grads: one dictionary per process, to be added up."""
        n, l = job
        p, m = (master[n], self.m[n]) if l is None else (master[n][l], self.m[n][l])
        parts = [g[n] if l is None else g[n][l] for g in grads]
        g = parts[0] if len(parts) == 1 else torch.add(*parts)
        if n in self.ADAM:
            b1, b2, lr = 0.9, 0.97, rate * self.ADAM[n]
            v = self.v[n]
            m.lerp_(g, 1 - b1)
            v.mul_(b2).addcmul_(g, g, value=1 - b2)
            if n in ("embed", "head"):
                p.mul_(1 - lr * 0.1)
            p.addcdiv_(m, (v / (1 - b2**step)).sqrt_().add_(1e-10), value=-lr / (1 - b1**step))
            return
        momentum = min(self.MOMENTUM, 0.85 + 0.1 * step / 200)
        m.lerp_(g, 1 - momentum)
        update = torch.lerp(g, m, momentum)
        tall = update.shape[-2] > update.shape[-1]
        update = orthogonalize(update.mT if tall else update)
        scale = math.sqrt(max(1, p.shape[-2] / p.shape[-1]))
        p.mul_(1 - rate * self.MUON * self.DECAY).add_(update.mT if tall else update, alpha=-rate * self.MUON * scale)


# ---------------------------------------------------------------- data


class Windows:
    """Endless windows of `length`+1 tokens. Documents (with their BOS) are packed so that nearly every window begins
    at a document's start; a document longer than a window goes on in a window of its own."""

    def __init__(self, path, seed):
        data = np.load(path)
        self.documents = {}
        for g in GROUPS:
            ends = np.cumsum(data[g + ".lengths"])
            self.documents[g] = np.split(data[g + ".tokens"].astype(np.int64), ends[:-1])
        self.rng = np.random.default_rng(seed)
        self.queue, self.length, self.epoch = [], 0, 0

    def refill(self):
        size = self.length + 1
        pieces = []
        for g in GROUPS:
            for d in self.documents[g]:
                times = int(WEIGHTS[g]) + (self.rng.random() < WEIGHTS[g] % 1)
                for _ in range(times):
                    pieces += [d[i : i + size] for i in range(0, len(d), size - 1) if len(d) - i >= 16]
        self.rng.shuffle(order := np.arange(len(pieces)))
        bins, full = [], []  # first fit among a few open windows; what overflows the fullest one is cut
        for i in order:
            p = pieces[i]
            if len(p) == size:
                full.append([p])
                continue
            fit = [b for b in bins if b[0] + len(p) <= size]
            b = max(fit, key=lambda b: b[0]) if fit else None
            if b is None:
                if len(bins) >= 64:
                    b = max(bins, key=lambda b: b[0])
                else:
                    bins.append(b := [0, []])
            b[0] += len(p)
            b[1].append(p)
            if b[0] >= size - 8:
                bins = [x for x in bins if x is not b]
                if b[0] >= size:
                    full.append(b[1])
                else:
                    full.append(b[1] + [np.array([BOS] * (size - b[0]))])
        self.rng.shuffle(order := np.arange(len(full)))
        self.queue = [np.concatenate(full[i])[:size] for i in order]
        self.epoch += 1

    def batch(self, count, length):
        if length != self.length:
            self.queue, self.length = [], length
        while len(self.queue) < count:
            rest = self.queue
            self.refill()
            self.queue += rest
        rows = [self.queue.pop() for _ in range(count)]
        return torch.from_numpy(np.stack(rows))


class Validation:
    def __init__(self, path, tokenizer):
        import sentencepiece

        sp = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer))
        rows = [json.loads(line) for line in open(path, encoding="utf-8")]
        rows = [r for g in GROUPS for r in [r for r in rows if r["group"] == g][:16]]  # a progress report, not a result
        self.rows = sorted(((r["group"], [BOS] + sp.encode(r["text"]), len(r["text"].encode())) for r in rows), key=lambda r: len(r[1]))

    @torch.no_grad()
    def measure(self, w, tables):
        """bits per byte by group; information between language and expert by layer (plain estimate)."""
        nll, size = dict.fromkeys(GROUPS, 0.0), dict.fromkeys(GROUPS, 0)
        counts = torch.zeros(L, len(GROUPS), E)
        for s in range(0, len(self.rows), 12):
            part = self.rows[s : s + 12]
            width = max(len(r[1]) for r in part)
            tokens = torch.zeros(len(part), width, dtype=torch.long)
            for i, r in enumerate(part):
                tokens[i, : len(r[1])] = torch.tensor(r[1])
            x, _, chosen = hidden_states(w, tokens, tables)
            x = x.view(len(part), width, D)
            for i, (g, ids, nbytes) in enumerate(part):
                logp = F.log_softmax((x[i, : len(ids) - 1] @ w["head"].t()).float(), -1)
                nll[g] -= logp.gather(1, tokens[i, 1 : len(ids), None]).sum().item()
                size[g] += nbytes
                for l in range(L):
                    c = chosen[l].view(len(part), width, K)[i, 1 : len(ids)]
                    counts[l, GROUPS.index(g)] += torch.bincount(c.reshape(-1), minlength=E)
        information = []
        for c in counts[:, :5].double():
            p = c / c.sum()
            q = p.sum(0, keepdim=True) * p.sum(1, keepdim=True)
            information.append((p * (p / q).clamp_min(1e-12).log2()).sum().item())
        load = counts.sum(1)
        return {g: nll[g] / math.log(2) / size[g] for g in GROUPS}, information, (load / load.sum(1, keepdim=True)).amin(1).tolist()


# ---------------------------------------------------------------- export


def export(master, folder):
    """Writes the folder that transformers loads: Mixtral's names on disk, bf16."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    out = {"model.embed_tokens.weight": master["embed"], "model.norm.weight": master["norm"], "lm_head.weight": master["head"]}
    for l in range(L):
        p = f"model.layers.{l}."
        out[p + "input_layernorm.weight"] = master["norm1"][l]
        out[p + "post_attention_layernorm.weight"] = master["norm2"][l]
        for n in "qkvo":
            out[p + f"self_attn.{n}_proj.weight"] = master[n][l]
        out[p + "block_sparse_moe.gate.weight"] = master["router"][l]
        for e in range(E):
            for n in ("w1", "w2", "w3"):
                out[p + f"block_sparse_moe.experts.{e}.{n}.weight"] = master[n][l, e]
    out = {n: t.detach().to(torch.bfloat16).contiguous().clone() for n, t in out.items()}
    temporary = folder / "model.safetensors.tmp"
    save_file(out, str(temporary), metadata={"format": "pt"})
    temporary.chmod(0o644)
    temporary.rename(folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json"):
        if (HERE / name).exists() and folder.resolve() != HERE:
            shutil.copy(HERE / name, folder / name)
    return sum(t.numel() for t in out.values())


# ---------------------------------------------------------------- the run


def rate_at(progress, step, warmup, decay):
    if progress > 1 - decay:
        return max(0.0, (1 - progress) / decay) * 0.98 + 0.02
    return min(1.0, step / warmup)


class Shared:
    """What the processes of one run share: parameters, optimizer state, gradients, the step's rows and counters.
    Processes with one thread each, which take work from a common counter, lose less on a busy machine than threads
    that wait for each other after every operation."""

    def __init__(self, options):
        self.master = initial_parameters(torch.Generator().manual_seed(SEED))
        self.optimizer = Optimizer(self.master)
        self.grads = [{n: torch.zeros_like(p) for n, p in self.master.items()} for _ in range(options.processes)]
        self.rows = torch.zeros(options.batch + options.batch // min(w for _, w in options.windows), dtype=torch.long)
        self.sums = torch.zeros(2)
        self.now = torch.zeros(4, dtype=torch.float64)  # step, rate, window, running
        for group in (self.master, self.optimizer.m, self.optimizer.v, *self.grads):
            for t in group.values():
                t.share_memory_()
        for t in (self.rows, self.sums, self.now):
            t.share_memory_()
        context = torch.multiprocessing.get_context("fork")
        self.barrier = context.Barrier(options.processes)
        self.counters = [context.Value("i", 0) for _ in range(2)]

    def take(self, which, limit):
        counter = self.counters[which]
        while True:
            with counter.get_lock():
                i = counter.value
                counter.value += 1
            if i >= limit:
                return
            yield i


def work_on_step(shared, rank, options, tables):
    """One process's part in one step: some passes forward and backward, then some of the optimizer's jobs."""
    step, rate, length = int(shared.now[0]), float(shared.now[1]), int(shared.now[2])
    passes = options.batch // options.micro
    rows = shared.rows[: options.batch // length * (length + 1)].view(passes, -1, length + 1)
    w = working_copy(shared.master)
    mine = shared.grads[rank]
    some = False
    for i in shared.take(0, passes):
        x, balance, _ = hidden_states(w, rows[i, :, :-1], tables)
        nll = CrossEntropy.apply(x, w["head"], rows[i, :, 1:].reshape(-1))
        ((nll / x.shape[0] + options.balance * balance) / passes).backward()
        with shared.counters[0].get_lock():
            shared.sums += torch.tensor([nll.item() / x.shape[0] / passes, balance.item() / passes])
        some = True
    if some:
        collect_gradients(w, mine)
    else:
        for g in mine.values():
            g.zero_()
    shared.barrier.wait()
    jobs = shared.optimizer.jobs()
    for j in shared.take(1, len(jobs)):
        shared.optimizer.run(jobs[j], shared.master, shared.grads, rate, step)
    shared.barrier.wait()


def follow(shared, rank, options, tables):
    """The life of every process but the first."""
    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        shared.barrier.wait()
        if not shared.now[3]:
            return
        work_on_step(shared, rank, options, tables)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", type=Path, default=HERE / ".work")
    parser.add_argument("--output", type=Path, default=HERE)
    parser.add_argument("--seconds", type=float, default=0, help="length of the schedule; without it, --tokens is")
    parser.add_argument("--tokens", type=float, default=25e6)
    parser.add_argument("--windows", default="0:256,0.6:512,0.9:1024", help="progress:window, the window's length from there on")
    parser.add_argument("--micro", type=int, default=2048, help="tokens per pass")
    parser.add_argument("--batch", type=int, default=8192, help="tokens per step")
    parser.add_argument("--warmup", type=int, default=40, help="steps")
    parser.add_argument("--decay", type=float, default=0.5, help="share of the schedule spent in decay")
    parser.add_argument("--balance", type=float, default=CONFIG["router_aux_loss_coef"])
    parser.add_argument("--compute", choices=["bfloat16", "float32"], default="bfloat16",
                        help="of products and activations; bfloat16 crawls on a processor without AVX-512 or AMX")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--validate-every", type=float, default=420, help="seconds")
    parser.add_argument("--keep", default="0.1e6,0.4e6,1.6e6,5e6,15e6", help="tokens after which a checkpoint is kept")
    parser.add_argument("--max-steps", type=int, default=0, help="stop early, for timing")
    parser.add_argument("--export-only", action="store_true")
    options = parser.parse_args()
    options.windows = [(float(p), int(w)) for p, w in (x.split(":") for x in options.windows.split(","))]
    global COMPUTE
    COMPUTE = getattr(torch, options.compute)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    options.work.mkdir(parents=True, exist_ok=True)
    state_path = options.work / "state.pt"
    if options.export_only:
        n = export(torch.load(state_path, weights_only=False)["master"], options.output)
        print(f"exported {n} parameters to {options.output}")
        return
    log_file = open(options.work / "train.log", "a", buffering=1)

    def log(text):
        line = time.strftime("%H:%M:%S ") + text
        print(line, flush=True)
        log_file.write(line + "\n")

    shared = Shared(options)
    master = shared.master
    windows = Windows(options.work / "train.npz", SEED)
    validation = Validation(options.work / "validation.jsonl", HERE / "tokenizer.model")
    tables = rope_tables(2048)
    step, tokens, elapsed, kept = 0, 0, 0.0, []
    if state_path.exists():
        s = torch.load(state_path, weights_only=False)
        step, tokens, elapsed, kept = s["step"], s["tokens"], s["elapsed"], s["kept"]
        for now, then in ((master, s["master"]), (shared.optimizer.m, s["m"]), (shared.optimizer.v, s["v"])):
            for n in now:
                now[n].copy_(then[n])
        windows.queue, windows.length, windows.epoch = s["queue"], s["length"], s["epoch"]
        if s.get("weights") != WEIGHTS:  # drawn with other weights: draw anew
            windows.queue = []
        windows.rng.bit_generator.state = s["rng"]
        log(f"resumed at step {step}, {tokens / 1e6:.2f} M tokens")
    keep_at = sorted(float(t) for t in options.keep.split(","))

    def save():
        temporary = state_path.with_suffix(".tmp")
        torch.save(dict(master=master, m=shared.optimizer.m, v=shared.optimizer.v, step=step, tokens=tokens, elapsed=elapsed,
                        kept=kept, queue=windows.queue, length=windows.length, epoch=windows.epoch,
                        weights=WEIGHTS, rng=windows.rng.bit_generator.state), temporary)
        temporary.rename(state_path)

    context = torch.multiprocessing.get_context("fork")
    others = [context.Process(target=follow, args=(shared, r, options, tables), daemon=True) for r in range(1, options.processes)]
    for process in others:
        process.start()
    stop = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    signal.signal(signal.SIGINT, lambda *_: stop.append(1))
    log(f"parameters {sum(p.numel() for p in master.values())}; {vars(options)}")
    last_validation, recent = elapsed, []
    while True:
        began = time.time()
        progress = elapsed / options.seconds if options.seconds else tokens / options.tokens
        if progress >= 1 or stop or (options.max_steps and step >= options.max_steps):
            break
        step += 1
        length = [w for p, w in options.windows if progress >= p][-1]
        rows = windows.batch(options.batch // length, length)
        shared.rows[: rows.numel()] = rows.reshape(-1)
        shared.now[:] = torch.tensor([step, rate_at(progress, step, options.warmup, options.decay), length, 1], dtype=torch.float64)
        shared.sums.zero_()
        for counter in shared.counters:
            counter.value = 0
        shared.barrier.wait()
        work_on_step(shared, 0, options, tables)
        tokens += options.batch
        recent.append((time.time() - began, *shared.sums.tolist()))
        if len(recent) == 20 or step <= 3:
            seconds, losses, balances = zip(*recent)
            log(f"step {step} tokens {tokens / 1e6:.2f} M epoch {windows.epoch} loss {sum(losses) / len(losses):.4f} "
                f"balance {sum(balances) / len(balances):.3f} {options.batch * len(seconds) / sum(seconds):.0f} tokens/s progress {progress:.3f}")
            recent = []
        if len(kept) < len(keep_at) and tokens >= keep_at[len(kept)]:
            export(master, options.work / "checkpoints" / f"tokens-{tokens}")
            kept.append(tokens)
        if elapsed - last_validation > options.validate_every:
            last_validation = elapsed
            save()
            measure(validation, master, tables, log)
        elapsed += time.time() - began
    shared.now[3] = 0
    shared.barrier.wait()
    save()
    measure(validation, master, tables, log)
    n = export(master, options.output)
    log(f"finished: {step} steps, {tokens} tokens, {elapsed:.0f} s, exported {n} parameters")


def measure(validation, master, tables, log):
    bits, information, least = validation.measure(working_copy(master), tables)
    log("validation bits/byte " + " ".join(f"{g} {b:.3f}" for g, b in bits.items())
        + " | information " + " ".join(f"{i:.2f}" for i in information)
        + " | least load " + " ".join(f"{m:.3f}" for m in least))


if __name__ == "__main__":
    main()
