import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from vitlab.config.compose import resolved
from vitlab.config.rules import nearest_divisors, refuse_illegal, refuse_model_of_other_data
from vitlab.errors import VitlabError


def test_the_defaults_are_legal(compose):
    refuse_illegal(resolved(compose()), [])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.channels=2", "model.channels=2 does not fit data.channels=1; leave it out"),
        ("model.image_size=16", "model.image_size=16 does not fit data.image_size=8; leave it out"),
        ("model.num_classes=9", "model.num_classes=9 does not fit data.num_classes=10; leave it out"),
    ],
)
def test_a_model_for_other_images_or_too_few_classes_is_refused(compose, override, message):
    with pytest.raises(VitlabError, match=message):
        refuse_model_of_other_data(resolved(compose([override])))
    refuse_model_of_other_data(resolved(compose(["model.num_classes=1000"])))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.num_heads=5", "model.embed_dim=192"],
            r"model.num_heads=5 does not divide model.embed_dim=192; try 4 or 6",
        ),
        (["model.patch_size=3"], r"model.patch_size=3 does not divide the image size 8; try 2 or 4"),
        (["model.patch_size=16"], r"model.patch_size=16 does not divide the image size 8; try 8"),
        (["model.depth=0"], r"model.depth=0 is not a whole number from 1 up; try 1"),
        (["model.embed_dim=-64"], r"model.embed_dim=-64 .* try 1"),
        (["model.depth=2.6"], r"model.depth=2.6 .* try 3"),
        (["model.depth=four"], r"model.depth=four"),
        (["model.depth=true"], r"model.depth=True"),
        (["trainer.epochs=0"], r"trainer.epochs=0"),
        (["trainer.epochs=-1"], r"trainer.epochs=-1"),
        (["trainer.max_steps=0"], r"trainer.max_steps=0"),
        (["trainer.batch_size=0"], r"trainer.batch_size=0"),
        (["trainer.batch_size=-8"], r"trainer.batch_size=-8"),
        (["trainer.accumulate=0"], r"trainer.accumulate=0"),
        (["seed=-1"], r"seed=-1"),
        (["seed=18446744073709551616"], r"seed=18446744073709551616 .* try 18446744073709551615"),
        (["data.split_seed=4294967296"], r"data.split_seed=4294967296 .* try 4294967295"),
        (["data.mean=[0.1,0.2]"], r"data.mean=\[0.1, 0.2\] has 2 values, and data.channels=1: one for each"),
        (["augment.std=[]"], r"augment.std=\[\] has 0 values"),
        (["data.std=[0]"], r"data.std=\[0\] divides the images, and must be greater than 0"),
        (["augment.std=[-1.0]"], r"augment.std=\[-1.0\] divides the images"),
        (["scheduler=one_cycle", "scheduler.start=-5"], r"scheduler.start=-5 .* 1 or more"),
        (["scheduler=one_cycle", "scheduler.end=0.5"], r"scheduler.end=0.5 .* 1 or more"),
        (["optimizer=sgd", "optimizer.momentum=1.5"], r"optimizer.momentum=1.5 .* 0 <= rate < 1"),
        (["model.drop_path=1.0"], r"model.drop_path=1.0 is not allowed: a rate lies in 0 <= rate < 1"),
        (["model.mlp_drop=-0.1"], r"model.mlp_drop=-0.1"),
        (["model.attn_drop=.nan"], r"model.attn_drop=.nan"),
        (["objective.label_smoothing=1"], r"objective.label_smoothing=1"),
        (["trainer.ema_decay=1.0"], r"trainer.ema_decay=1.0"),
        (["data.val_fraction=0"], r"data.val_fraction=0"),
        (["optimizer.lr=0"], r"optimizer.lr=0 is not allowed: it must be greater than 0"),
        (["optimizer.lr=fast"], r"optimizer.lr=fast"),
        (["optimizer.weight_decay=-1"], r"optimizer.weight_decay=-1"),
        (["trainer.precision=fp8"], r"trainer.precision=fp8 is not one of fp32, bf16, fp16"),
        (["tracker.mode=sometimes"], r"tracker.mode=sometimes is not one of auto"),
        (["trainer.validate_every=5"], r"trainer.validate_every=5: .*write it with its unit"),
        (["trainer.save_every=0 epochs"], r"never comes; try '1 epochs'"),
        (["scheduler.warmup=10"], r"scheduler.warmup=10: .*'500 steps'"),
        (["scheduler.warmup=2 of run"], r"longer than the run"),
    ],
)
def test_an_illegal_value_is_named_with_what_is_legal(compose, overrides, message):
    with pytest.raises(VitlabError, match=message):
        refuse_illegal(resolved(compose(overrides)), overrides)


def test_two_lengths_for_one_run_are_refused(compose):
    overrides = ["trainer.epochs=3", "trainer.max_steps=50"]
    with pytest.raises(VitlabError, match=r"trainer.epochs=3 and trainer.max_steps=50 give one run two lengths"):
        refuse_illegal(resolved(compose(overrides)), overrides)
    refuse_illegal(resolved(compose(overrides[1:])), overrides[1:])


def test_a_model_of_the_user_s_own_needs_none_of_these_keys():
    refuse_illegal(OmegaConf.create({"model": {"_target_": "my_lab.Net"}, "trainer": {}}), [])


@given(st.integers(1, 2000), st.integers(1, 2000))
def test_the_nearest_divisors_divide_and_none_is_nearer(number, to):
    found = [int(d) for d in nearest_divisors(number, to).split(" or ") if d]
    for divisor in found:
        assert number % divisor == 0
        assert all(number % between for between in range(min(divisor, to) + 1, max(divisor, to)))


def test_a_model_in_shards_has_no_loss_scaler(compose):
    with pytest.raises(VitlabError, match=r"trainer.parallel=fsdp has no loss scaler .* try bf16"):
        refuse_illegal(resolved(compose(["trainer.parallel=fsdp", "trainer.precision=fp16"])), [])


@pytest.mark.parametrize("optimizer", ["sgd", "muon"])
def test_mup_is_refused_without_adam(compose, optimizer):
    with pytest.raises(VitlabError, match="model/init=mup scales the rates of Adam, not of .*; try optimizer=adamw"):
        refuse_illegal(resolved(compose(["model/init=mup", f"optimizer={optimizer}"])), [])
    refuse_illegal(resolved(compose(["model/init=mup", "optimizer=adam"])), [])


def test_images_are_mixed_among_as_many_classes_as_the_model_has(compose):
    wrong = ["augment=strong", "augment.mix.num_classes=3"]
    with pytest.raises(VitlabError, match="augment.mix.num_classes=3 is not model.num_classes=10; try 10"):
        refuse_illegal(resolved(compose(wrong)), [])
    refuse_illegal(resolved(compose(["augment=strong"])), [])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scheduler.floor=1.5", "scheduler.floor=1.5 is not allowed: a share of the learning rate"),
        ("model.grad_checkpointing=2", "model.grad_checkpointing=2 is neither true nor false"),
        ("model.depthwise_shortcut=2", "model.depthwise_shortcut=2 is neither true nor false"),
        ("model.num_registers=-1", "model.num_registers=-1 is not a whole number from 0 up; try 0"),
        ("model.patch_drop=1.0", "model.patch_drop=1.0 is not allowed: a rate lies in"),
        ("+optimizer.ns_steps=100", "optimizer.ns_steps=100 is not a whole number from 1 to 99; try 99"),
    ],
)
def test_settings_out_of_their_range_are_refused(compose, override, message):
    with pytest.raises(VitlabError, match=message):
        refuse_illegal(resolved(compose([override])), [])
