# Sourced by loader.sh and train.sh: builds this project in PROFILE, and finds the Python of the peers, made where it is missing.
export PROFILE="${PROFILE:-release}"
if [ "$PROFILE" = dev ]; then cargo build --quiet --workspace --all-targets; else
  cargo build --quiet --profile "$PROFILE" --workspace --bins --examples; fi
if [ -z "${PEER_PYTHON:-}" ]; then
  [ -x target/peers/bin/python ] || python3 -m venv target/peers
  target/peers/bin/python -m pip install --quiet --requirement tests/bench/requirements.txt \
    webdataset==0.2.86 open_clip_torch==3.3.0 torchvision pandas braceexpand
  PEER_PYTHON=target/peers/bin/python
fi
export PEER_PYTHON
