"""Pushes checkpoint folders, `id=folder` each, and waits until their weights have been looked at."""

import sys
import time

from huggingface_hub import HfApi

api = HfApi()
for pair in sys.argv[1:]:
    repo, folder = pair.split("=", 1)
    api.create_repo(repo, exist_ok=True)
    api.upload_folder(folder_path=folder, repo_id=repo, commit_message="Push")
    deadline = time.monotonic() + 120
    while not (api.model_info(repo).safetensors or {}):
        assert time.monotonic() < deadline, f"nobody looked at {repo}"
        time.sleep(0.05)
