"""Adapters made with PEFT in vLLM's own environment, and what transformers says each of them answers."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools import weights

QUESTION = "Name one colour."
TOKENS = 3
BASE_MODEL = "Qwen/Qwen2.5-Coder-0.5B-Instruct"

# Both halves get random values, large enough that each adapter answers in its own way. Greedy decoding, as the client
# asks for, so that vLLM has to find the same tokens.
MAKE = """
import json, sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer
model_path, target, question, tokens, ranks = *sys.argv[1:4], int(sys.argv[4]), json.loads(sys.argv[5])
tokenizer = AutoTokenizer.from_pretrained(model_path)
asked = tokenizer.apply_chat_template(
    [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
)
def answer(model):
    with torch.no_grad():
        made = model.generate(**asked, max_new_tokens=tokens, do_sample=False)
    return tokenizer.decode(made[0, asked["input_ids"].shape[1]:], skip_special_tokens=True)
model = AutoModelForCausalLM.from_pretrained(model_path, dtype=torch.float32)
answers = {"base": answer(model)}
for seed, (name, rank) in enumerate(ranks.items(), 1):
    torch.manual_seed(seed)
    modules = ["q_proj", "v_proj", "down_proj"]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=modules, task_type="CAUSAL_LM")
    tuned = get_peft_model(model, config)
    for key, value in tuned.named_parameters():
        if "lora_" in key:
            torch.nn.init.normal_(value, std=0.06)
    tuned.save_pretrained(f"{target}/{name}")
    answers[name] = answer(tuned)
    model = tuned.unload()
with open(f"{target}/answers.json", "w") as file:
    json.dump(answers, file)
"""


@dataclass(frozen=True)
class PeftAdapters:
    """Folders of adapters by name, and the beginning of each one's answer to QUESTION; `base` without any."""

    folder: Path
    answers: dict[str, str]


def make(folder: Path) -> PeftAdapters:
    """Makes `one` and `two` (rank 8) and `large` (rank 32, more than the test's server takes)."""
    python = weights.vllm_environment().python
    command = [python, "-c", MAKE, weights.converted_path(), folder, QUESTION, str(TOKENS)]
    ranks = json.dumps({"one": 8, "two": 8, "large": 32})
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run([*command, ranks], capture_output=True, text=True, timeout=600, check=False, env=offline)
    if done.returncode:
        raise RuntimeError(f"PEFT made no adapters: {done.stderr[-2000:]}")
    for name in ("one", "two", "large"):
        (folder / name / "manifest.yaml").write_text(f"base_model: {BASE_MODEL}\ndescription: made for a test\n")
    return PeftAdapters(folder, json.loads((folder / "answers.json").read_text()))
