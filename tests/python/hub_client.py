"""What the Hub's official client does with a registry, call by call. HF_ENDPOINT and HF_TOKEN say where and who.

    hub_client.py [FOLDER]     FOLDER is a checkpoint to push
"""

import io
import json
import os
import pathlib
import shutil
import sys
import tempfile
import time

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, HfFileSystem, ModelCard
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

api = HfApi()
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


USER = os.environ["HUB_USER"]
REPO, PUSHED, FOLDER = f"{USER}/first", f"{USER}/pushed", None


@check
def who_am_i():
    assert api.whoami()["name"] == USER


@check
def a_bad_token_is_refused():
    # Clients of the 0.x line raise the HTTP library's own error here.
    error = refused(Exception, lambda: api.whoami(token="stemma_wrong"))
    assert error.response.status_code == 401, error
    error = refused(HfHubHTTPError, lambda: api.model_info("mandoc/scribe-v1", token="stemma_wrong"))
    assert error.response.status_code == 401 and not isinstance(error, RepositoryNotFoundError), error
    # Whoever comes from the Hub brings its token along.
    assert api.model_info("mandoc/scribe-v1", token="hf_of_another_place").id == "mandoc/scribe-v1"


@check
def a_repository_is_created_once():
    url = api.create_repo("first")
    assert url.repo_id == REPO, url.repo_id
    api.create_repo(REPO, exist_ok=True)
    assert refused(HfHubHTTPError, lambda: api.create_repo(REPO)).response.status_code == 409
    assert api.repo_exists(REPO) and not api.repo_exists(f"{USER}/none")


@check
def small_and_large_files_are_uploaded():
    api.upload_file(path_or_fileobj=b'{"model_type": "llama"}', path_in_repo="config.json", repo_id=REPO)
    big = os.urandom(12_000_000)
    api.upload_file(path_or_fileobj=io.BytesIO(big), path_in_repo="data/big.bin", repo_id=REPO)
    with tempfile.TemporaryDirectory() as place:
        path = pathlib.Path(place, "x.bin")
        path.write_bytes(big[:3_000_000])
        api.upload_file(path_or_fileobj=path, path_in_repo="data/x.bin", repo_id=REPO)
    got = hf_hub_download(REPO, "data/big.bin")
    assert pathlib.Path(got).read_bytes() == big
    assert pathlib.Path(hf_hub_download(REPO, "config.json")).read_bytes() == b'{"model_type": "llama"}'


@check
def the_same_file_again_is_no_new_commit():
    before = api.model_info(REPO).sha
    api.upload_file(path_or_fileobj=b'{"model_type": "llama"}', path_in_repo="config.json", repo_id=REPO)
    assert api.model_info(REPO).sha == before


@check
def a_commit_adds_and_deletes_at_once():
    operations = [
        CommitOperationAdd("notes/a.txt", b"a"),
        CommitOperationAdd("README.md", b"---\nlicense: mit\nbase_model: mandoc/scribe-v1\n---\n# First\n"),
        CommitOperationDelete("data/x.bin"),
    ]
    done = api.create_commit(REPO, operations, commit_message="Several things", commit_description="At once.")
    files = api.list_repo_files(REPO)
    assert "notes/a.txt" in files and "data/x.bin" not in files, files
    assert done.oid == api.model_info(REPO).sha and done.oid in done.commit_url


@check
def a_stale_parent_is_refused():
    old = api.list_repo_commits(REPO)[-1].commit_id
    add = [CommitOperationAdd("late.txt", b"late")]
    error = refused(
        HfHubHTTPError, lambda: api.create_commit(REPO, add, commit_message="late", parent_commit=old)
    )
    assert error.response.status_code == 412, error


@check
def history_tells_every_commit():
    commits = api.list_repo_commits(REPO)
    assert commits[0].title == "Several things" and commits[0].message.strip().startswith("At once"), commits[0]
    assert commits[-1].title == "initial commit" and commits[0].authors == [USER]
    assert len({commit.commit_id for commit in commits}) == len(commits)


@check
def model_info_says_what_the_card_says():
    info = api.model_info(REPO, files_metadata=True)
    assert info.card_data.license == "mit" and info.card_data.base_model == "mandoc/scribe-v1"
    assert "base_model:finetune:mandoc/scribe-v1" in info.tags and "license:mit" in info.tags
    by_name = {file.rfilename: file for file in info.siblings}
    assert by_name["data/big.bin"].size == 12_000_000 and by_name["data/big.bin"].lfs.size == 12_000_000
    assert by_name["config.json"].lfs is None and len(by_name["config.json"].blob_id) == 40
    expanded = api.model_info(REPO, expand=["baseModels", "sha", "likes"])
    parent = api.model_info("mandoc/scribe-v1", expand=["childrenModelCount"])
    if hasattr(expanded, "base_models"):
        assert expanded.base_models["models"][0]["id"] == "mandoc/scribe-v1", expanded.base_models
        assert parent.children_model_count["finetune"] >= 1
    assert refused(HfHubHTTPError, lambda: api.model_info(REPO, expand=["nonsense"])).response.status_code == 400


@check
def card_data_is_the_front_matter_as_written():
    index = [{"name": "m", "results": [{"task": {"type": "t"}, "dataset": {"type": "d", "name": "D"},
              "metrics": [{"type": "acc", "value": 0.5}]}]}]
    front = {"license": "other", "license_name": "my-lic", "license_link": "LICENSE", "metrics": ["acc"],
             "base_model": ["mandoc/scribe-v1"], "base_model_relation": "finetune", "tags": ["mine"],
             "widget": [{"text": "Hi"}], "custom": {"a": [1]}, "model-index": index, "self": "x"}
    card = "---\n" + json.dumps(front) + "\n---\nSee https://arxiv.org/abs/2403.04652\n"
    before = pathlib.Path(hf_hub_download(REPO, "README.md")).read_bytes()
    api.upload_file(path_or_fileobj=card.encode(), path_in_repo="README.md", repo_id=REPO)
    info = api.model_info(REPO)
    told = info.card_data.to_dict()
    assert all(told[name] == front[name] for name in front if name not in ("self", "model-index")), told
    assert info.card_data.eval_results[0].metric_value == 0.5 and info.model_index == index
    assert {"license:other", "arxiv:2403.04652", "mine"} <= set(info.tags), info.tags
    assert "license:my-lic" not in info.tags, info.tags
    assert api.model_info(REPO, expand=["model-index"]).model_index == index
    assert REPO in {model.id for model in api.list_models(filter="license:other")}
    one = next(iter(api.list_models(search="first", expand=["cardData", "model-index"])))
    assert one.card_data.license_name == "my-lic" and one.model_index == index
    api.upload_file(path_or_fileobj=before, path_in_repo="README.md", repo_id=REPO)


@check
def what_is_missing_is_told_apart():
    refused(RepositoryNotFoundError, lambda: api.model_info(f"{USER}/none"))
    refused(RevisionNotFoundError, lambda: api.model_info(REPO, revision="none"))
    refused(EntryNotFoundError, lambda: hf_hub_download(REPO, "none.json"))
    refused(RepositoryNotFoundError, lambda: hf_hub_download(f"{USER}/none", "x"))
    assert not api.file_exists(REPO, "none.json") and api.file_exists(REPO, "config.json")
    assert not api.revision_exists(REPO, "none") and api.revision_exists(REPO, "main")


@check
def trees_are_listed_flat_deep_and_from_a_folder():
    flat = [entry.path for entry in api.list_repo_tree(REPO)]
    assert flat[:2] == ["data", "notes"] and "README.md" in flat, flat
    deep = {entry.path: entry for entry in api.list_repo_tree(REPO, recursive=True, expand=True)}
    assert deep["data/big.bin"].lfs.sha256 and deep["notes/a.txt"].last_commit.title == "Several things"
    assert [entry.path for entry in api.list_repo_tree(REPO, "notes")] == ["notes/a.txt"]
    refused(EntryNotFoundError, lambda: list(api.list_repo_tree(REPO, "nowhere")))
    found = api.get_paths_info(REPO, ["config.json", "data", "none"])
    assert sorted(entry.path for entry in found) == ["config.json", "data"]


@check
def branches_and_tags_come_and_go():
    api.create_branch(REPO, branch="dev")
    api.create_tag(REPO, tag="v1", tag_message="One")
    assert refused(HfHubHTTPError, lambda: api.create_branch(REPO, branch="dev")).response.status_code == 409
    main = api.model_info(REPO).sha
    api.upload_file(path_or_fileobj=b"dev", path_in_repo="dev.txt", repo_id=REPO, revision="dev")
    refs = api.list_repo_refs(REPO)
    heads = {branch.name: branch.target_commit for branch in refs.branches}
    assert heads["main"] == main and heads["dev"] != main
    add = [CommitOperationAdd("late.txt", b"late")]
    for revision in ["v1", main]:
        error = refused(BadRequestError, lambda: api.create_commit(REPO, add, commit_message="late", revision=revision))
        assert "go to a branch" in str(error), error
    refused(RevisionNotFoundError, lambda: api.create_commit(REPO, add, commit_message="late", revision="none"))
    assert [tag.name for tag in refs.tags] == ["v1"] and refs.tags[0].target_commit == main
    assert api.file_exists(REPO, "dev.txt", revision="dev") and not api.file_exists(REPO, "dev.txt")
    assert api.model_info(REPO, revision="v1").sha == main
    api.delete_tag(REPO, tag="v1")
    api.delete_branch(REPO, branch="dev")
    refs = api.list_repo_refs(REPO)
    assert [branch.name for branch in refs.branches] == ["main"] and not refs.tags


@check
def names_with_a_slash_are_branches_and_tags_as_any():
    api.create_branch(REPO, branch="dev/x")
    api.create_tag(REPO, tag="v/1")
    api.upload_file(path_or_fileobj=b"dev", path_in_repo="data/dev.txt", repo_id=REPO, revision="dev/x")
    api.create_commit(REPO, [CommitOperationAdd("b.txt", b"b")], commit_message="b", revision="refs/heads/dev/x")
    head = api.model_info(REPO, revision="dev/x").sha
    assert head == api.list_repo_commits(REPO, revision="dev/x")[0].commit_id != api.model_info(REPO).sha
    assert api.model_info(REPO, revision="refs/heads/main").sha == api.model_info(REPO, revision="v/1").sha
    for revision in ["dev/x", "refs/heads/dev/x"]:
        assert "data/dev.txt" in [entry.path for entry in api.list_repo_tree(REPO, "data", revision=revision)]
        assert len(api.get_paths_info(REPO, ["data/dev.txt", "b.txt"], revision=revision)) == 2
    place = snapshot_download(REPO, revision="dev/x", allow_patterns=["*.txt"])
    assert pathlib.Path(place, "data/dev.txt").read_bytes() == b"dev"
    assert pathlib.Path(hf_hub_download(REPO, "b.txt", revision="dev/x")).read_bytes() == b"b"
    refused(RevisionNotFoundError, lambda: api.model_info(REPO, revision="dev/y"))
    api.delete_tag(REPO, tag="v/1")
    api.delete_branch(REPO, branch="dev/x")


@check
def what_a_gitignore_names_stays_where_it_is():
    with tempfile.TemporaryDirectory() as place:
        for name, text in [(".gitignore", "*.pem\n.env\n"), ("key.pem", "secret"), (".env", "secret"), ("ok.txt", "ok")]:
            pathlib.Path(place, name).write_text(text)
        api.upload_folder(folder_path=place, repo_id=REPO, path_in_repo="")
    files = set(api.list_repo_files(REPO))
    assert "ok.txt" in files and not files & {"key.pem", ".env"}, files
    api.upload_file(path_or_fileobj=b"secret", path_in_repo="later.pem", repo_id=REPO)
    assert "later.pem" not in api.list_repo_files(REPO)
    api.delete_file(".gitignore", REPO)


@check
def a_checkpoint_is_pushed_and_loads_as_it_was():
    api.create_repo(PUSHED)
    api.upload_folder(folder_path=FOLDER, repo_id=PUSHED, commit_message="Push a checkpoint")
    place = snapshot_download(PUSHED)
    for path in pathlib.Path(FOLDER).rglob("*"):
        if path.is_file():
            copy = pathlib.Path(place, path.relative_to(FOLDER))
            assert copy.read_bytes() == path.read_bytes(), path
    only = snapshot_download(PUSHED, allow_patterns=["*.json"], local_dir=tempfile.mkdtemp())
    assert not list(pathlib.Path(only).glob("*.safetensors"))
    api.upload_folder(folder_path=FOLDER, repo_id=PUSHED, commit_message="Again")
    assert [commit.title for commit in api.list_repo_commits(PUSHED)][0] == "Push a checkpoint"


def sent_with_a_commit(push):
    sent, original = [], CommitOperationAdd.b64content

    def counted(operation):
        sent.append(operation.path_in_repo)
        return original(operation)

    CommitOperationAdd.b64content = counted
    try:
        push()
    finally:
        CommitOperationAdd.b64content = original
    return sent


@check
def weights_that_are_there_are_not_sent_again():
    # Their names are found out beside other work after the push.
    for _ in range(50):
        sent = sent_with_a_commit(lambda: api.upload_folder(folder_path=FOLDER, repo_id=PUSHED))
        if not sent:
            return
        time.sleep(0.2)
    raise AssertionError(f"sent again: {sent}")


@check
def the_header_of_weights_is_read_by_range():
    metadata = api.get_safetensors_metadata(PUSHED)
    assert sum(metadata.parameter_count.values()) > 100_000
    assert refused(Exception, lambda: api.get_safetensors_metadata(REPO))


@check
def a_card_is_loaded_and_changed():
    card = ModelCard.load(PUSHED)
    card.data.tags = ["pushed-by-test"]
    # `push_to_hub` of a card asks a fixed address in clients before 2.0, wherever the registry is.
    api.upload_file(path_or_fileobj=str(card).encode(), path_in_repo="README.md", repo_id=PUSHED)
    assert "pushed-by-test" in api.model_info(PUSHED).tags


@check
def models_are_listed_by_page_author_tag_and_parent():
    mine = {model.id for model in api.list_models(author=USER)}
    assert mine == {REPO, PUSHED}, mine
    assert REPO in {model.id for model in api.list_models(search="first")}
    assert REPO in {model.id for model in api.list_models(filter="base_model:mandoc/scribe-v1")}
    assert REPO in {model.id for model in api.list_models(filter="base_model:finetune:mandoc/scribe-v1")}
    assert PUSHED in {model.id for model in api.list_models(filter=["pushed-by-test"])}
    assert REPO in {model.id for model in api.list_models(filter="license:mit", sort="created_at")}
    one = next(iter(api.list_models(search="first", full=True, cardData=True, fetch_config=True)))
    assert "base_model:finetune:mandoc/scribe-v1" in one.tags and "license:mit" in one.tags, one.tags
    assert one.card_data.license == "mit" and "data/big.bin" in {file.rfilename for file in one.siblings}
    assert one.config["model_type"] == "llama", one.config
    several = [model.id for model in api.list_models(limit=150)]
    assert len(several) == len(set(several)) == 150
    assert all(model.sha for model in api.list_models(author=USER, full=True))


@check
def a_large_file_is_copied_from_another_repository():
    # Older clients copy within a repository only.
    if not hasattr(api, "copy_files"):
        return
    weights = "mandoc/scribe-v1/model.safetensors"
    api.copy_files(f"hf://{weights}", f"hf://{REPO}/copied.safetensors")
    [source] = api.get_paths_info("mandoc/scribe-v1", ["model.safetensors"])
    [copy] = api.get_paths_info(REPO, ["copied.safetensors"])
    assert copy.lfs.sha256 == source.lfs.sha256
    content = pathlib.Path(hf_hub_download("mandoc/scribe-v1", "model.safetensors")).read_bytes()
    for expand in [False, True]:
        files = HfFileSystem(skip_instance_cache=True, expand_info=expand)
        files.info(f"{REPO}/copied.safetensors", refresh=True)
        with tempfile.TemporaryDirectory() as place:
            files.get_file(f"{REPO}/copied.safetensors", f"{place}/copy")
            assert pathlib.Path(place, "copy").read_bytes() == content
    api.delete_file("copied.safetensors", REPO)


@check
def a_parent_may_be_named_by_its_first_digits():
    head = api.model_info(REPO).sha

    def push(content):
        add = [CommitOperationAdd("short.txt", content)]
        return api.create_commit(REPO, add, commit_message="short", parent_commit=head[:7])

    done = push(b"short")
    assert api.list_repo_commits(REPO)[0].commit_id == done.oid
    error = refused(HfHubHTTPError, lambda: push(b"late"))
    assert error.response.status_code == 412, error


@check
def what_the_hub_derives_is_derived_here():
    files = {name: b"x" for name in ["pytorch_model.bin", "m.gguf", "onnx/model.onnx", "model.safetensors"]}
    files["config.json"] = json.dumps({"model_type": "llama", "architectures": ["LlamaForCausalLM"]}).encode()
    repo = api.create_repo(f"{USER}/derived").repo_id
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    api.create_commit(repo, operations, commit_message="Five files")
    info = api.model_info(repo)
    assert info.pipeline_tag == "text-generation" and info.library_name == "transformers", info
    assert info.transformers_info.auto_model == "AutoModelForCausalLM", info.transformers_info
    tags = ["llama", "transformers", "text-generation", "gguf", "onnx", "pytorch", "safetensors"]
    assert set(tags) <= set(info.tags), info.tags
    for tag in tags:
        assert repo in {model.id for model in api.list_models(author=USER, filter=tag)}, tag
    api.delete_repo(repo)


@check
def there_are_no_discussions_and_no_pull_requests():
    assert list(api.get_repo_discussions(REPO)) == []
    add = [CommitOperationAdd("pr.txt", b"pr")]
    for start in [
        lambda: api.create_discussion(REPO, title="x"),
        lambda: api.create_commit(REPO, add, commit_message="x", create_pr=True),
    ]:
        error = refused(HfHubHTTPError, start)
        assert error.response.status_code == 403 and "not kept here" in str(error), error
    assert refused(HfHubHTTPError, lambda: api.get_discussion_details(REPO, 1)).response.status_code == 404
    refused(RepositoryNotFoundError, lambda: list(api.get_repo_discussions(f"{USER}/none")))


@check
def repositories_of_other_kinds_are_not_here():
    for kind in ["dataset", "space"]:
        assert not api.repo_exists("x/y", repo_type=kind)
        assert not api.file_exists("x/y", "a", repo_type=kind)
        refused(RepositoryNotFoundError, lambda: hf_hub_download("x/y", "a.txt", repo_type=kind))
        refused(RepositoryNotFoundError, lambda: snapshot_download("x/y", repo_type=kind))
        refused(RepositoryNotFoundError, lambda: api.delete_repo("x/y", repo_type=kind))
        api.delete_repo("x/y", repo_type=kind, missing_ok=True)
        assert refused(HfHubHTTPError, lambda: api.create_repo("y", repo_type=kind, space_sdk="static"))
    assert list(api.list_datasets()) == [] and list(api.list_spaces()) == []


@check
def what_parameters_ask_for_is_answered():
    latest = api.list_repo_commits(REPO, formatted=True)[0]
    assert latest.formatted_title == latest.title and latest.formatted_message == ""
    assert api.list_repo_commits(REPO)[0].formatted_title is None
    assert api.model_info(REPO, securityStatus=True).security_repo_status["scansDone"] is False


@check
def files_and_folders_are_deleted():
    refused(EntryNotFoundError, lambda: api.delete_file("nope.txt", REPO))
    api.delete_file("config.json", REPO)
    api.delete_folder("notes", REPO)
    files = api.list_repo_files(REPO)
    assert "config.json" not in files and not any(file.startswith("notes/") for file in files), files


@check
def a_repository_moves_and_the_old_name_leads_to_it():
    api.move_repo(REPO, f"{USER}/second")
    assert api.model_info(REPO).id == f"{USER}/second"
    assert pathlib.Path(hf_hub_download(REPO, "README.md")).read_bytes().startswith(b"---")
    api.create_tag(REPO, tag="after")
    api.create_tag(REPO, tag="gone")
    api.create_branch(REPO, branch="later")
    api.delete_tag(REPO, tag="gone")
    refs = api.list_repo_refs(f"{USER}/second")
    assert [tag.name for tag in refs.tags] == ["after"] and "later" in {branch.name for branch in refs.branches}
    error = refused(RepositoryNotFoundError, lambda: api.delete_repo(REPO))
    assert f"{USER}/second" in str(error), error


@check
def a_repository_is_deleted():
    api.delete_repo(f"{USER}/second")
    refused(RepositoryNotFoundError, lambda: api.model_info(f"{USER}/second"))
    refused(RepositoryNotFoundError, lambda: api.delete_repo(f"{USER}/second"))
    api.delete_repo(f"{USER}/second", missing_ok=True)


@check
def a_history_is_given_up_and_its_large_files_go():
    long = f"{USER}/long"
    api.create_repo(long)
    for text in [b"one", b"secret", b"three"]:
        api.upload_file(path_or_fileobj=text, path_in_repo="weights.bin", repo_id=long, commit_message=str(text))
    commits = [one.commit_id for one in api.list_repo_commits(long)]
    held = {file.file_oid: file for file in api.list_lfs_files(long)}
    assert len(held) == 3 and {file.filename for file in held.values()} == {"weights.bin"}, held
    old = api.get_paths_info(long, ["weights.bin"], revision=commits[1])[0].lfs.sha256
    now = api.get_paths_info(long, ["weights.bin"])[0].lfs.sha256
    api.permanently_delete_lfs_files(long, [held[old]])
    assert old not in {file.file_oid for file in api.list_lfs_files(long)}
    refused(RevisionNotFoundError, lambda: api.model_info(long, revision=commits[1]))
    shown = refused(HfHubHTTPError, lambda: api.permanently_delete_lfs_files(long, [held[now]]))
    assert shown.response.status_code == 409, shown
    api.super_squash_history(long, commit_message="All of it")
    history = api.list_repo_commits(long)
    assert [one.title for one in history if one.title != "Initial commit"] == ["All of it"], history
    assert [file.file_oid for file in api.list_lfs_files(long)] == [now]
    assert pathlib.Path(hf_hub_download(long, "weights.bin")).read_bytes() == b"three"
    refused(RevisionNotFoundError, lambda: api.model_info(long, revision=commits[0]))
    refused(RevisionNotFoundError, lambda: api.super_squash_history(long, branch="nothing"))


@check
def reading_needs_no_token():
    anonymous = HfApi(token=False)
    assert anonymous.model_info(PUSHED).id == PUSHED
    assert [entry.path for entry in anonymous.get_paths_info(PUSHED, ["config.json"])] == ["config.json"]
    hf_hub_download(PUSHED, "config.json", token=False, cache_dir=tempfile.mkdtemp())


if __name__ == "__main__":
    FOLDER = sys.argv[1]
    told = {"version": huggingface_hub.__version__, "failed": {}, "passed": []}
    for one in CHECKS:
        try:
            one()
            told["passed"].append(one.__name__)
        except Exception as error:  # Every check is told, whatever the one before did.
            told["failed"][one.__name__] = f"{type(error).__name__}: {error}"
    json.dump(told, sys.stdout)
