"""From the forms in which benchmarks are handed on to the one that the harness's tasks read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from sftbench_plugins.harness_tasks.files import Doc

LANGUAGES = {
    "arabic": "ar", "bengali": "bn", "english": "en", "finnish": "fi", "indonesian": "id", "korean": "ko",
    "russian": "ru", "swahili": "sw", "telugu": "te",
}  # fmt: skip
"""The languages of TyDi QA's gold passage task."""
_LETTERED = re.compile(r"^\([A-Z]\)\s*")


def arc(row: Doc) -> Doc:
    """The hub's form, or one with `query`, a list of `choices` and `gold`."""
    if "query" not in row:
        return {name: row[name] for name in ("id", "question", "choices", "answerKey")}
    question = row["query"].removeprefix("Question: ").removesuffix("\nAnswer:")
    labels = [chr(ord("A") + at) for at in range(len(row["choices"]))]
    choices = {"text": list(row["choices"]), "label": labels}
    return {"id": row["id"], "question": question, "choices": choices, "answerKey": labels[int(row["gold"])]}


def hellaswag(row: Doc) -> Doc:
    """What the harness makes of the hub's form, or a file that has been through it already (`query`, `choices`)."""
    if "query" in row:
        return {"query": row["query"], "choices": list(row["choices"]), "label": int(row["gold"])}
    from lm_eval.tasks.hellaswag.utils import preprocess

    query = preprocess(f"{row['activity_label']}: {row['ctx_a']} {row['ctx_b'].capitalize()}")
    return {"query": query, "choices": [preprocess(each) for each in row["endings"]], "label": int(row["label"])}


def boolq(row: Doc) -> Doc:
    label = int(row["answer"] if "answer" in row else row["label"])
    return {"passage": row["passage"], "question": row["question"], "label": label}


def gsm8k(row: Doc) -> Doc:
    return {"question": row["question"], "answer": row["answer"]}


def mmlu(row: Doc) -> Doc:
    return {"question": row["question"], "choices": list(row["choices"]), "answer": int(row["answer"])}


def logiqa(row: Doc) -> Doc:
    """The hub's form, or AGIEval's: `passage`, `options` that begin with their letter, `label` in capitals."""
    options = [_LETTERED.sub("", each) for each in row["options"]]
    passage = row["passage"] if "passage" in row else row["context"]
    return {"context": passage, "question": row["question"], "options": options, "label": row["label"].strip().lower()}


def truthfulqa(row: Doc) -> Doc:
    """The hub's form, or a row of the authors' table, whose answers are lists joined by ';'.

    As in the authors' code an answer ends in a full stop, and the right ones come first.
    """
    if "mc2_targets" in row:
        return {name: row[name] for name in ("question", "mc1_targets", "mc2_targets")}
    right, wrong = _answers(row["Correct Answers"]), _answers(row["Incorrect Answers"])
    best = _answers(row["Best Answer"])[:1]
    return {
        "question": row["Question"].strip(),
        "mc1_targets": _targets(best, wrong),
        "mc2_targets": _targets(right, wrong),
    }


def _answers(text: str) -> list[str]:
    found = (each.strip() for each in text.strip().split(";"))
    return [each if each.endswith(".") else f"{each}." for each in found if each]


def _targets(right: Sequence[str], wrong: Sequence[str]) -> Doc:
    return {"choices": [*right, *wrong], "labels": [1] * len(right) + [0] * len(wrong)}


def humaneval(row: Doc) -> Doc:
    return {name: row[name] for name in ("task_id", "prompt", "test", "entry_point")}


def bbh(rows: Iterable[Doc]) -> Mapping[str, list[Doc]]:
    """By subtask: the examples of one file of the authors' archive each."""
    return {row["file"]: [{"input": e["input"], "target": e["target"]} for e in row["examples"]] for row in rows}


def tydiqa(rows: Iterable[Doc]) -> list[Doc]:
    """Gold passages with `language`: of the SQuAD form of the gold passage task, or cut out of the primary task.

    Of the primary task those items remain whose annotators marked an answer that is not yes or no, in the
    passage that the first of them chose, and the languages that the gold passage task has.
    """
    found = [doc for row in rows for doc in (_of_squad(row) if "data" in row else _of_primary(row))]
    return [doc for doc in found if doc["language"] in LANGUAGES]


def _of_squad(row: Doc) -> list[Doc]:
    return [
        {
            "language": question["id"].partition("-")[0],
            "id": question["id"],
            "title": article.get("title", ""),
            "context": paragraph["context"],
            "question": question["question"],
            "answers": [answer["text"] for answer in question["answers"]],
        }
        for article in row["data"]
        for paragraph in article["paragraphs"]
        for question in paragraph["qas"]
    ]


def _of_primary(row: Doc) -> list[Doc]:
    marked = [
        each
        for each in row["annotations"]
        if each["minimal_answer"]["plaintext_start_byte"] >= 0 and each["passage_answer"]["candidate_index"] >= 0
    ]
    if not marked:
        return []
    text = row["document_plaintext"].encode()
    passage = row["passage_answer_candidates"][marked[0]["passage_answer"]["candidate_index"]]
    answers = [_cut(text, each["minimal_answer"]) for each in marked]
    return [
        {
            "language": row["language"].lower(),
            "id": f"{row['language'].lower()}-{row['example_id']}",
            "title": row["document_title"],
            "context": _cut(text, passage),
            "question": row["question_text"],
            "answers": list(dict.fromkeys(answers)),
        }
    ]


def _cut(text: bytes, span: Mapping[str, int]) -> str:
    return text[span["plaintext_start_byte"] : span["plaintext_end_byte"]].decode("utf-8", errors="ignore").strip()
