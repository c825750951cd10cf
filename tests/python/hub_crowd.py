"""Many clients at once: 16 push to 16 repositories, 32 to one; nothing may be lost or torn."""

import os
from concurrent.futures import ThreadPoolExecutor

from huggingface_hub import CommitOperationAdd, HfApi

api = HfApi()
USER = os.environ["HUB_USER"]


def push(number):
    repo = f"{USER}/own-{number}"
    api.create_repo(repo)
    for round in range(3):
        files = [CommitOperationAdd(f"{name}.txt", f"{number} {round}".encode()) for name in "ab"]
        api.create_commit(repo, files, commit_message=f"Round {round}")
    return repo


def share(number):
    for round in range(3):
        files = [CommitOperationAdd(f"{number}/{round}-{name}.txt", bytes([number, round])) for name in "ab"]
        api.create_commit(f"{USER}/shared", files, commit_message=f"{number} {round}")


api.create_repo(f"{USER}/shared")
with ThreadPoolExecutor(48) as pool:
    own = [pool.submit(push, number) for number in range(16)]
    shared = [pool.submit(share, number) for number in range(32)]
    repos = [one.result() for one in own]
    [one.result() for one in shared]

for repo in repos:
    assert sorted(api.list_repo_files(repo)) == ["a.txt", "b.txt"], repo
    assert len(api.list_repo_commits(repo)) == 4, repo
files = api.list_repo_files(f"{USER}/shared")
assert len(files) == 32 * 3 * 2, files
commits = api.list_repo_commits(f"{USER}/shared")
assert sorted(c.title for c in commits[:-1]) == sorted(f"{n} {r}" for n in range(32) for r in range(3))
for commit in commits[:-1]:
    # A commit is never half there: both of its files, or neither.
    at = api.list_repo_files(f"{USER}/shared", revision=commit.commit_id)
    number, round = commit.title.split()
    assert {f"{number}/{round}-{name}.txt" for name in "ab"} <= set(at) and len(at) % 2 == 0, at
