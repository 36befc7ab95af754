"""What Python's huggingface_hub makes of the hub for tests. Run by tests/suites/hub/hubd.rs, which sets HF_ENDPOINT and HF_HOME."""

import os
import pathlib
import tempfile

from huggingface_hub import CommitOperationAdd, HfApi, HfFileSystem, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

READ, WRITE = "hf_read", "hf_write"
api = HfApi(token=READ)


def raises(kind, what):
    try:
        what()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


# Lists: filters, search, sorting, pages.
assert [m.id for m in api.list_models(author="lab", sort="downloads")] == ["lab/tiny", "lab/tiny-lora", "lab/gated"]
assert [m.id for m in api.list_models(filter="base_model:adapter:lab/tiny")] == ["lab/tiny-lora"]
assert [m.id for m in api.list_models(filter=["peft", "license:mit"], search="lora")] == ["lab/tiny-lora"]
assert [m.id for m in api.list_models(filter=["peft", "license:apache-2.0"])] == []
assert [m.id for m in api.list_models(pipeline_tag="text-generation", author="lab")] == ["lab/tiny"]
assert [m.id for m in api.list_models(gated=True)] == ["lab/gated"]
assert "lab/secret" in [m.id for m in api.list_models(author="lab", token="hf_owner")]
assert len(list(api.list_models(search="model-", limit=7))) == 7
few = list(api.list_models(search="tiny", expand=["downloads", "gated"]))
assert {(m.id, m.downloads, m.gated, m.likes) for m in few} == {
    ("lab/tiny", 300, False, None),
    ("lab/tiny-lora", 200, False, None),
}
full = next(iter(api.list_models(search="tiny-lora", full=True, cardData=True)))
assert full.card_data.license == "mit" and full.card_data.base_model == "lab/tiny" and len(full.siblings) == 2

# One model.
info = api.model_info("lab/tiny", files_metadata=True)
sizes = {s.rfilename: (s.size, s.lfs.sha256 if s.lfs else None) for s in info.siblings}
assert sizes["config.json"] == (36, None), sizes
assert len(sizes["model.safetensors"][1]) == 64
assert info.safetensors.total == 132 and info.used_storage == sum(size for size, _ in sizes.values())
assert info.library_name == "transformers" and "license:apache-2.0" in info.tags
assert api.model_info("lab/gated").gated == "auto"
assert api.model_info("lab/tiny-lora").config == {"peft": {"base_model_name_or_path": "lab/tiny"}}
commits = api.list_repo_commits("lab/tiny")
assert [c.title for c in commits] == ["Second", "Upload model"], commits
refs = api.list_repo_refs("lab/tiny")
assert refs.branches[0].target_commit == info.sha == refs.tags[0].target_commit
assert {e.path for e in api.list_repo_tree("lab/tiny", recursive=True, expand=True)} >= {"sub", "sub/folder/notes.txt"}
assert [e.path for e in api.list_repo_tree("lab/tiny", "sub/folder")] == ["sub/folder/notes.txt"]
entry, folder = api.get_paths_info("lab/tiny", ["model.safetensors", "sub", "none"])
assert entry.lfs.sha256 == sizes["model.safetensors"][1] and folder.path == "sub"
assert api.whoami()["name"] == "tester"
assert api.file_exists("lab/tiny", "config.json") and not api.file_exists("lab/tiny", "none")

# Downloads.
path = hf_hub_download("lab/tiny", "config.json")
assert "second" in pathlib.Path(path).read_text()
old = hf_hub_download("lab/tiny", "config.json", revision=commits[1].commit_id)
assert "second" not in pathlib.Path(old).read_text()
path = pathlib.Path(hf_hub_download("lab/tiny", "model.safetensors"))
assert path.resolve().name == sizes["model.safetensors"][1] and path.stat().st_size == sizes["model.safetensors"][0]
snapshot = pathlib.Path(snapshot_download("lab/tiny", revision="v2"))
assert (snapshot / "sub/folder/notes.txt").read_text() == "notes"
weights = path.read_bytes()
files = HfFileSystem(token=READ)
with files.open("lab/tiny/model.safetensors", block_size=16) as part:
    part.seek(10)
    assert part.read(20) == weights[10:30]

# What is closed or missing.
raises(RepositoryNotFoundError, lambda: api.model_info("lab/none"))
raises(RepositoryNotFoundError, lambda: HfApi(token=False).model_info("lab/none"))
raises(RepositoryNotFoundError, lambda: api.model_info("lab/secret"))
raises(GatedRepoError, lambda: hf_hub_download("lab/gated", "config.json", token=READ))
raises(GatedRepoError, lambda: hf_hub_download("lab/gated", "config.json", token=False))
assert pathlib.Path(hf_hub_download("lab/gated", "config.json", token="hf_granted")).read_text() == "{}"
assert api.model_info("lab/secret", token="hf_owner").private
raises(RevisionNotFoundError, lambda: hf_hub_download("lab/tiny", "config.json", revision="v9"))
raises(EntryNotFoundError, lambda: hf_hub_download("lab/tiny", "none.json"))
error = raises(HfHubHTTPError, lambda: api.create_repo("tester/read-only"))
assert error.response.status_code == 403

# Uploads: one blob whole, one in parts.
writer = HfApi(token=WRITE)
assert writer.create_repo("tester/from-python", private=True).repo_id == "tester/from-python"
error = raises(HfHubHTTPError, lambda: writer.create_repo("tester/from-python"))
assert error.response.status_code == 409
writer.create_repo("tester/from-python", exist_ok=True)
with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    (root / "sub").mkdir()
    (root / "sub/notes.txt").write_text("notes")
    (root / "README.md").write_text("---\nlicense: mit\nbase_model: lab/tiny\n---\n# From Python\n")
    (root / "model.safetensors").write_bytes(weights)
    (root / "big.safetensors").write_bytes(os.urandom(3_500_000))
    done = writer.upload_folder(repo_id="tester/from-python", folder_path=folder, commit_message="From Python")
    assert done.oid == writer.model_info("tester/from-python").sha
    # Nothing has changed: no commit is made.
    again = writer.upload_folder(repo_id="tester/from-python", folder_path=folder, commit_message="Again")
    assert again.oid == done.oid
    back = pathlib.Path(snapshot_download("tester/from-python", token=WRITE))
    assert (back / "big.safetensors").read_bytes() == (root / "big.safetensors").read_bytes()
assert "base_model:finetune:lab/tiny" in writer.model_info("tester/from-python").tags
request = writer.create_commit(
    "tester/from-python",
    [CommitOperationAdd("more.txt", b"more")],
    commit_message="A request",
    create_pr=True,
)
assert request.pr_num == 1 and request.pr_revision == "refs/pr/1"
assert writer.file_exists("tester/from-python", "more.txt", revision="refs/pr/1")
assert not writer.file_exists("tester/from-python", "more.txt")
