import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.config.secrets import HIDDEN, forgotten, hidden_in, hidden_override, without_secrets

KEY = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "API_KEY", "apikey", "password", "hub_token", "secret", "aws-secret", "credentials"),
        *("secret_key", "private_key", "passphrase", "accessToken", "authorization", "OPENAI_API_KEY_2"),
    ],
)
def test_a_text_whose_key_says_so_is_hidden(name):
    assert without_secrets({"a": [{name: KEY}]}) == {"a": [{name: HIDDEN}]}
    assert (
        hidden_in(f"tracker.settings.{name}={KEY},model.depth=4") == f"tracker.settings.{name}={HIDDEN},model.depth=4"
    )
    assert hidden_in(f"+{name}={KEY}") == f"+{name}={HIDDEN}"


@pytest.mark.parametrize(
    "config",
    [
        {"class_token": True, "distillation_token": False, "token": None},
        {"class_token": "maybe", "note": "model.distillation_token=perhaps12345"},
        {"num_tokens": "many", "keys": "qk", "tokenizer": "cct", "secretary": "Ann"},
        {"token": "${oc.env:HF_TOKEN}"},
    ],
)
def test_what_only_sounds_like_one_is_left(config):
    assert without_secrets(config) == config


@pytest.mark.parametrize(
    "typed", ["model.class_token=true", "model.class_token=null", "model/patch_embed=cct", "seed=0"]
)
def test_overrides_of_the_model_are_left(typed):
    assert hidden_in(typed) == typed


def test_a_list_of_secrets_is_hidden_whole_and_what_follows_it_is_not():
    assert hidden_in("api_key=AB,CD,model.depth=2") == f"api_key={HIDDEN},model.depth=2"
    assert hidden_in("api_key='a b, c' seed=1") == f"api_key={HIDDEN} seed=1"
    assert hidden_override("+tracker.api_key=a b, c") == f"+tracker.api_key={HIDDEN}"


@pytest.mark.parametrize("text", ["{api_key: K}", '{"api_key": "K"}', "+  settings: {api_key: K}", "hub_token: K"])
def test_a_secret_in_yaml_and_json_is_hidden(text):
    assert hidden_in(text.replace("K", KEY)) == text.replace('"K"', HIDDEN).replace("K", HIDDEN)


@pytest.mark.parametrize("text", ["cls_token: nn.Parameter", "token: a width [B, T, D]", "class_token: true"])
def test_tokens_of_a_model_in_a_text_are_left(text):
    assert hidden_in(text) == text


def test_a_password_of_digits_is_hidden():
    assert without_secrets({"password": "123456", "db": {"passwd": 123456}}) == {
        "password": HIDDEN,
        "db": {"passwd": HIDDEN},
    }


def test_what_the_environment_holds_is_hidden_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("MY_LAB_TOKEN", KEY)
    assert without_secrets({"notes": f"with {KEY}!"}) == {"notes": f"with {HIDDEN}!"}
    monkeypatch.setenv("SHORT_TOKEN", "adam")
    assert hidden_in("optimizer=adam") == "optimizer=adam"


def test_a_password_in_an_address_is_hidden():
    assert hidden_in("http://ann:sesame@host:80/x") == f"http://{HIDDEN}@host:80/x"
    assert hidden_in("https://sesame@host/x") == f"https://{HIDDEN}@host/x"
    assert hidden_in("http://host:80/x@y") == "http://host:80/x@y"


def test_what_was_hidden_is_missing_when_it_is_read_back():
    assert forgotten({"a": [HIDDEN, "b"], "c": {"d": HIDDEN}}) == {"a": [None, "b"], "c": {"d": None}}


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_only_texts_are_ever_changed(plain):
    assert without_secrets(plain) == plain


@pytest.mark.slow
def test_no_file_of_a_run_or_a_sweep_holds_a_key(command, quick, tmp_path):
    quick = [*quick[:3], "trainer.max_steps=2", "+note='with ${oc.env:WANDB_API_KEY}'"]
    env = {"WANDB_API_KEY": "k" * 40, "WANDB_MODE": "offline"}
    secrets = [f"+tracker.settings.api_key={KEY}", f"+my_token={KEY}"]
    for arguments in (["--multirun", *quick, "seed=0,1"], [*quick, *secrets]):
        done = command("train", *arguments, env=env)
        assert done.returncode == 0, done.stderr
        assert KEY not in done.stdout + done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 30
    for path in files:
        content = str(path).encode() + path.read_bytes()
        assert KEY.encode() not in content, path
        assert env["WANDB_API_KEY"].encode() not in content, path


@pytest.mark.slow
def test_a_sweep_refuses_what_it_would_have_to_write_down(command, tmp_path):
    done = command("train", "--multirun", f"+my_token={KEY}", "seed=0,1")
    assert done.returncode == 2
    assert done.stderr == "vitlab: +my_token=*** would be written down by a sweep; give it by the environment\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("word", ["a", "a.", "a_token", "x="])
def test_a_text_of_any_length_is_read_once(word):
    assert hidden_in(word * 100_000).startswith(word)  # by the square of its length it would take hours
