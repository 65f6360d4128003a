"""traverse and interpolate leave a picture, or one line that says why not."""
import pytest

from npvae.cli import main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert main(["train", "--hidden", "8", "--epochs", "1", "-q", "--out", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("argv", [
    ["traverse"], ["traverse", "--datapoint", "3", "--latents", "2", "-n", "4"], ["interpolate"],
    ["traverse", "--datapoint", "0", "--data", "digits"], ["interpolate", "--between", "0", "178"],
])  # fmt: skip
def test_a_picture_is_written(argv, run, tmp_path, capsys):
    target = tmp_path / "picture.png"
    assert main([argv[0], str(run), *argv[1:], "--out", str(target)]) == 0
    assert target.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.split() == [str(target)]


@pytest.mark.parametrize(("argv", "words"), [
    (["traverse", "--datapoint", "179"], "no datapoint 179 of digits; choose from 0 to 178"),
    (["interpolate", "--between", "0", "-1"], "no datapoint -1"),
    (["traverse", "--data", "digits"], "give both"),
    (["traverse", "--latents", "3"], "no latent 3"),
])  # fmt: skip
def test_what_is_not_there_is_one_line(argv, words, run, tmp_path, capsys):
    assert main([argv[0], str(run), *argv[1:], "--out", str(tmp_path / "x.png")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line and not (tmp_path / "x.png").exists()


def test_an_autoencoder_has_paths_between_data_alone(tmp_path, capsys):
    argv = ["train", "--model", "autoencoder", "--hidden", "8", "--epochs", "1", "-q", "--out"]
    assert main([*argv, str(tmp_path / "run")]) == 0
    assert main(["interpolate", str(tmp_path / "run"), "--out", str(tmp_path / "x.png")]) == 0
    assert main(["traverse", str(tmp_path / "run"), "--out", str(tmp_path / "y.png")]) == 1
    assert "interpolate" in capsys.readouterr().err
