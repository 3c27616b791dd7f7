"""What errors of OpenCV mean on frames that are known to be good."""

from __future__ import annotations

import pytest

from kinetics_assets.core.errors import DeviceLost, ToolMissing
from kinetics_assets.engines.opencv_cuda.findings import slowness, trouble_of

CV = "error: OpenCV(4.10.0) /build/opencv_contrib/modules/cudaoptflow/src/x.cpp:9: error:"


@pytest.mark.parametrize(
    ("words", "fault", "remedy"),
    [
        (f"{CV} (-217:Gpu API call) out of memory in function 'allocate'", DeviceLost, "End what"),
        (f"{CV} (-4:Insufficient memory) Failed to allocate 9 bytes", DeviceLost, "End what"),
        ("nvOFInit returned error 8:NV_OF_ERR_OUT_OF_MEMORY", DeviceLost, "End what"),
        (f"{CV} (-217:Gpu API call) no CUDA-capable device is detected", DeviceLost, "nvidia-smi"),
        (f"{CV} (-217:Gpu API call) unspecified launch failure", DeviceLost, "nvidia-smi"),
        (f"{CV} (-217:Gpu API call) no kernel image is available", ToolMissing, "CUDA_ARCH_BIN"),
        (f"{CV} (-216:No CUDA support) The library is compiled without CUDA support", ToolMissing,
         "cudalegacy"),
        ("OpenCV was build without NVIDIA OpticalFlow support", ToolMissing, "headers"),
        ("Cannot find NvOF library.", ToolMissing, "libnvidia-opticalflow.so.1"),
        ("nvOFInit returned error 1:NV_OF_ERR_OF_NOT_AVAILABLE", ToolMissing, "Turing"),
        ("x returned error 7:NV_OF_ERR_INVALID_VERSION", ToolMissing, "Update the NVIDIA driver"),
        (f"{CV} (-215:Assertion failed) a == b", ToolMissing, "by hand"),
        ("it died of SIGSEGV", ToolMissing, "by hand"),
    ],
)  # fmt: skip
def test_each_error_has_its_fault_and_remedy(
    words: str, fault: type[Exception], remedy: str
) -> None:
    """What the device does is told from what OpenCV lacks, by words and not by names of files."""
    found = trouble_of(words, python="/opt/cv/python").fault()
    assert isinstance(found, fault)
    assert words in str(found)
    assert remedy in found.remedy
    assert "flow.engine" in found.remedy


@pytest.mark.parametrize(
    ("opencv", "method", "is_slow"),
    [
        ("3.4.20", "tvl1", False),
        ("4.0.0", "tvl1", True),
        ("4.5.4-dev", "tvl1", True),
        ("4.5.4", "farneback", False),
        ("4.5.5", "tvl1", False),
        ("4.10.0", "tvl1", False),
        ("5.0.0-pre", "tvl1", False),
    ],
)
def test_versions_with_a_slow_algorithm(opencv: str, method: str, is_slow: bool) -> None:
    """Those of OpenCV that wait for the whole device in TV-L1, and no others."""
    assert bool(slowness(opencv, method)) == is_slow
