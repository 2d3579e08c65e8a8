"""Choose the arithmetic from evidence: hardware and model."""

from tfpipe.base import machine

# Models measured to gain by bfloat16 on a CPU with an AMX unit (images/s against
# float32): vgg16 2.8 to 5.6 times, resnet50 1.25 times. mobilenetv2 lost a fifth.
GAINS_BY_BF16 = ("vgg16", "vgg19", "resnet50")


def resolve_precision(precision: str, model: str, *, on_gpu: bool) -> tuple[str, str]:
    """Return (precision, reason) for a setting of auto, float32 or mixed_bfloat16.

    Without a matrix unit for bfloat16 a CPU emulates it: VGG16 at 64 pixels then ran
    at a fourteenth of its float32 rate.
    """
    if precision != "auto":
        return precision, "as asked"
    if on_gpu:
        return "float32", "no measurement on a GPU; --precision=mixed_bfloat16 asks"
    if "amx_bf16" not in machine.cpu_flags():
        return "float32", "no bfloat16 matrix unit (amx_bf16) in this CPU"
    if model not in GAINS_BY_BF16:
        return "float32", f"no measurement says that {model} gains by bfloat16"
    return "mixed_bfloat16", "amx_bf16 in this CPU; measured faster for this model"
