"""Publishing to GitHub Pages (a commit and no push) and to the Hugging Face hub (spoken to through its client)."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import pytest

from sftbench.errors import EnvironmentProblem, UsageError
from sftbench.publishing.gather import BundleWanted
from sftbench.publishing.publish import publish
from sftbench.publishing.verify import verify

TOKEN = "hf_" + "x" * 34


def git(folder, *arguments):
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with a commit and a filter that would change every byte, as one's current folder."""
    place = tmp_path / "repository"
    place.mkdir()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    git(place, "init", "--quiet", "--initial-branch", "main")
    git(place, "config", "user.name", "Ann")
    git(place, "config", "user.email", "ann@example.org")
    git(place, "config", "core.autocrlf", "true")
    (place / "code.py").write_text("pass\n")
    git(place, "add", "code.py")
    git(place, "commit", "--quiet", "-m", "begin")
    monkeypatch.chdir(place)
    return place


def test_pages_are_a_commit_on_a_branch_of_its_own_and_nothing_else_changes(repository, new_run, tmp_path):
    run = new_run()
    before = git(repository, "rev-parse", "HEAD"), git(repository, "status", "--porcelain")
    made = publish(BundleWanted(results=run.folder), "github-pages")
    assert (git(repository, "rev-parse", "HEAD"), git(repository, "status", "--porcelain")) == before
    assert any("nothing was pushed" in note for note in made.notes)
    git(repository, "worktree", "add", "--quiet", str(tmp_path / "pages"), "gh-pages")
    assert (tmp_path / "pages" / ".nojekyll").exists()
    assert 'href="toys/board/index.html"' in (tmp_path / "pages" / "index.html").read_text()
    blob = subprocess.run(["git", "cat-file", "blob", "gh-pages:toys/manifest.json"], capture_output=True, check=True)
    assert hashlib.sha256(blob.stdout).hexdigest() == made.seal


def test_pages_keep_other_boards_and_overwrite_none(repository, new_run, tmp_path):
    run = new_run()
    publish(BundleWanted(results=run.folder), "github-pages")
    publish(BundleWanted(results=new_run("others").folder), "github-pages")
    head = git(repository, "rev-parse", "gh-pages")
    again = publish(BundleWanted(results=run.folder), "github-pages")
    assert any("already" in note for note in again.notes)
    run.write(run.cell("gamma"))
    run.finish()
    with pytest.raises(UsageError, match="another bundle as toys/"):
        publish(BundleWanted(results=run.folder), "github-pages")
    assert git(repository, "rev-parse", "gh-pages") == head
    names = git(repository, "ls-tree", "--name-only", "gh-pages").split()
    assert names == [".nojekyll", "index.html", "others", "toys"]


def test_a_front_page_of_ones_own_stays(repository, new_run):
    git(repository, "checkout", "--quiet", "--orphan", "gh-pages")
    (repository / "index.html").write_text("mine")
    git(repository, "add", "index.html")
    git(repository, "commit", "--quiet", "-m", "mine")
    git(repository, "checkout", "--quiet", "main")
    publish(BundleWanted(results=new_run().folder), "github-pages")
    assert git(repository, "show", "gh-pages:index.html") == "mine"


def test_outside_of_a_repository_pages_are_refused(tmp_path, new_run, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EnvironmentProblem, match="git"):
        publish(BundleWanted(results=new_run().folder), "github-pages")


class Hub:
    """What `huggingface_hub.HfApi` does with a repository, in a folder."""

    def __init__(self, folder):
        self.folder, self.tokens, self.fails = folder, [], None

    def __call__(self, token):
        self.tokens.append(token)
        return self

    def create_repo(self, name, *, repo_type, exist_ok):
        if self.fails:
            raise self.fails
        assert (repo_type, exist_ok) == ("dataset", True)

    def file_exists(self, name, file, *, repo_type):
        return (self.folder / name / file).is_file()

    def hf_hub_download(self, name, file, *, repo_type):
        return str(self.folder / name / file)

    def upload_folder(self, *, folder_path, repo_id, repo_type, commit_message):
        shutil.copytree(folder_path, self.folder / repo_id, dirs_exist_ok=True)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    import huggingface_hub

    made = Hub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", made)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return made


def test_the_hub_is_given_the_whole_bundle_with_the_token_of_the_environment(hub, new_run):
    made = publish(BundleWanted(results=new_run().folder), "hf:ann/toys")
    assert hub.tokens == [TOKEN]
    found = verify(hub.folder / "ann/toys")
    assert found.holds
    assert found.seal == made.seal
    assert TOKEN not in str(made)


def test_another_bundle_on_the_hub_is_not_overwritten(hub, new_run):
    run = new_run()
    publish(BundleWanted(results=run.folder), "hf:ann/toys")
    assert any("already" in note for note in publish(BundleWanted(results=run.folder), "hf:ann/toys").notes)
    with pytest.raises(UsageError, match="holds another bundle"):
        publish(BundleWanted(results=new_run("others", ("alpha", "beta", "gamma")).folder), "hf:ann/toys")


def test_a_hub_that_cannot_be_reached_is_told_with_the_way_out_and_without_the_token(hub, new_run):
    hub.fails = ConnectionError(f"no route, Authorization: {TOKEN}")
    with pytest.raises(EnvironmentProblem, match=r"did not take ann/toys \(ConnectionError\).*--to DIR") as problem:
        publish(BundleWanted(results=new_run().folder), "hf:ann/toys")
    assert TOKEN not in str(problem.value)


def test_without_a_token_the_way_out_is_told(new_run, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(EnvironmentProblem, match=r"set HF_TOKEN, or publish to a folder"):
        publish(BundleWanted(results=new_run().folder), "hf:ann/toys")


@pytest.mark.parametrize("target", ["hf:toys", "hf:a/b/c"])
def test_a_name_that_no_hub_has_is_refused(new_run, target):
    with pytest.raises(UsageError, match="expected hf:ORG/NAME"):
        publish(BundleWanted(results=new_run().folder), target)


def objects(repository):
    return sorted(str(each) for each in (repository / ".git").rglob("*") if each.is_file())


def test_a_dry_run_for_pages_says_where_it_would_go_and_writes_nothing(repository, new_run):
    run = new_run()
    wanted, before = BundleWanted(results=run.folder), objects(repository)
    told = publish(wanted, "github-pages", dry_run=True).notes
    assert any(f"committed to a new branch gh-pages of {repository} as toys/, and not pushed" in note for note in told)
    assert objects(repository) == before
    publish(wanted, "github-pages")
    assert "this bundle is on gh-pages already, as toys/" in publish(wanted, "github-pages", dry_run=True).notes
    others = BundleWanted(results=new_run("others").folder)
    told = publish(others, "github-pages", dry_run=True).notes
    assert any("would be committed to the branch gh-pages" in note for note in told)
    run.write(run.cell("gamma"))
    run.finish()
    with pytest.raises(UsageError, match="another bundle as toys/"):
        publish(wanted, "github-pages", dry_run=True)


def test_a_dry_run_for_the_hub_needs_no_token_and_tells_none(new_run, monkeypatch):
    wanted = BundleWanted(results=new_run().folder)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (note,) = [each for each in publish(wanted, "hf:org/name", dry_run=True).notes if "uploaded" in each]
    assert "the dataset org/name of the Hugging Face hub, for which a token is needed in $HF_TOKEN" in note
    assert "a new one is public" in note
    monkeypatch.setenv("HUGGING_FACE_HUB_TOKEN", TOKEN)
    (note,) = [each for each in publish(wanted, "hf:org/name", dry_run=True).notes if "uploaded" in each]
    assert "with the token of $HUGGING_FACE_HUB_TOKEN" in note
    assert TOKEN not in note


@pytest.mark.parametrize("to", ["hf:", "hf:name", "hf:../name", "hf:org/name/more", "hf:org/na me", "hf:/name"])
def test_a_name_that_is_no_repository_is_refused(new_run, to):
    with pytest.raises(UsageError, match="expected hf:ORG/NAME"):
        publish(BundleWanted(results=new_run().folder), to, dry_run=True)
