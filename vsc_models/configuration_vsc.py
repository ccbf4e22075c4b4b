"""Check the configurations of the VSC models."""

import difflib
from collections.abc import Iterable
from dataclasses import field, fields
from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

# A name this alike to one of ours is a typing error. `eos_token_id` and `mask_token_id`, the
# closest pair of which transformers itself passes one, are 0.80 alike.
_NEAR_MISS = 0.82

DIRECTIONS = ("forward", "both")
MAX_LAYERS = 1000

OBJECTIVES = ("fill", "next-token", "scratchpad")

_BYTES = {"vocab_size": 256, "mask_token_id": 0, "pad_token_id": 32}

COLONS = {"compact": ord(":"), "spaced": ord(":"), "tokens": 2}
"""The id that ends letters and program, in each layout."""

VOCABULARIES = {
    "compact": _BYTES,
    "spaced": _BYTES,
    "tokens": {"vocab_size": 731, "mask_token_id": 0, "pad_token_id": 1},
}
"""Each layout, and what a configuration says of its vocabulary."""

_ALIASES = {
    "hidden_size": ("d_model", "n_embd", "hidden_dim", "dim"),
    "num_layers": ("num_hidden_layers", "n_layers", "n_layer"),
    "num_heads": ("num_attention_heads", "n_heads", "n_head"),
    "attention_heads": ("num_heads", "num_attention_heads", "n_heads", "n_head"),
    "intermediate_size": ("ffn_dim", "d_ff", "n_inner", "ffn_hidden_size"),
    "key_dim": ("head_dim", "d_key"),
    "state_size": ("d_state", "ssm_state_size"),
    "conv_kernel": ("d_conv",),
    "time_step_rank": ("dt_rank",),
    "layer_norm_epsilon": ("layer_norm_eps", "rms_norm_eps"),
    "num_householder": ("steps_per_token",),
    "beta_clip_margin": ("beta_stretch",),
}
"""What other models, and our earlier versions, call our fields."""


def map_names(*names: str) -> dict[str, str]:
    """Return the attribute_map of a configuration with these fields: other models' names to ours.

    >>> map_names("conv_kernel")
    {'d_conv': 'conv_kernel'}
    """
    return {alias: name for name in names for alias in _ALIASES[name]}


@strict
class VscConfig(PreTrainedConfig):
    """What every VSC model has: token ids in, token ids out, and a padding mask.

    Attributes:
      vocab_size: number of token ids: 256 of bytes (at least all up to the letter Z), 731 of the
        layout "tokens".
      hidden_size: width of the model, in channels.
      mask_token_id: the id that stands for an unknown answer; 0.
      pad_token_id: the id of row padding; 32, a space, which occurs inside rows too, and 1 in the
        layout "tokens".
      answer_width: places of the answer field that the model was trained on; None if unknown.
      layout: how its questions are written: "compact" (`NPF:1>2:`) or "spaced" (`NPF: 1>2: `), in
        bytes, or "tokens", one id for each letter and operation.
      objective: what it predicts at position i: "fill", the masked token i; "next-token" and
        "scratchpad", token i + 1 of the answer, or of the trace and the answer.
      mask_padding: hide row padding from every layer. False shows it to them, as in the article.
      tie_word_embeddings: use the embedding as the output weights too.
      initializer_range: standard deviation of the embeddings' first weights, where they are to be
        larger or smaller than hidden_size**-0.5, which gives logits of unit size; the article's is
        1, torch's own.
    Raises:
      StrictDataclassClassValidationError: a field outside its limits; the message names field,
        value and limit. (StrictDataclassFieldValidationError: a value of the wrong type.)
      ValueError: a keyword that is nearly, but not quite, the name of a field, or a size that
        this model does not have. Names of other models are taken, see `attribute_map`; other
        unknown keywords are kept, because transformers passes its own.

    >>> VscDeltaConfig(d_model=48).hidden_size
    48
    """

    attribute_map = map_names("hidden_size")

    vocab_size: int = 256
    hidden_size: int = 32
    mask_token_id: int = 0
    pad_token_id: int | None = 32
    answer_width: int | None = None
    layout: str = "compact"
    objective: str = "fill"
    mask_padding: bool = True
    tie_word_embeddings: bool = True
    initializer_range: float | int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Refuse near-misses of our own fields; pass what is left on to transformers."""
        theirs = {field.name for field in fields(PreTrainedConfig)}
        ours = [field.name for field in fields(self) if field.name not in theirs]
        for name in kwargs.keys() - self.attribute_map.keys():
            if close := difflib.get_close_matches(name, ours, n=1, cutoff=_NEAR_MISS):
                raise ValueError(
                    f"{type(self).__name__} has no field {name!r}: did you mean {close[0]!r}?"
                )
            if name in _ALIASES or name in map_names(*_ALIASES):
                raise ValueError(
                    f"{type(self).__name__} has no field {name!r} and none like it: "
                    f"use {', '.join(ours)}"
                )
        super().__post_init__(**kwargs)

    def validate_layout(self) -> None:
        """Check the layout, and vocabulary and special ids against what it writes."""
        check_choice("layout", self.layout, VOCABULARIES)
        check_choice("objective", self.objective, OBJECTIVES)
        usual = VOCABULARIES[self.layout]
        low = ord("Z") + 1 if usual is _BYTES else usual["vocab_size"]
        check_limits("vocab_size", self.vocab_size, low, usual["vocab_size"])
        for name in ("mask_token_id", "pad_token_id"):
            if (value := getattr(self, name)) != usual[name]:
                raise ValueError(
                    f"{name}={value} is not what data, tokenizer and pipeline write in layout "
                    f"{self.layout!r}: use {usual[name]}"
                )

    def validate_shape(self) -> None:
        """Check that widths are one or more, and the size of the embedding's first weights."""
        check_limits("hidden_size", self.hidden_size, 1)
        if self.initializer_range is not None:
            check_limits("initializer_range", self.initializer_range, 1e-6, 1e3)
        if self.answer_width is not None:
            check_limits("answer_width", self.answer_width, 1)


@strict
class VscScaffoldConfig(VscConfig):
    """What the models share that mix positions by one layer among convolutions.

    Attributes:
      conv_kernel_sizes: tokens that each convolution before the layer sees; odd, unless causal.
        Their reach tells a letter its position and an operation its arguments.
      intermediate_size: width of the pointwise layer after it.
      causal: no position sees what follows it: the convolutions are padded on the left alone.
      num_places: places of a field that an embedding tells apart, for letters out of the
        convolutions' reach. They are counted from the last colon, which is one of them; all further
        ones look like the last. 0 for none.
    """

    attribute_map = map_names("hidden_size", "intermediate_size")

    conv_kernel_sizes: list[int] | tuple[int, ...] = (5, 5)
    intermediate_size: int = 64
    causal: bool = False
    num_places: int = 0

    def validate_scaffold(self) -> None:
        """Check the kernels and the pointwise layer."""
        for size in self.conv_kernel_sizes:
            check_kernel("conv_kernel_sizes", size, self.causal)
        check_limits("intermediate_size", self.intermediate_size, 1)
        check_limits("num_places", self.num_places, 0)
        check_causal(self.objective, self.causal)


@strict
class VscDeltaConfig(VscScaffoldConfig):
    """The delta-rule model: convolutions, one delta layer, one pointwise layer.

    Attributes:
      num_heads: memories side by side.
      key_dim: key channels of a head; a head tells that many positions apart.
      value_dim: value channels of a head, the letter's code.
      num_householder: Householder reflections of each token; a swap takes one, moving k letters k.
      allow_neg_eigval: betas reach 2, at which a step swaps; False: 1, at which it overwrites.
      chunk_size: updates, num_householder a token, that one triangular solve takes together; moves
        speed only. A model is exported (torch.export) for rows of at most this many updates.
      beta_clip_margin: betas are scaled to exceed their range by this share of it on either side,
        then clipped to it, so that exact 0 (no effect) and 2 (an exact swap) are reachable.
      num_counters: gated steps a token whose running sum rotates keys and queries; 0 for none.
    Raises:
      As for VscConfig.
    Source: DeltaNet with betas up to 2, arXiv 2411.12537; DeltaProduct, arXiv 2502.10297; betas
      scaled, then clipped, as the hard concrete gates, without their noise, arXiv 1712.01312.

    >>> VscDeltaConfig(num_head=2)
    Traceback (most recent call last):
    ValueError: VscDeltaConfig has no field 'num_head': did you mean 'num_heads'?
    """

    model_type = "vsc_delta"
    attribute_map = map_names(
        "hidden_size", "num_heads", "key_dim", "intermediate_size", "num_householder",
        "beta_clip_margin",
    )  # fmt: skip

    num_heads: int = 2
    key_dim: int = 8
    value_dim: int = 16
    num_householder: int = 1
    allow_neg_eigval: bool = True
    chunk_size: int = 64
    beta_clip_margin: float | int = 0.0
    num_counters: int = 0

    def validate_delta(self) -> None:
        """Check sizes, and that keys which are rotated have an even one."""
        for name in ("num_heads", "key_dim", "value_dim", "num_householder", "chunk_size"):
            check_limits(name, getattr(self, name), 1)
        check_limits("num_counters", self.num_counters, 0)
        check_limits("beta_clip_margin", self.beta_clip_margin, 0, 1)
        if self.num_counters and self.key_dim % 2:
            raise ValueError(
                f"key_dim={self.key_dim} is odd, num_counters={self.num_counters} rotate keys in "
                "pairs of channels: use an even key_dim, or num_counters=0"
            )


@strict
class VscConvConfig(VscConfig):
    """The article's model: residual convolutions without a norm, some of them with attention.

    Attributes:
      num_layers: how many convolutions follow each other.
      kernel_size: tokens that each of them sees; odd, unless causal.
      dilation: how far apart those tokens stand, one number per layer.
      attention_heads: heads of each layer's attention, 0 for a layer without; None for none at all.
      causal: no position sees what follows it, by convolution or attention.
    Raises:
      As for VscConfig.

    >>> VscConvConfig(kernel_sizes=5)
    Traceback (most recent call last):
    ValueError: VscConvConfig has no field 'kernel_sizes': did you mean 'kernel_size'?
    """

    model_type = "vsc_conv"
    attribute_map = map_names("hidden_size", "num_layers", "attention_heads")

    hidden_size: int = 64
    num_layers: int = 6
    kernel_size: int = 9
    dilation: list[int] | tuple[int, ...] = (1, 2, 3, 4, 5, 1)
    attention_heads: list[int] | tuple[int, ...] | None = None
    causal: bool = False

    def validate_layers(self) -> None:
        """Check the kernel, one entry per layer in each list, and that heads are equally wide."""
        check_limits("num_layers", self.num_layers, 1)
        check_causal(self.objective, self.causal)
        check_kernel("kernel_size", self.kernel_size, self.causal)
        for name, low in (("dilation", 1), ("attention_heads", 0)):
            entries = getattr(self, name)
            if entries is None:
                continue
            if len(entries) != self.num_layers:
                raise ValueError(
                    f"{name} has {len(entries)} entries, num_layers={self.num_layers}: "
                    "give one per layer"
                )
            for entry in entries:
                check_limits(name, entry, low)
        for heads in self.attention_heads or ():
            if heads and self.hidden_size % heads:
                raise ValueError(
                    f"attention_heads holds {heads}, which does not divide "
                    f"hidden_size={self.hidden_size}: every head needs the same width"
                )


@strict
class VscLstmConfig(VscConfig):
    """The article's LSTM, left to right.

    Attributes:
      num_layers: LSTM layers on top of each other.
    Raises:
      As for VscConfig.

    >>> VscLstmConfig(num_layer=2)
    Traceback (most recent call last):
    ValueError: VscLstmConfig has no field 'num_layer': did you mean 'num_layers'?
    """

    model_type = "vsc_lstm"
    attribute_map = map_names("hidden_size", "num_layers")

    hidden_size: int = 64
    num_layers: int = 6

    def validate_layers(self) -> None:
        """Check that there is at least one layer."""
        check_limits("num_layers", self.num_layers, 1)


@strict
class VscMambaConfig(VscConfig):
    """Mamba as in transformers' MambaConfig, whose names these are, but for `num_layers`.

    Attributes:
      num_layers: Mamba layers on top of each other.
      state_size: numbers that each inner channel remembers.
      expand: inner channels for each channel of the model.
      conv_kernel: bytes that the convolution before the scan sees, the current one among them.
      time_step_rank: channels that a byte's time step is made of; None: hidden_size / 16, up.
      time_step_min, time_step_max: the first time steps, drawn evenly on a logarithmic scale.
      layer_norm_epsilon: what the norms add to the mean square.
    Raises:
      As for VscConfig.
    Source: Mamba, arXiv 2312.00752.

    >>> VscMambaConfig().step_rank
    2
    """

    model_type = "vsc_mamba"
    attribute_map = map_names(
        "hidden_size", "num_layers", "state_size", "conv_kernel", "time_step_rank",
        "layer_norm_epsilon",
    )  # fmt: skip

    num_layers: int = 6
    state_size: int = 16
    expand: int = 2
    conv_kernel: int = 4
    time_step_rank: int | None = None
    time_step_min: float = 1e-3
    time_step_max: float = 0.1
    layer_norm_epsilon: float = 1e-5

    @property
    def step_rank(self) -> int:
        """`time_step_rank`, or what stands for None."""
        return self.time_step_rank or -(-self.hidden_size // 16)

    def validate_mamba(self) -> None:
        """Check every size, and that the time steps are above zero and in order."""
        for name in ("num_layers", "state_size", "expand", "conv_kernel"):
            check_limits(name, getattr(self, name), 1)
        if self.time_step_rank is not None:
            check_limits("time_step_rank", self.time_step_rank, 1)
        if not 0 < self.time_step_min <= self.time_step_max:
            raise ValueError(
                f"time_step_min={self.time_step_min}, time_step_max={self.time_step_max}: "
                "use 0 < time_step_min <= time_step_max"
            )


@strict
class VscMixerConfig(VscScaffoldConfig):
    """The scaffold of the delta-rule model, any layer in the place of its delta layer.

    Attributes:
      mixer: the layer's class, a torch.nn.Module: "FILE.py:CLASS" or "package.module:CLASS"; or a
        function of a file that makes the layer, "FILE.py:FUNCTION".
      mixer_args: its arguments by name; numbers, texts, lists and the like, as in JSON. The
        hidden size is added under the names that the layer has for it, see `make_layer`.
      mixer_version: "PACKAGE VERSION" of a layer from a package; written when it is first built.
      direction: "forward", or "both": a second layer reads each row from its end, results added.
      num_layers: layers in each direction, one after the other, residual, with a norm between.
    Raises:
      As for VscConfig.

    >>> VscMixerConfig(mixer="torch.nn:GRU").direction
    'forward'
    """

    model_type = "vsc_mixer"
    attribute_map = map_names("hidden_size", "intermediate_size", "num_layers")

    mixer: str = "torch.nn:GRU"
    mixer_args: dict[str, Any] = field(default_factory=dict)
    mixer_version: str | None = None
    direction: str = "forward"
    num_layers: int = 1

    def validate_mixer(self) -> None:
        """Check the direction, also against `causal`, and the number of layers."""
        check_limits("num_layers", self.num_layers, 1, MAX_LAYERS)
        check_choice("direction", self.direction, DIRECTIONS)
        if self.causal and self.direction == "both":
            raise ValueError("direction='both' looks ahead: use 'forward', or causal=False")


def check_kernel(name: str, size: int, causal: bool) -> None:
    """Raise a ValueError for a centered kernel that is not odd."""
    check_limits(name, size, 1)
    if size % 2 == 0 and not causal:
        raise ValueError(
            f"{name} holds {size}, but a kernel centered on a token is odd: "
            f"use {size - 1} or {size + 1}, or causal=True"
        )


def check_causal(objective: str, causal: bool) -> None:
    """Raise a ValueError for a model that would see the token that it predicts."""
    if objective != "fill" and not causal:
        raise ValueError(
            f"objective={objective!r} and causal=False: it would see the token that it predicts: "
            "use causal=True, or objective='fill'"
        )


def check_choice(name: str, value: str, choices: Iterable[str]) -> None:
    """Raise a ValueError that names the field, its value and the allowed ones."""
    if value not in choices:
        allowed = " or ".join(", ".join(map(repr, choices)).rsplit(", ", 1))
        raise ValueError(f"{name}={value!r} is unknown: use {allowed}")


def check_limits(name: str, value: float, low: float, high: float | None = None) -> None:
    """Raise a ValueError that names the field, its value and its limits."""
    # NaN is outside every range.
    if not (value >= low and (high is None or value <= high)):
        limits = f"{low} or more" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}={value} is out of range: use {limits}")
