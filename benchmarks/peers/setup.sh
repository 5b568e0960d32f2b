#!/usr/bin/env bash
# Make an environment with the libraries that ptdiff's solvers are compared with. k-diffusion and azula declare many
# dependencies that their samplers do not use, so they are installed without dependencies.
#
#     benchmarks/peers/setup.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/../.."
folder=${1:-.venv/peers}
python3 -m venv "$folder"
pip=("$folder/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt)
"${pip[@]}" torch numpy scipy pydantic typer rich pyyaml einops tqdm diffusers
"${pip[@]}" --no-deps k-diffusion azula
echo "now:  PYTHONPATH=.:cli $folder/bin/python -m ptdiff_cli.main certify --only agreement"
echo "and:  PYTHONPATH=.:cli $folder/bin/python benchmarks/peers/measure.py"
