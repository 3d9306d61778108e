"""A Hugging Face Hub on 127.0.0.1 for tests, spoken to by the unmodified client.

A real HTTP server (standard library, threads) with repositories, commits, branches, tags, LFS, private repositories,
organisations and tokens, and with faults that a test plans: connections cut in mid-upload and mid-download, slow and
failing answers, replies lost, another writer in between. Everything is in memory; each test has its own, in
milliseconds.

    def test_push(hub):                                   # the fixture; users alice and bob, organisation lab
        api = hub.api("alice")                            # huggingface_hub.HfApi as alice; hub.api() is anonymous
        api.create_repo("alice/m", private=True)
        hub.faults.cut_upload(after=1000)                 # the next LFS upload breaks after 1000 bytes
        api.upload_folder(repo_id="alice/m", folder_path=folder)
        assert hub.repository("alice/m").read("model.safetensors") == weights
        assert hub.log.find("PUT", "^/lfs/", status=200)
        hub.run_python("from transformers import ...", token=hub.token("alice"))     # in a process of its own

Where things are: `protocol` (request, response, error), `repository` (commits and files), `store` (people and
rights), `routing`, `api`, `contents` and `lfs` (the routes), `handler` (HTTP), `faults`, `log`, `hub` (what a test
holds), `fixtures` (pytest).

Not spoken, and answered with 501 so that a test notices: pull requests, xet (HF_HUB_DISABLE_XET=1 is needed),
multi-part LFS, moving and squashing repositories, gated repositories. Where huggingface.co differs knowingly:
`store.unauthorised`, `contents.preupload`; a binary file that goes to LFS is not added to .gitattributes.
"""

from loopback_hub.hub import LoopbackHub

__all__ = ["LoopbackHub"]
