"""Install tfpipe: `pip install .` (extras: test, dev, jax, peers, bench, gpu)."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

TEST = [
    "hypothesis>=6",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "scipy>=1.14",
    "tensorflow-datasets>=4.9.10",
]

setup(
    name="tfpipe",
    version="0.1.0",
    description="Which optimizer and learning rate, and at which stage of training.",
    long_description=Path(__file__).with_name("README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["tfpipe", "tfpipe.*"]),
    package_data={"tfpipe": ["py.typed"], "tfpipe.comparison": ["*.css", "*.js"]},
    # Optional: without a C compiler Python and NumPy do their work, to the same bytes
    # and more slowly.
    ext_modules=[
        Extension(
            f"tfpipe.data.{name.replace('/', '.')}",
            [f"tfpipe/data/{name}.c"],
            # Without contraction: one rounding more or less would be another result.
            extra_compile_args=["-O3", "-ffp-contract=off"],
            optional=True,
        )
        for name in ("pictures/_resample", "streaming/_batches")
    ],
    python_requires=">=3.11,<3.14",
    install_requires=[
        "absl-py>=2",
        "google-crc32c>=1.5",
        "keras>=3.15,<3.16",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "pillow>=10.3",
        "protobuf>=6.31.1",
        "rich>=13",
        "simplejpeg>=1.7",
        "tensorboard>=2.21",
        "tensorflow>=2.21,<2.22",
    ],
    extras_require={
        "test": TEST,
        "dev": [*TEST, "mypy>=1.11", "ruff>=0.6"],
        # Other readers and writers of pictures, for slow tests and benchmarks/.
        "peers": ["nvidia-dali-cuda130>=2.4; sys_platform == 'linux'"],
        "bench": ["ffcv==1.0.2", "importlib_resources"],
        "jax": ["jax>=0.6"],
        "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
    },
)
