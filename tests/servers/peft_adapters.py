"""Adapters trained with PEFT in vLLM's own environment, each to answer one question in a way of its own."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools import weights

QUESTION = "Name one colour."
TOKENS = 4
BASE_MODEL = "Qwen/Qwen2.5-Coder-0.5B-Instruct"
WORDS = {"one": "teal", "two": "mauve"}

# Only the last layers are trained, so that a step is cheap: some ten steps of a second or two are enough to be sure of
# one word. `large` is left as it is made: it is for the server to refuse.
MAKE = """
import json, sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
model_path, target, question, tokens, words = *sys.argv[1:4], int(sys.argv[4]), json.loads(sys.argv[5])
tokenizer = AutoTokenizer.from_pretrained(model_path)
asked = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
)["input_ids"]
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)

def adapter(rank):
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=["q_proj", "v_proj", "down_proj"],
                        layers_to_transform=[20, 21, 22, 23], task_type="CAUSAL_LM")
    return get_peft_model(model, config)

answers = {}
for name, word in words.items():
    torch.manual_seed(1)
    tuned = adapter(8)
    wanted = tokenizer(word, return_tensors="pt")["input_ids"]
    wanted = torch.cat([wanted, torch.tensor([[tokenizer.eos_token_id]])], dim=1)
    text = torch.cat([asked, wanted], dim=1)
    labels = text.clone()
    labels[:, : asked.shape[1]] = -100
    optimizer = torch.optim.AdamW([each for each in tuned.parameters() if each.requires_grad], lr=5e-3)
    for step in range(60):
        loss = tuned(input_ids=text, labels=labels).loss
        if loss.item() < 0.01:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(name, step, loss.item(), file=sys.stderr)
    tuned.save_pretrained(f"{target}/{name}")
    with torch.no_grad():
        mask = torch.ones_like(asked)
        made = tuned.generate(input_ids=asked, attention_mask=mask, max_new_tokens=tokens, do_sample=False)
    answers[name] = tokenizer.decode(made[0, asked.shape[1]:], skip_special_tokens=True)
    model = tuned.unload()
adapter(32).save_pretrained(f"{target}/large")
with open(f"{target}/answers.json", "w") as file:
    json.dump(answers, file)
"""


@dataclass(frozen=True)
class PeftAdapters:
    """Folders of adapters by name (`one`, `two`, `large`), and what transformers says the first two answer."""

    folder: Path
    answers: dict[str, str]


def make(folder: Path) -> PeftAdapters:
    """Trains `one` and `two` (rank 8), and makes `large` (rank 32, more than the tests' server takes)."""
    python = weights.vllm_environment().python
    command: list[str | Path] = [python, "-c", MAKE, weights.converted_path(), folder, QUESTION, str(TOKENS)]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(
        [*command, json.dumps(WORDS)], capture_output=True, text=True, timeout=800, check=False, env=offline
    )
    if done.returncode:
        raise RuntimeError(f"PEFT made no adapters: {done.stderr[-2000:]}")
    for name in ("one", "two", "large"):
        (folder / name / "manifest.yaml").write_text(f"base_model: {BASE_MODEL}\ndescription: made for a test\n")
    return PeftAdapters(folder, json.loads((folder / "answers.json").read_text()))
