"""Declare the two operators that torchvision expects of its compiled part, which PyPI builds for CUDA alone.

vLLM looks at a model in a process of its own, which finds this file by PYTHONPATH; Python imports it by its name.
"""

import torch

OPERATORS = torch.library.Library("torchvision", "DEF")
OPERATORS.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
OPERATORS.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
