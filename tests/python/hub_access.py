"""Private and gated models by the Hub's official client. HF_ENDPOINT says where; HF_TOKEN and OTHER_TOKEN are those of
alice, an administrator of the organisation `acme`, and of bob, who is not in it.
"""

import os

from huggingface_hub import HfApi
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

alice, bob, nobody = HfApi(), HfApi(token=os.environ["OTHER_TOKEN"]), HfApi(token=False)


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"expected {kind.__name__}")


def listed(api):
    return [model.id for model in api.list_models()]


me = alice.whoami()
assert [org["name"] for org in me["orgs"]] == ["acme"], me

# Private from its first commit on.
alice.create_repo("acme/secret", private=True)
alice.upload_file(path_or_fileobj=b"# Secret\n", path_in_repo="README.md", repo_id="acme/secret")
alice.upload_file(path_or_fileobj=bytes(11_000_000), path_in_repo="data.bin", repo_id="acme/secret")
assert alice.model_info("acme/secret").private is True
assert "acme/secret" in listed(alice)
for other in (bob, nobody):
    assert not other.repo_exists("acme/secret") and "acme/secret" not in listed(other)
    refused(RepositoryNotFoundError, lambda: other.model_info("acme/secret"))
    refused(RepositoryNotFoundError, lambda: other.hf_hub_download("acme/secret", "README.md"))
refused(HfHubHTTPError, lambda: bob.create_repo("acme/mine"))
refused(HfHubHTTPError, lambda: nobody.create_repo("nobody/hidden", private=True))

# Public, then gated.
alice.update_repo_settings("acme/secret", private=False)
assert "acme/secret" in listed(nobody)
refused(HfHubHTTPError, lambda: bob.update_repo_settings("acme/secret", private=True))
alice.update_repo_settings("acme/secret", gated="manual")
assert nobody.model_info("acme/secret").gated == "manual"
for other in (bob, nobody):
    refused(GatedRepoError, lambda: other.hf_hub_download("acme/secret", "README.md"))
    refused(GatedRepoError, lambda: other.auth_check("acme/secret"))
alice.auth_check("acme/secret")
alice.grant_access("acme/secret", "bob")
assert [one.username for one in alice.list_accepted_access_requests("acme/secret")] == ["bob"]
assert open(bob.hf_hub_download("acme/secret", "README.md")).read() == "# Secret\n"
alice.reject_access_request("acme/secret", "bob", rejection_reason="no")
refused(GatedRepoError, lambda: bob.hf_hub_download("acme/secret", "data.bin"))
alice.update_repo_settings("acme/secret", gated=False)
assert nobody.hf_hub_download("acme/secret", "data.bin")

refused(HfHubHTTPError, lambda: bob.delete_repo("acme/secret"))
alice.delete_repo("acme/secret")
assert not alice.repo_exists("acme/secret")
